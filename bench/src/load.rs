//! The load: a batch of requests at a time, one a connection, each answer read and checked.

use std::io::{Read as _, Write as _};
use std::net::{SocketAddr, TcpStream};
use std::time::Duration;

use anyhow::{Context as _, bail};

/// Requests under way at once, so that Envoy has something to do whenever it looks.
pub const CONNECTIONS: usize = 16;
const PATIENCE: Duration = Duration::from_secs(20);
/// In which the answer repeats what an upstream would have been told of the caller.
pub const SEEN: &str = "x-seen";

/// One request and what must come of it.
#[derive(Clone, Debug)]
pub struct Request {
    bytes: Vec<u8>,
    status: u16,
    /// The caller that the upstream must be told, when the request passes.
    subject: Option<String>,
}

impl Request {
    /// What a client behind a proxy or two sends. Without a subject it must be refused with 401.
    pub fn new(token: &str, subject: Option<&str>) -> Self {
        let text = format!(
            "GET /api/v1/runners?limit=50 HTTP/1.1\r\nhost: runners.example.com\r\nuser-agent: curl/8.5.0\r\n\
             accept: application/json\r\naccept-encoding: gzip, br\r\nx-forwarded-for: 203.0.113.7\r\n\
             traceparent: 00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01\r\n\
             authorization: Bearer {token}\r\n\r\n"
        );
        Self { bytes: text.into(), status: if subject.is_some() { 200 } else { 401 }, subject: subject.map(Into::into) }
    }

    /// The same request to a listener that looks at no token.
    #[must_use]
    pub fn unchecked(self) -> Self {
        Self { status: 200, subject: None, ..self }
    }
}

/// Open connections to one listener.
#[derive(Debug)]
pub struct Load {
    connections: Vec<Connection>,
}

#[derive(Debug)]
struct Connection {
    stream: TcpStream,
    buffer: Vec<u8>,
}

impl Load {
    /// Opens them.
    pub fn connect(address: SocketAddr) -> anyhow::Result<Self> {
        let connect = |_| -> anyhow::Result<Connection> {
            let stream = TcpStream::connect(address)?;
            stream.set_nodelay(true)?;
            stream.set_read_timeout(Some(PATIENCE))?;
            Ok(Connection { stream, buffer: vec![0; 16 * 1024] })
        };
        Ok(Self { connections: (0..CONNECTIONS).map(connect).collect::<anyhow::Result<_>>()? })
    }

    /// Sends them all; an error if a single answer is another than it must be.
    pub fn send<'r>(&mut self, requests: impl IntoIterator<Item = &'r Request>) -> anyhow::Result<()> {
        let mut requests = requests.into_iter();
        loop {
            let mut batch = Vec::with_capacity(CONNECTIONS);
            for (connection, request) in self.connections.iter_mut().zip(&mut requests) {
                connection.stream.write_all(&request.bytes)?;
                batch.push(request);
            }
            if batch.is_empty() {
                return Ok(());
            }
            for (connection, request) in self.connections.iter_mut().zip(batch) {
                connection.check(request)?;
            }
        }
    }
}

impl Connection {
    fn check(&mut self, request: &Request) -> anyhow::Result<()> {
        let mut filled = 0;
        loop {
            let space = self.buffer.get_mut(filled..).filter(|space| !space.is_empty()).context("a long answer")?;
            let read = self.stream.read(space).context("no answer")?;
            if read == 0 {
                bail!("Envoy closed a connection");
            }
            filled += read;
            if is_complete(self.buffer.get(..filled).unwrap_or_default(), request)? {
                return Ok(());
            }
        }
    }
}

/// Whether this is a whole answer; an error when it is another than it must be.
fn is_complete(bytes: &[u8], request: &Request) -> anyhow::Result<bool> {
    let mut headers = [httparse::EMPTY_HEADER; 32];
    let mut answer = httparse::Response::new(&mut headers);
    let httparse::Status::Complete(head) = answer.parse(bytes)? else {
        return Ok(false);
    };
    let header = |name: &str| {
        let found = answer.headers.iter().find(|header| header.name.eq_ignore_ascii_case(name));
        found.and_then(|header| std::str::from_utf8(header.value).ok())
    };
    let seen = header(SEEN).filter(|seen| *seen != "-");
    if answer.code != Some(request.status) || seen != request.subject.as_deref() {
        let (got, expected) = (answer.code.unwrap_or_default(), request.status);
        bail!("a wrong answer: {got} for {seen:?}, expected {expected} for {:?}", request.subject);
    }
    let body: usize = header("content-length").and_then(|length| length.parse().ok()).context("no content-length")?;
    Ok(bytes.len() >= head.saturating_add(body))
}
