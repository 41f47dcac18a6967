//! A connection to nats-server that sees each refusal, in order: the client library tells of them some time later, if at all.

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use nkeys::KeyPair;
use serde_json::{Value, json};
use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::time::Duration;
use tokio::io::{AsyncBufReadExt as _, AsyncReadExt as _, AsyncWriteExt as _, BufReader};
use tokio::net::TcpStream;
use tokio::time::timeout;

/// How long a message may take on a busy machine.
const PATIENCE: Duration = Duration::from_secs(20);

pub(crate) struct Wire {
    stream: BufReader<TcpStream>,
    inbox: String,
    answers: u64,
    /// The first message that came to a subject and was not taken yet.
    messages: BTreeMap<String, Vec<u8>>,
}

impl Wire {
    /// Signs in with a seed; `Err` with what the server says.
    pub(crate) async fn sign_in(server: SocketAddr, seed: &str) -> Result<Self, String> {
        let mut stream = BufReader::new(TcpStream::connect(server).await.unwrap());
        let mut line = String::new();
        stream.read_line(&mut line).await.unwrap();
        let info: Value = serde_json::from_str(line.strip_prefix("INFO ").unwrap()).unwrap();
        let pair = KeyPair::from_seed(seed).unwrap();
        let signature = pair.sign(info["nonce"].as_str().unwrap().as_bytes()).unwrap();
        let connect = json!({
            "verbose": false, "pedantic": false, "headers": true, "no_responders": true, "lang": "test", "version": "1",
            "nkey": pair.public_key(), "sig": URL_SAFE_NO_PAD.encode(signature),
        });
        let inbox = format!("_INBOX.{}", pair.public_key());
        let mut wire = Self { stream, inbox, answers: 0, messages: BTreeMap::new() };
        wire.send(&format!("CONNECT {connect}\r\nSUB {}.> 1\r\n", wire.inbox)).await;
        let refusals = wire.refusals().await?;
        if refusals.is_empty() { Ok(wire) } else { Err(refusals.concat()) }
    }

    async fn send(&mut self, text: &str) {
        // A server that has hung up is noticed when its answer is read.
        let _ = self.stream.write_all(text.as_bytes()).await;
    }

    /// Publishes, and says whether the server took it. Nothing is waited for but that.
    pub(crate) async fn may_publish(&mut self, subject: &str) -> bool {
        self.send(&format!("PUB {subject} 0\r\n\r\n")).await;
        self.is_granted("Publish", subject).await
    }

    pub(crate) async fn may_subscribe(&mut self, subject: &str) -> bool {
        self.send(&format!("SUB {subject} 2\r\nUNSUB 2\r\n")).await;
        self.is_granted("Subscription", subject).await
    }

    async fn is_granted(&mut self, what: &str, subject: &str) -> bool {
        let refusals = self.refusals().await.unwrap();
        let refused = format!("'Permissions Violation for {what} to \"{subject}\"'");
        assert!(refusals.iter().all(|refusal| *refusal == refused), "{subject}: {refusals:?}");
        refusals.is_empty()
    }

    /// A request, and its answer; `Err` with the refusal.
    pub(crate) async fn ask(&mut self, subject: &str, body: &str) -> Result<Value, String> {
        self.answers += 1;
        let reply = format!("{}.{}", self.inbox, self.answers);
        self.send(&format!("PUB {subject} {reply} {}\r\n{body}\r\n", body.len())).await;
        let answer = self.delivered(&reply).await?;
        Ok(serde_json::from_slice(&answer).unwrap_or(Value::Null))
    }

    /// A request that has its answer sent to somebody else.
    pub(crate) async fn ask_for(&mut self, reply: &str, subject: &str, body: &str) {
        self.send(&format!("PUB {subject} {reply} {}\r\n{body}\r\n", body.len())).await;
    }

    /// Publishes with headers as they stand here; the first line says their version, the last is empty.
    pub(crate) async fn tell_with(&mut self, subject: &str, headers: &str, body: &str) {
        let (length, total) = (headers.len(), headers.len() + body.len());
        self.send(&format!("HPUB {subject} {length} {total}\r\n{headers}{body}\r\n")).await;
    }

    /// Returns once the server has read everything. What it refused does not matter.
    pub(crate) async fn is_read(&mut self) {
        self.refusals().await.unwrap();
    }

    /// Listens to exactly this subject: a consumer delivers to nothing else.
    pub(crate) async fn listen(&mut self, subject: &str) {
        self.send(&format!("SUB {subject} 3\r\n")).await;
    }

    /// Where answers to this user come to.
    pub(crate) fn inbox(&self) -> &str {
        &self.inbox
    }

    /// The message that comes to a subject; `Err` with the refusal, if one comes before.
    pub(crate) async fn delivered(&mut self, subject: &str) -> Result<Vec<u8>, String> {
        let waited = async {
            loop {
                if let Some(refusal) = self.refusals().await?.pop() {
                    return Err(refusal);
                }
                if let Some(message) = self.messages.remove(subject) {
                    return Ok(message);
                }
            }
        };
        timeout(PATIENCE, waited).await.unwrap_or_else(|_| Err(format!("nothing comes to {subject}")))
    }

    /// What was refused up to the answer to a PING that is sent now.
    async fn refusals(&mut self) -> Result<Vec<String>, String> {
        self.send("PING\r\n").await;
        let mut refusals = Vec::new();
        loop {
            let mut line = String::new();
            if self.stream.read_line(&mut line).await.unwrap_or(0) == 0 {
                return Err(format!("the server hung up: {refusals:?}"));
            }
            let words: Vec<&str> = line.split_whitespace().collect();
            match words.as_slice() {
                ["PONG"] => return Ok(refusals),
                ["-ERR", ..] => refusals.push(line.trim().trim_start_matches("-ERR ").to_owned()),
                ["MSG" | "HMSG", subject, .., length] => {
                    let mut body = vec![0; length.parse::<usize>().unwrap() + 2];
                    self.stream.read_exact(&mut body).await.unwrap();
                    body.truncate(body.len() - 2);
                    self.messages.entry((*subject).to_owned()).or_insert(body);
                }
                _ => {}
            }
        }
    }
}
