//! The upstream: answers every request with the headers that arrived, byte for byte.

use std::net::SocketAddr;

use serde_json::{Value, json};
use tokio::io::{AsyncBufReadExt as _, AsyncWriteExt as _, BufReader};
use tokio::net::{TcpListener, TcpStream};

/// Serves on a free port for as long as the runtime lives. Written by hand, since servers refuse some of the bytes
/// that filters let through, and it must be the filters that decide.
pub(crate) async fn start() -> anyhow::Result<SocketAddr> {
    let listener = TcpListener::bind(("127.0.0.1", 0)).await?;
    let address = listener.local_addr()?;
    tokio::spawn(async move {
        while let Ok((stream, _)) = listener.accept().await {
            tokio::spawn(serve(stream));
        }
    });
    Ok(address)
}

async fn serve(stream: TcpStream) -> std::io::Result<()> {
    let mut stream = BufReader::new(stream);
    let mut lines: Vec<Vec<u8>> = Vec::new();
    loop {
        let mut line = Vec::new();
        if stream.read_until(b'\n', &mut line).await? == 0 {
            return Ok(());
        }
        if line != b"\r\n" {
            lines.push(line);
            continue;
        }
        let body = shown(&lines);
        let head = format!("HTTP/1.1 200 OK\r\ncontent-length: {}\r\n\r\n", body.len());
        stream.write_all(&[head.as_bytes(), body.as_bytes()].concat()).await?;
        lines.clear();
    }
}

/// JSON with each byte of a value as one character (ISO 8859-1), so that values need not be UTF-8.
fn shown(lines: &[Vec<u8>]) -> String {
    let texts: Vec<String> = lines.iter().map(|line| line.iter().copied().map(char::from).collect()).collect();
    let (request, headers) = texts.split_first().map_or(("", &texts[..]), |(first, rest)| (first.as_str(), rest));
    let path = request.split(' ').nth(1).unwrap_or_default();
    let headers: Vec<Value> = headers
        .iter()
        .filter_map(|line| line.split_once(':'))
        .map(|(name, value)| json!([name, value.trim_matches([' ', '\r', '\n'])]))
        .chain([json!([":path", path])])
        .collect();
    json!({"arrived": headers}).to_string()
}
