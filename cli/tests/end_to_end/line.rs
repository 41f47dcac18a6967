//! A line to a process that can lose answers: what is sent still arrives, and nothing comes back.

use std::net::{Ipv4Addr, SocketAddr};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _, copy};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinSet;

/// Forwards connections as they are, TLS and all. Ends when dropped.
pub(crate) struct Line {
    address: SocketAddr,
    muted: Muted,
    _carrying: JoinSet<()>,
}

/// How often the line was muted.
type Muted = Arc<AtomicU64>;

impl Line {
    /// A line to `target`, a host with its port.
    pub(crate) async fn to(target: &str) -> Self {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await.unwrap();
        let address = listener.local_addr().unwrap();
        let (target, muted) = (target.to_owned(), Muted::default());
        let told = Arc::clone(&muted);
        let mut carrying = JoinSet::new();
        carrying.spawn(async move {
            let mut connections = JoinSet::new();
            while let Ok((near, _)) = listener.accept().await {
                let (target, told) = (target.clone(), Arc::clone(&told));
                connections.spawn(async move {
                    // Either side may go at any time.
                    let _ = carry(near, &target, &told).await;
                });
                while connections.try_join_next().is_some() {}
            }
        });
        Self { address, muted, _carrying: carrying }
    }

    /// Where callers connect.
    pub(crate) fn address(&self) -> SocketAddr {
        self.address
    }

    /// Nothing comes back any more on connections that there are; those that follow are as good as new.
    pub(crate) fn mute(&self) {
        self.muted.fetch_add(1, Ordering::Relaxed);
    }
}

/// Until one side closes.
async fn carry(mut near: TcpStream, target: &str, muted: &Muted) -> std::io::Result<()> {
    let mut far = TcpStream::connect(target).await?;
    let made = muted.load(Ordering::Relaxed);
    let (mut from_near, mut to_near) = near.split();
    let (mut from_far, mut to_far) = far.split();
    let back = async {
        let mut buffer = Vec::with_capacity(16 << 10);
        while from_far.read_buf(&mut buffer).await? > 0 {
            if muted.load(Ordering::Relaxed) == made {
                to_near.write_all(&buffer).await?;
            }
            buffer.clear();
        }
        Ok::<(), std::io::Error>(())
    };
    tokio::select! {
        sent = copy(&mut from_near, &mut to_far) => sent.map(drop),
        told = back => told,
    }
}
