//! A wire between two parts of a system: a small TCP proxy that can be slow, cut, dead, or in somebody else's hands.
//!
//! What a crash or a frozen process does is better done to the process itself; a wire is for what happens in between.

use std::net::{Ipv4Addr, SocketAddr};
use std::time::Duration;

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;
use tokio::task::{JoinHandle, JoinSet};

/// What becomes of everything on a wire, also on connections that are open already.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Wiring {
    /// It gets through.
    Pass,
    /// It gets through later: each piece, in each direction, after so long.
    Delay(Duration),
    /// Nothing gets through, and nobody is told: what is held back goes on its way when this ends.
    Stall,
    /// Connections are reset, the open ones and every new one.
    Cut,
    /// Nobody listens, as if the other side had died; open connections are reset.
    Refuse,
    /// What is asked gets through; noise comes back in place of the answer, and then the end of the connection.
    Garbage,
    /// What is asked is answered with 503 by the wire itself and does not get through. For HTTP.
    Unavailable,
}

/// How the answers to [`Wiring::Unavailable`] are told from those of the system.
pub const UNAVAILABLE: &str = "answered by a wire";

/// Not HTTP, not TLS, no message of Postgres, no UTF-8.
const NOISE: &[u8] = b"\xff\xfe\x00\x80not what you expected\r\n\r\n\x00\xf5";
/// How long somebody who was answered too early may go on sending.
const LAST_WORDS: Duration = Duration::from_millis(200);
/// Somebody else may have the port for a moment when it is wanted again.
const AGAIN: Duration = Duration::from_millis(20);

/// A running wire; it ends when it is dropped, and its connections with it.
pub struct Wire {
    address: SocketAddr,
    wiring: watch::Sender<Wiring>,
    task: JoinHandle<()>,
}

impl Wire {
    /// Listens on a free port of the loopback address, for a server that need not listen yet.
    pub async fn to(server: SocketAddr) -> anyhow::Result<Self> {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await?;
        let (address, wiring) = (listener.local_addr()?, watch::Sender::new(Wiring::Pass));
        let task = tokio::spawn(listen(listener, address, server, wiring.subscribe()));
        Ok(Self { address, wiring, task })
    }

    /// Where it listens.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// What becomes of everything from now on.
    pub fn set(&self, wiring: Wiring) {
        self.wiring.send_replace(wiring);
    }
}

impl Drop for Wire {
    fn drop(&mut self) {
        self.task.abort();
    }
}

async fn listen(listener: TcpListener, address: SocketAddr, server: SocketAddr, mut wiring: watch::Receiver<Wiring>) {
    let (mut listener, mut connections) = (Some(listener), JoinSet::new());
    loop {
        let refuse = *wiring.borrow_and_update() == Wiring::Refuse;
        if refuse {
            listener = None;
        } else if listener.is_none() {
            listener = TcpListener::bind(address).await.ok();
        }
        tokio::select! {
            changed = wiring.changed() => if changed.is_err() { return },
            Some(client) = accept(listener.as_ref()) => {
                connections.spawn(carry(client, server, wiring.clone()));
            }
            () = tokio::time::sleep(AGAIN), if listener.is_none() && !refuse => {}
            Some(_) = connections.join_next() => {}
        }
    }
}

async fn accept(listener: Option<&TcpListener>) -> Option<TcpStream> {
    Some(listener?.accept().await.ok()?.0)
}

/// Errors end a connection, for both sides.
async fn carry(mut client: TcpStream, server: SocketAddr, wiring: watch::Receiver<Wiring>) {
    match TcpStream::connect(server).await {
        Ok(mut server) => {
            if talk(&mut client, &mut server, wiring).await == Some(End::Reset) {
                // Else the end would look like an orderly one.
                let _ = (client.set_zero_linger(), server.set_zero_linger());
            }
        }
        Err(_) => drop(client.set_zero_linger()),
    }
}

#[derive(PartialEq, Eq)]
enum End {
    Orderly,
    Reset,
}

/// One piece at a time, which is enough for whoever asks and then waits. `None`: somebody has gone.
async fn talk(client: &mut TcpStream, server: &mut TcpStream, mut wiring: watch::Receiver<Wiring>) -> Option<End> {
    let (mut asked, mut answered) = (vec![0; 64 * 1024], vec![0; 64 * 1024]);
    loop {
        let now = *wiring.borrow_and_update();
        if matches!(now, Wiring::Cut | Wiring::Refuse) {
            return Some(End::Reset);
        }
        tokio::select! {
            changed = wiring.changed() => changed.ok()?,
            read = client.read(&mut asked), if now != Wiring::Stall => {
                let piece = asked.get(..read.ok().filter(|&read| read > 0)?)?;
                if now == Wiring::Unavailable {
                    refuse(client).await?;
                    return Some(End::Orderly);
                }
                pass(piece, server, now).await?;
            }
            read = server.read(&mut answered), if now != Wiring::Stall => {
                let piece = answered.get(..read.ok().filter(|&read| read > 0)?)?;
                if now == Wiring::Garbage {
                    client.write_all(NOISE).await.ok()?;
                    return Some(End::Orderly);
                }
                pass(piece, client, now).await?;
            }
        }
    }
}

async fn pass(piece: &[u8], to: &mut TcpStream, wiring: Wiring) -> Option<()> {
    if let Wiring::Delay(delay) = wiring {
        tokio::time::sleep(delay).await;
    }
    to.write_all(piece).await.ok()
}

/// Hears the rest of what is asked, since an answer can get lost when a connection ends with something unread.
async fn refuse(client: &mut TcpStream) -> Option<()> {
    let answer = format!(
        "HTTP/1.1 503 Service Unavailable\r\nconnection: close\r\ncontent-type: text/plain\r\ncontent-length: {}\r\n\r\n\
         {UNAVAILABLE}",
        UNAVAILABLE.len()
    );
    client.write_all(answer.as_bytes()).await.ok()?;
    client.shutdown().await.ok()?;
    let mut rest = [0; 4096];
    let hear = async { while client.read(&mut rest).await.is_ok_and(|read| read > 0) {} };
    let _ = tokio::time::timeout(LAST_WORDS, hear).await;
    Some(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::ErrorKind;
    use std::time::Instant;

    /// A server that gives everything back, behind a wire.
    async fn echo() -> (Wire, JoinHandle<()>) {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await.unwrap();
        let wire = Wire::to(listener.local_addr().unwrap()).await.unwrap();
        let server = tokio::spawn(async move {
            while let Ok((mut stream, _)) = listener.accept().await {
                tokio::spawn(async move {
                    let (mut from, mut to) = stream.split();
                    tokio::io::copy(&mut from, &mut to).await
                });
            }
        });
        (wire, server)
    }

    async fn connect(wire: &Wire) -> TcpStream {
        TcpStream::connect(wire.address()).await.unwrap()
    }

    /// What comes back for this; the kind of error if none does.
    async fn ask(stream: &mut TcpStream, what: &[u8]) -> Result<Vec<u8>, ErrorKind> {
        stream.write_all(what).await.map_err(|error| error.kind())?;
        let mut answer = vec![0; 1024];
        let read = stream.read(&mut answer).await.map_err(|error| error.kind())?;
        answer.truncate(read);
        Ok(answer)
    }

    #[tokio::test]
    async fn it_passes_both_ways_and_later_when_told() {
        let (wire, _server) = echo().await;
        let mut stream = connect(&wire).await;
        assert_eq!(ask(&mut stream, b"hello").await.unwrap(), b"hello");
        wire.set(Wiring::Delay(Duration::from_millis(100)));
        let asked = Instant::now();
        assert_eq!(ask(&mut stream, b"again").await.unwrap(), b"again");
        assert!(asked.elapsed() >= Duration::from_millis(200), "{:?}", asked.elapsed());
    }

    #[tokio::test]
    async fn what_is_stalled_goes_on_its_way_later() {
        let (wire, _server) = echo().await;
        let mut stream = connect(&wire).await;
        assert_eq!(ask(&mut stream, b"hello").await.unwrap(), b"hello");
        wire.set(Wiring::Stall);
        let mut new = connect(&wire).await;
        let waiting = tokio::time::timeout(Duration::from_millis(200), ask(&mut stream, b"held")).await;
        assert!(waiting.is_err());
        wire.set(Wiring::Pass);
        let mut answer = [0; 4];
        stream.read_exact(&mut answer).await.unwrap();
        assert_eq!(&answer, b"held");
        assert_eq!(ask(&mut new, b"new").await.unwrap(), b"new");
    }

    #[tokio::test]
    async fn a_cut_resets_old_connections_and_new_ones() {
        let (wire, _server) = echo().await;
        let mut old = connect(&wire).await;
        assert_eq!(ask(&mut old, b"hello").await.unwrap(), b"hello");
        wire.set(Wiring::Cut);
        let mut new = connect(&wire).await;
        for stream in [&mut old, &mut new] {
            let read = stream.read(&mut [0; 8]).await.map_err(|error| error.kind());
            assert_eq!(read, Err(ErrorKind::ConnectionReset));
        }
        wire.set(Wiring::Pass);
        assert_eq!(ask(&mut connect(&wire).await, b"hello").await.unwrap(), b"hello");
    }

    #[tokio::test]
    async fn nobody_listens_until_it_is_over_and_then_on_the_same_port() {
        let (wire, _server) = echo().await;
        let mut old = connect(&wire).await;
        assert_eq!(ask(&mut old, b"hello").await.unwrap(), b"hello");
        wire.set(Wiring::Refuse);
        assert_eq!(old.read(&mut [0; 8]).await.map_err(|error| error.kind()), Err(ErrorKind::ConnectionReset));
        let refused = TcpStream::connect(wire.address()).await.map_err(|error| error.kind());
        assert_eq!(refused.unwrap_err(), ErrorKind::ConnectionRefused);
        wire.set(Wiring::Pass);
        let started = Instant::now();
        let mut again = loop {
            match TcpStream::connect(wire.address()).await {
                Ok(stream) => break stream,
                Err(error) => assert!(started.elapsed() < Duration::from_secs(5), "{error}"),
            }
            tokio::time::sleep(Duration::from_millis(5)).await;
        };
        assert_eq!(ask(&mut again, b"hello").await.unwrap(), b"hello");
    }

    #[tokio::test]
    async fn noise_takes_the_place_of_what_was_answered() {
        let (wire, _server) = echo().await;
        let mut stream = connect(&wire).await;
        wire.set(Wiring::Garbage);
        assert_eq!(ask(&mut stream, b"hello").await.unwrap(), NOISE);
        assert_eq!(stream.read(&mut [0; 8]).await.unwrap(), 0, "and then the end");
    }

    #[tokio::test]
    async fn the_wire_itself_says_503_on_connections_old_and_new() {
        let (wire, _server) = echo().await;
        let mut old = connect(&wire).await;
        assert_eq!(ask(&mut old, b"hello").await.unwrap(), b"hello");
        wire.set(Wiring::Unavailable);
        for mut stream in [old, connect(&wire).await] {
            let answer = ask(&mut stream, b"POST / HTTP/1.1\r\ncontent-length: 1\r\n\r\n").await.unwrap();
            let answer = String::from_utf8(answer).unwrap();
            assert!(answer.starts_with("HTTP/1.1 503 ") && answer.ends_with(UNAVAILABLE), "{answer}");
        }
    }

    #[tokio::test]
    async fn without_a_server_a_connection_is_reset() {
        let free = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await.unwrap().local_addr().unwrap();
        let wire = Wire::to(free).await.unwrap();
        let read = connect(&wire).await.read(&mut [0; 8]).await.map_err(|error| error.kind());
        assert_eq!(read, Err(ErrorKind::ConnectionReset));
    }
}
