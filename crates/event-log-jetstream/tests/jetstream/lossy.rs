//! A network between client and server that breaks where a test wants it to.

use std::net::{Ipv4Addr, SocketAddr};
use std::sync::Arc;
use std::sync::atomic::{AtomicU8, Ordering};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::tcp::{OwnedReadHalf, OwnedWriteHalf};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;

/// What happens next to an append.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub(crate) enum Break {
    Nothing,
    /// The connection breaks with the append on its way there.
    Call,
    /// The append is stored, and the connection breaks with the answer on its way back.
    Answer,
}

/// A TCP proxy in front of a server.
pub(crate) struct Lossy {
    address: SocketAddr,
    next: Arc<AtomicU8>,
    cuts: watch::Sender<u64>,
    accepting: tokio::task::JoinHandle<()>,
}

impl Lossy {
    pub(crate) async fn before(server: SocketAddr) -> Self {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await.unwrap();
        let address = listener.local_addr().unwrap();
        let next = Arc::new(AtomicU8::new(Break::Nothing as u8));
        let cuts = watch::Sender::new(0);
        let accepting = tokio::spawn({
            let (next, cuts) = (Arc::clone(&next), cuts.clone());
            async move {
                while let Ok((client, _)) = listener.accept().await {
                    if let Ok(server) = TcpStream::connect(server).await {
                        carry(client, server, &next, &cuts);
                    }
                }
            }
        });
        Self { address, next, cuts, accepting }
    }

    pub(crate) fn url(&self) -> String {
        format!("nats://{}", self.address)
    }

    /// Breaks the next append.
    pub(crate) fn break_next(&self, what: Break) {
        self.next.store(what as u8, Ordering::SeqCst);
    }

    /// Whether the break was needed.
    pub(crate) fn has_broken(&self) -> bool {
        self.next.load(Ordering::SeqCst) == Break::Nothing as u8
    }

    /// Breaks every connection now.
    pub(crate) fn cut(&self) {
        self.cuts.send_modify(|cuts| *cuts += 1);
    }
}

impl Drop for Lossy {
    fn drop(&mut self) {
        self.accepting.abort();
        self.cut();
    }
}

fn carry(client: TcpStream, server: TcpStream, next: &Arc<AtomicU8>, cuts: &watch::Sender<u64>) {
    let ((from_client, to_client), (from_server, to_server)) = (client.into_split(), server.into_split());
    let pumps = [
        (from_client, to_server, "HPUB daypass.log.", Break::Call),
        (from_server, to_client, "\"stream\":\"DAYPASS_LOG\"", Break::Answer),
    ];
    for (from, to, sign, what) in pumps {
        tokio::spawn(pump(from, to, sign, what, Arc::clone(next), cuts.clone()));
    }
}

async fn pump(
    mut from: OwnedReadHalf,
    mut to: OwnedWriteHalf,
    sign: &'static str,
    what: Break,
    next: Arc<AtomicU8>,
    cuts: watch::Sender<u64>,
) {
    let mut cut = cuts.subscribe();
    let mut buffer = vec![0; 64 * 1024];
    loop {
        let read = tokio::select! {
            biased;
            _ = cut.changed() => return,
            read = from.read(&mut buffer) => read.unwrap_or(0),
        };
        let bytes = buffer.get(..read).unwrap_or_default();
        let is_it = bytes.windows(sign.len()).any(|window| window == sign.as_bytes());
        let nothing = Break::Nothing as u8;
        if is_it && next.compare_exchange(what as u8, nothing, Ordering::SeqCst, Ordering::SeqCst).is_ok() {
            cuts.send_modify(|cuts| *cuts += 1);
            return;
        }
        if read == 0 || to.write_all(bytes).await.is_err() {
            return;
        }
    }
}
