//! A line to the server of the log that can withhold answers: from the next append to the ledger of an assignment on, whatever is sent
//! arrives, and what comes back waits on the line.

use std::net::{Ipv4Addr, SocketAddr};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;
use tokio::task::JoinSet;

/// How the publish of such an append begins, in the protocol of NATS.
const APPEND: &[u8] = b"HPUB daypass.log.activation.assignment.";

/// What the line does with what comes back.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Answers {
    /// Carries it.
    Carried,
    /// Carries it until the next append.
    UntilAppend,
    /// Keeps it.
    Withheld,
}

/// Forwards connections. Ends when dropped.
pub(super) struct LogLine {
    address: SocketAddr,
    answers: watch::Sender<Answers>,
    _carrying: JoinSet<()>,
}

impl LogLine {
    /// A line to a host with its port.
    pub(super) async fn to(target: String) -> Self {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await.unwrap();
        let address = listener.local_addr().unwrap();
        let answers = watch::Sender::new(Answers::Carried);
        let told = answers.clone();
        let mut carrying = JoinSet::new();
        carrying.spawn(async move {
            let mut connections = JoinSet::new();
            while let Ok((near, _)) = listener.accept().await {
                let (target, told) = (target.clone(), told.clone());
                connections.spawn(async move {
                    // Either side may go at any time.
                    let _ = carry(near, &target, &told).await;
                });
                while connections.try_join_next().is_some() {}
            }
        });
        Self { address, answers, _carrying: carrying }
    }

    /// Where the process connects.
    pub(super) fn address(&self) -> SocketAddr {
        self.address
    }

    /// The next append to the ledger of an assignment arrives; its answer does not, nor anything after it.
    pub(super) fn withhold_from_next_append(&self) {
        self.answers.send_replace(Answers::UntilAppend);
    }

    /// Whether that append was sent.
    pub(super) fn withholds(&self) -> bool {
        *self.answers.borrow() == Answers::Withheld
    }

    /// Everything that waits comes back.
    pub(super) fn let_go(&self) {
        self.answers.send_replace(Answers::Carried);
    }
}

/// Until one side closes.
async fn carry(mut near: TcpStream, target: &str, answers: &watch::Sender<Answers>) -> std::io::Result<()> {
    let mut far = TcpStream::connect(target).await?;
    let mut told = answers.subscribe();
    let (mut from_near, mut to_near) = near.split();
    let (mut from_far, mut to_far) = far.split();
    let there = async {
        // What was sent last stays in front, because a line may come in two pieces.
        let (mut seen, mut sent) = (Vec::<u8>::with_capacity(64 << 10), 0);
        while from_near.read_buf(&mut seen).await? > 0 {
            if seen.windows(APPEND.len()).any(|part| part == APPEND) {
                // Before the append leaves, so that its answer is late for certain.
                answers.send_if_modified(|answers| {
                    let withheld = *answers == Answers::UntilAppend;
                    if withheld {
                        *answers = Answers::Withheld;
                    }
                    withheld
                });
            }
            to_far.write_all(seen.get(sent..).unwrap_or_default()).await?;
            seen.drain(..seen.len().saturating_sub(APPEND.len() - 1));
            sent = seen.len();
        }
        Ok::<(), std::io::Error>(())
    };
    let back = async {
        let mut buffer = Vec::<u8>::with_capacity(64 << 10);
        while from_far.read_buf(&mut buffer).await? > 0 {
            // Who could tell is there for as long as the line is.
            drop(told.wait_for(|answers| *answers != Answers::Withheld).await);
            to_near.write_all(&buffer).await?;
            buffer.clear();
        }
        Ok::<(), std::io::Error>(())
    };
    tokio::select! {
        sent = there => sent,
        told = back => told,
    }
}
