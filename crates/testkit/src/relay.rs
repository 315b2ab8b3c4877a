//! A relay in front of Postgres that can keep back the answer to a commit: what is committed is durable, and whoever
//! committed it does not know. No lock and no fault of the server's can hold a program at that point.

use std::net::{Ipv4Addr, SocketAddr};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::tcp::{OwnedReadHalf, OwnedWriteHalf};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;
use tokio::task::JoinHandle;

/// A simple query of the protocol: the type, the length, the text and a NUL.
const COMMIT: &[u8] = b"Q\0\0\0\x0bCOMMIT\0";

/// A running relay; it stops when it is dropped, and its connections with it.
pub struct Relay {
    address: SocketAddr,
    wishes: Arc<Wishes>,
    task: JoinHandle<()>,
}

#[derive(Default)]
struct Wishes {
    /// The next commit is the one.
    armed: AtomicBool,
    /// Its answer has come and is kept back.
    kept: watch::Sender<bool>,
}

impl Relay {
    /// Listens on a free port of the loopback address and passes everything on to a server and back.
    pub async fn start(server: SocketAddr) -> anyhow::Result<Self> {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await?;
        let (address, wishes) = (listener.local_addr()?, Arc::new(Wishes::default()));
        let shared = Arc::clone(&wishes);
        let task = tokio::spawn(async move {
            let mut connections = tokio::task::JoinSet::new();
            while let Ok((client, _)) = listener.accept().await {
                connections.spawn(connect(client, server, Arc::clone(&shared)));
            }
        });
        Ok(Self { address, wishes, task })
    }

    /// Where it listens.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// Lets the next commit through, and keeps back its answer and whatever follows on that connection.
    pub fn keep_back_next_commit(&self) {
        self.wishes.kept.send_replace(false);
        self.wishes.armed.store(true, Ordering::SeqCst);
    }

    /// Waits until the server has answered the commit that [`keep_back_next_commit`](Self::keep_back_next_commit) means.
    pub async fn until_kept_back(&self) {
        // It fails only if the sender is dropped, which is held here.
        let _ = self.wishes.kept.subscribe().wait_for(|kept| *kept).await;
    }
}

impl Drop for Relay {
    fn drop(&mut self) {
        self.task.abort();
    }
}

/// Errors end a connection: both sides see that it has ended.
async fn connect(client: TcpStream, server: SocketAddr, wishes: Arc<Wishes>) {
    let Ok(server) = TcpStream::connect(server).await else { return };
    let (from_client, to_client) = client.into_split();
    let (from_server, to_server) = server.into_split();
    let mute = AtomicBool::new(false);
    tokio::select! {
        _ = ask(from_client, to_server, &wishes, &mute) => {}
        _ = answer(from_server, to_client, &wishes, &mute) => {}
    }
}

async fn ask(mut from: OwnedReadHalf, mut to: OwnedWriteHalf, wishes: &Wishes, mute: &AtomicBool) -> Option<()> {
    let mut buffer = vec![0; 64 * 1024];
    loop {
        let read = from.read(&mut buffer).await.ok().filter(|&read| read > 0)?;
        let bytes = buffer.get(..read)?;
        let commits = bytes.windows(COMMIT.len()).any(|window| window == COMMIT);
        if commits && wishes.armed.swap(false, Ordering::SeqCst) {
            mute.store(true, Ordering::SeqCst);
        }
        to.write_all(bytes).await.ok()?;
    }
}

async fn answer(mut from: OwnedReadHalf, mut to: OwnedWriteHalf, wishes: &Wishes, mute: &AtomicBool) -> Option<()> {
    let mut buffer = vec![0; 64 * 1024];
    loop {
        let read = from.read(&mut buffer).await.ok().filter(|&read| read > 0)?;
        if mute.load(Ordering::SeqCst) {
            wishes.kept.send_replace(true);
        } else {
            to.write_all(buffer.get(..read)?).await.ok()?;
        }
    }
}
