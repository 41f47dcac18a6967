//! Three nats-servers that are one cluster, with JetStream, on a network of their own: each can be killed and started again,
//! paused, and cut off from the clients, the others, or both.
//!
//! Needs root, as [`Network`] does. All handles end when this is dropped.

use crate::nats::{NatsOptions, jetstream_block};
use crate::network::{Link, Network};
use crate::process::{Process, READY_WITHIN, StartError};
use crate::tools::python_tool;
use serde_json::Value;
use std::time::Duration;
use tempfile::TempDir;
use tokio::time::{Instant, sleep, timeout};

/// The servers of a cluster.
pub const NODES: u8 = 3;

const CLIENT_PORT: u16 = 4222;
const ROUTE_PORT: u16 = 6222;
const MONITORING_PORT: u16 = 8222;
/// How often health and leaders are looked at.
const POLL: Duration = Duration::from_millis(50);
/// How long a monitoring endpoint may take.
const MONITORING_WITHIN: Duration = Duration::from_secs(2);

/// A cluster of three. Nodes are numbered from 0; node 0 is the server `n1`.
#[derive(Debug)]
pub struct NatsCluster {
    /// Before the network, so that the servers are gone before their hosts are.
    nodes: Vec<Node>,
    network: Network,
    http: reqwest::Client,
}

#[derive(Debug)]
struct Node {
    options: NatsOptions,
    /// `None` after [`NatsCluster::kill`]. Before the store.
    process: Option<Process>,
    is_paused: bool,
    store: TempDir,
}

impl NatsCluster {
    /// Starts three servers with the same options and waits until they are one healthy cluster.
    pub async fn start(options: NatsOptions) -> Result<Self, StartError> {
        Self::start_mixed([options.clone(), options.clone(), options]).await
    }

    /// The same, with options for each.
    pub async fn start_mixed(options: [NatsOptions; 3]) -> Result<Self, StartError> {
        let network = Network::create(NODES)?;
        let http = reqwest::Client::builder().no_proxy().timeout(MONITORING_WITHIN).build();
        let http = http.map_err(std::io::Error::other)?;
        let mut nodes = Vec::new();
        for options in options {
            nodes.push(Node { options, process: None, is_paused: false, store: tempfile::tempdir()? });
        }
        let mut cluster = Self { nodes, network, http };
        for node in 0..NODES {
            cluster.spawn(node)?;
        }
        cluster.until_healthy().await?;
        Ok(cluster)
    }

    /// Where clients connect to a node.
    pub fn url(&self, node: u8) -> String {
        format!("nats://{}:{CLIENT_PORT}", self.network.address(node, Link::Clients))
    }

    /// Where clients connect, of all nodes.
    pub fn urls(&self) -> Vec<String> {
        (0..NODES).map(|node| self.url(node)).collect()
    }

    /// Where a node's monitoring is served, if it is.
    pub fn monitoring_url(&self, node: u8) -> String {
        format!("http://{}:{MONITORING_PORT}", self.network.address(node, Link::Clients))
    }

    /// Where monitoring is served, of all nodes.
    pub fn monitoring_urls(&self) -> Vec<String> {
        (0..NODES).map(|node| self.monitoring_url(node)).collect()
    }

    /// Ends a node at once, as a crash would (SIGKILL); its store stays.
    pub fn kill(&mut self, node: u8) {
        if let Some(node) = self.node_mut(node) {
            node.process = None;
            node.is_paused = false;
        }
    }

    /// Ends a node at once and deletes its store, as the loss of its disk would.
    pub fn lose_disk(&mut self, node: u8) -> std::io::Result<()> {
        self.kill(node);
        let Some(node) = self.node_mut(node) else { return Ok(()) };
        node.store = tempfile::tempdir()?;
        Ok(())
    }

    /// Starts a node again on its store and addresses; kills it first when it runs. Does not wait for it:
    /// [`until_healthy`](Self::until_healthy) does.
    pub fn restart(&mut self, node: u8) -> Result<(), StartError> {
        self.kill(node);
        self.spawn(node)
    }

    /// SIGSTOP: nothing happens in a node for a while, and it knows nothing of that.
    pub fn pause(&mut self, node: u8) -> std::io::Result<()> {
        self.signal(node, true)
    }

    /// SIGCONT.
    pub fn resume(&mut self, node: u8) -> std::io::Result<()> {
        self.signal(node, false)
    }

    /// Nobody reaches a node any more, nor it anybody; no connection is told.
    pub fn cut_off(&self, node: u8) -> std::io::Result<()> {
        self.network.set(node, Link::Hosts, false)?;
        self.network.set(node, Link::Clients, false)
    }

    /// The other nodes do not reach a node any more; clients do.
    pub fn part(&self, node: u8) -> std::io::Result<()> {
        self.network.set(node, Link::Hosts, false)
    }

    /// Ends what [`cut_off`](Self::cut_off) and [`part`](Self::part) did.
    pub fn join(&self, node: u8) -> std::io::Result<()> {
        self.network.set(node, Link::Hosts, true)?;
        self.network.set(node, Link::Clients, true)
    }

    /// Waits until every node that runs says that it is well: it knows its cluster's leader, and its streams are up to date.
    pub async fn until_healthy(&mut self) -> Result<(), StartError> {
        for node in 0..NODES {
            let url = format!("{}/healthz", self.monitoring_url(node));
            let address = (self.network.address(node, Link::Clients), CLIENT_PORT).into();
            let Some(node) = self.node_mut(node) else { continue };
            match &mut node.process {
                Some(process) if node.options.monitoring => process.until_http(&url).await?,
                Some(process) => process.until_listening(address).await?,
                None => {}
            }
        }
        Ok(())
    }

    /// The node that leads the cluster (JetStream's meta group), once there is one that the others know.
    pub async fn meta_leader(&self) -> Result<u8, StartError> {
        self.until_told("leader of the cluster", "jsz", |told| {
            told.pointer("/meta_cluster/leader").and_then(Value::as_str).map(str::to_owned)
        })
        .await
    }

    /// The node that leads a stream, once there is one that the others know.
    pub async fn stream_leader(&self, stream: &str) -> Result<u8, StartError> {
        self.until_told("leader of the stream", "jsz?accounts=true&streams=true", |told| {
            let accounts = told.get("account_details")?.as_array()?;
            let mut streams =
                accounts.iter().filter_map(|account| account.get("stream_detail")?.as_array()).flatten();
            let found = streams.find(|found| found.get("name").and_then(Value::as_str) == Some(stream))?;
            found.pointer("/cluster/leader").and_then(Value::as_str).map(str::to_owned)
        })
        .await
    }

    /// What a node has written lately, for the message of a failing test.
    pub fn log_tail(&self, node: u8) -> String {
        let process = self.nodes.get(usize::from(node)).and_then(|node| node.process.as_ref());
        process.map(Process::log_tail).unwrap_or_default()
    }

    fn node_mut(&mut self, node: u8) -> Option<&mut Node> {
        self.nodes.get_mut(usize::from(node))
    }

    fn spawn(&mut self, number: u8) -> Result<(), StartError> {
        let folder = tempfile::tempdir()?;
        let config = folder.path().join("nats.conf");
        let mut command = self.network.command(number, &python_tool("nats-server")?);
        command.arg("-c").arg(&config);
        let text = self.config_text(number);
        if let Some(node) = self.node_mut(number) {
            std::fs::write(&config, text)?;
            let process = Process::spawn("nats-server", &mut command, folder)?;
            node.process = Some(process.ready_within(node.options.ready_within));
        }
        Ok(())
    }

    fn config_text(&self, number: u8) -> String {
        let Some(node) = self.nodes.get(usize::from(number)) else { return String::new() };
        let (clients, hosts) =
            (self.network.address(number, Link::Clients), self.network.address(number, Link::Hosts));
        let others = (0..NODES).filter(|other| *other != number);
        let routes: Vec<_> = others
            .map(|other| format!("\"nats://{}:{ROUTE_PORT}\"", self.network.address(other, Link::Hosts)))
            .collect();
        let mut lines =
            vec![format!("server_name: {}", name(number)), format!("listen: \"{clients}:{CLIENT_PORT}\"")];
        if node.options.monitoring {
            lines.push(format!("http: \"{clients}:{MONITORING_PORT}\""));
        }
        lines.push(format!(
            "cluster {{ name: daypass, listen: \"{hosts}:{ROUTE_PORT}\", no_advertise: true, routes: [{}] }}",
            routes.join(", ")
        ));
        lines.push(jetstream_block(&node.options, node.store.path()));
        lines.push(node.options.extra.clone());
        lines.join("\n")
    }

    fn signal(&mut self, number: u8, pause: bool) -> std::io::Result<()> {
        let Some(node) = self.node_mut(number) else { return Ok(()) };
        let Some(process) = &node.process else { return Ok(()) };
        process.signal(if pause { "STOP" } else { "CONT" })?;
        node.is_paused = pause;
        Ok(())
    }

    /// Asks the nodes that run until two of them name the same node.
    async fn until_told(
        &self,
        what: &'static str,
        path: &str,
        named: impl Fn(&Value) -> Option<String>,
    ) -> Result<u8, StartError> {
        let deadline = Instant::now() + READY_WITHIN;
        loop {
            let mut told = Vec::new();
            for node in (0..NODES).filter(|node| self.runs(*node)) {
                if let Some(answer) = self.monitoring(node, path).await {
                    told.extend(named(&answer));
                }
            }
            let leader = (0..NODES).find(|node| told.iter().filter(|told| **told == name(*node)).count() > 1);
            if let Some(leader) = leader {
                return Ok(leader);
            }
            if Instant::now() >= deadline {
                return Err(StartError::Late { name: what, log: self.log_tail(0) });
            }
            sleep(POLL).await;
        }
    }

    /// What a node's monitoring says at a path, `None` when it does not answer.
    pub async fn monitoring(&self, node: u8, path: &str) -> Option<Value> {
        let url = format!("{}/{path}", self.monitoring_url(node));
        let answer = async { self.http.get(url).send().await?.json().await };
        timeout(MONITORING_WITHIN, answer).await.ok()?.ok()
    }

    fn runs(&self, node: u8) -> bool {
        self.nodes.get(usize::from(node)).is_some_and(|node| node.process.is_some() && !node.is_paused)
    }
}

/// What the servers call a node.
fn name(node: u8) -> String {
    format!("n{}", node + 1)
}
