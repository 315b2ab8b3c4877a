//! HTTP/1.1 by hand: libraries refuse to send what these tests are about.

use std::net::SocketAddr;
use std::time::Duration;

use anyhow::{Context as _, bail};
use serde_json::Value;
use tokio::io::{AsyncBufReadExt as _, AsyncReadExt as _, AsyncWriteExt as _, BufReader};
use tokio::net::TcpStream;
use tokio::time::timeout;

/// Envoy answers at once or is stuck.
const PATIENCE: Duration = Duration::from_secs(20);

/// A request as it goes over the wire. `host` is added.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Request {
    pub(crate) method: String,
    pub(crate) target: Vec<u8>,
    pub(crate) headers: Vec<(String, Vec<u8>)>,
}

impl Request {
    pub(crate) fn get(target: impl Into<Vec<u8>>) -> Self {
        Self { method: "GET".into(), target: target.into(), headers: Vec::new() }
    }

    /// The same with one more header.
    pub(crate) fn header(mut self, name: &str, value: impl Into<Vec<u8>>) -> Self {
        self.headers.push((name.to_owned(), value.into()));
        self
    }

    fn bytes(&self) -> Vec<u8> {
        let mut bytes = [self.method.as_bytes(), b" ", &self.target, b" HTTP/1.1\r\nhost: edge\r\n"].concat();
        for (name, value) in &self.headers {
            bytes.extend([name.as_bytes(), b": ", value, b"\r\n"].concat());
        }
        bytes.extend(b"\r\n");
        bytes
    }
}

/// An answer, with what the upstream saw if the request got there.
#[derive(Debug)]
pub(crate) struct Answer {
    pub(crate) status: u16,
    pub(crate) body: String,
    arrived: Option<Vec<(String, String)>>,
}

impl Answer {
    fn new(status: u16, body: String) -> Self {
        let arrived = serde_json::from_str::<Value>(&body)
            .ok()
            .and_then(|body| serde_json::from_value(body.get("arrived")?.clone()).ok());
        Self { status, body, arrived }
    }

    /// Whether the upstream saw the request.
    pub(crate) fn passed(&self) -> bool {
        self.arrived.is_some()
    }

    /// The values of a header that arrived, one character a byte.
    pub(crate) fn arrived(&self, name: &str) -> Vec<&str> {
        let all = self.arrived.iter().flatten();
        all.filter(|(header, _)| header == name).map(|(_, value)| value.as_str()).collect()
    }
}

/// A connection that is kept, and made anew when the server closes it.
pub(crate) struct Client {
    address: SocketAddr,
    stream: Option<BufReader<TcpStream>>,
}

impl Client {
    pub(crate) fn new(address: SocketAddr) -> Self {
        Self { address, stream: None }
    }

    /// Sends a request and reads its answer.
    pub(crate) async fn send(&mut self, request: &Request) -> anyhow::Result<Answer> {
        let bytes = request.bytes();
        if let Some(stream) = self.stream.take()
            && let Ok(Ok(answer)) = timeout(PATIENCE, self.exchange(stream, &bytes)).await
        {
            return Ok(answer);
        }
        let stream = BufReader::new(TcpStream::connect(self.address).await?);
        timeout(PATIENCE, self.exchange(stream, &bytes)).await.context("no answer in time")?
    }

    async fn exchange(&mut self, mut stream: BufReader<TcpStream>, request: &[u8]) -> anyhow::Result<Answer> {
        stream.write_all(request).await?;
        let status = line(&mut stream).await?;
        let status: u16 = status.split(' ').nth(1).context("no status line")?.parse()?;
        let (mut length, mut close) = (None, false);
        loop {
            let line = line(&mut stream).await?.to_ascii_lowercase();
            match line.split_once(':') {
                Some(("content-length", value)) => length = Some(value.trim().parse()?),
                Some(("connection", value)) => close = value.trim() == "close",
                Some(_) => {}
                None if line.is_empty() => break,
                None => bail!("not a header: {line:?}"),
            }
        }
        let mut body = vec![0; length.context("no content-length")?];
        stream.read_exact(&mut body).await?;
        if !close {
            self.stream = Some(stream);
        }
        Ok(Answer::new(status, String::from_utf8_lossy(&body).into_owned()))
    }
}

async fn line(stream: &mut BufReader<TcpStream>) -> anyhow::Result<String> {
    let mut bytes = Vec::new();
    if stream.read_until(b'\n', &mut bytes).await? == 0 {
        bail!("the connection was closed");
    }
    Ok(String::from_utf8_lossy(&bytes).trim_end().to_owned())
}
