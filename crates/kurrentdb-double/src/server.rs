//! The server: its calls, and how tests disturb it.

use crate::node::Node;
use crate::reading;
use crate::store::{Expects, Fault, Proposed, Store};
use crate::wire::client::gossip::gossip_server::Gossip;
use crate::wire::client::gossip::{ClusterInfo, EndPoint, MemberInfo};
use crate::wire::client::server_features::server_features_server::ServerFeatures;
use crate::wire::client::server_features::{SupportedMethod, SupportedMethods};
use crate::wire::client::streams::append_req::options::ExpectedStreamRevision;
use crate::wire::client::streams::append_req::{self, ProposedMessage};
use crate::wire::client::streams::append_resp::success::{CurrentRevisionOption, PositionOption};
use crate::wire::client::streams::append_resp::wrong_expected_version as wrong;
use crate::wire::client::streams::append_resp::{self, Success, WrongExpectedVersion};
use crate::wire::client::streams::read_req::options::{CountOption, FilterOption, StreamOption};
use crate::wire::client::streams::streams_server::Streams;
use crate::wire::client::streams::{AppendReq, AppendResp, Position, ReadReq, ReadResp};
use crate::wire::client::{Empty, StreamIdentifier, uuid};
use bytes::Bytes;
use std::collections::HashMap;
use std::io;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;
use tokio::sync::{mpsc, watch};
use tokio_stream::wrappers::ReceiverStream;
use tonic::metadata::AsciiMetadataValue;
use tonic::{Request, Response, Status, Streaming};

/// Answers that wait for a slow reader, before the server stops to read for it.
const ANSWERS_MAX: usize = 16;
/// How long a node stands still.
const FROZEN_FOR: Duration = Duration::from_secs(15);
/// Where nodes listen.
const HOST: &str = "127.0.0.1";

/// A running server of one node or several; ends with this value.
#[derive(Debug)]
pub struct Double {
    shared: Shared,
    nodes: Vec<Node>,
}

/// What all nodes share.
#[derive(Clone, Debug)]
pub(crate) struct Shared {
    store: Arc<Mutex<Store>>,
    members: Arc<Mutex<Members>>,
    pub(crate) grown: watch::Sender<usize>,
    pub(crate) dropped: watch::Sender<u64>,
}

/// The nodes as gossip tells of them.
#[derive(Debug, Default)]
struct Members {
    ports: Vec<u16>,
    down: Vec<u16>,
    leader: u16,
}

/// What a node answers with.
#[derive(Clone, Debug)]
pub(crate) struct Served {
    pub(crate) shared: Shared,
    pub(crate) port: u16,
}

impl Double {
    /// Starts an empty one of one node.
    pub fn start() -> io::Result<Self> {
        Self::start_nodes(1)
    }

    /// Starts an empty one; the first node leads.
    pub fn start_nodes(count: usize) -> io::Result<Self> {
        let shared = Shared {
            store: Arc::default(),
            members: Arc::default(),
            grown: watch::Sender::new(0),
            dropped: watch::Sender::new(0),
        };
        // A real server's log begins with events of its own.
        shared.append_for("$$$settings", "$metadata", b"{}");
        let nodes = (0..count).map(|_| Node::start(&shared)).collect::<io::Result<Vec<_>>>()?;
        let ports: Vec<u16> = nodes.iter().map(|node| node.port).collect();
        let leader = ports.first().copied().unwrap_or_default();
        *shared.members() = Members { ports, down: Vec::new(), leader };
        Ok(Self { shared, nodes })
    }

    /// What a client connects to. It looks for nodes without the pauses that are right between machines.
    pub fn connection(&self) -> String {
        let hosts: Vec<String> = self.nodes.iter().map(|node| format!("{HOST}:{}", node.port)).collect();
        format!("kurrentdb://{}?tls=false&discoveryInterval=10", hosts.join(","))
    }

    /// What goes wrong, one fault an append.
    pub fn fail_next(&self, faults: impl IntoIterator<Item = Fault>) {
        self.shared.store().faults.extend(faults);
    }

    /// From now on as servers before 22.6: events of streams come without their places in `$all`.
    pub fn be_older_than_22_6(&self) {
        self.shared.store().before_22_6 = true;
    }

    /// Someone else's event.
    pub fn append_for(&self, stream: &str, event_type: &str, data: &'static [u8]) {
        self.shared.append_for(stream, event_type, data);
    }

    /// Ends all subscriptions with an error, as a node that is shut down.
    pub fn drop_subscriptions(&self) {
        self.shared.dropped.send_modify(|times| *times += 1);
    }

    /// The positions at which subscriptions began, oldest first.
    pub fn subscribed_at(&self) -> Vec<Option<u64>> {
        self.shared.store().begun_at.clone()
    }

    /// The checkpoints that subscriptions were sent, oldest first.
    pub fn checkpoints(&self) -> Vec<u64> {
        self.shared.store().checkpoints.clone()
    }

    /// How many events reads of `$all` had to pass over so far, because their filter was not for them. Subscriptions are not counted.
    pub fn passed_over(&self) -> usize {
        self.shared.store().passed_over
    }

    /// From now on it takes so long to look through 200 events of `$all` with a filter.
    pub fn look_slowly(&self, pace: Duration) {
        self.shared.store().pace = pace;
    }

    /// The position of the last event, whose ever it is.
    pub fn head(&self) -> u64 {
        self.shared.store().all.last().map_or(0, |event| event.position)
    }

    /// Events in all, the system's and others' with them.
    pub fn len(&self) -> usize {
        self.shared.store().all.len()
    }

    /// Never: the system has events of its own.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// A node goes away, connections and all; what the server holds stays.
    pub async fn stop(&mut self, node: usize) -> io::Result<()> {
        let node = self.nodes.get_mut(node).ok_or_else(no_such_node)?;
        self.shared.members().down.push(node.port);
        node.stop().await;
        Ok(())
    }

    /// It comes back on the same port.
    pub fn start_again(&mut self, node: usize) -> io::Result<()> {
        let node = self.nodes.get_mut(node).ok_or_else(no_such_node)?;
        node.start_again(&self.shared)?;
        self.shared.members().down.retain(|port| *port != node.port);
        Ok(())
    }

    /// Another node leads.
    pub fn lead(&self, node: usize) -> io::Result<()> {
        self.shared.members().leader = self.nodes.get(node).ok_or_else(no_such_node)?.port;
        Ok(())
    }
}

fn no_such_node() -> io::Error {
    io::Error::other("there is no such node")
}

impl Shared {
    pub(crate) fn store(&self) -> MutexGuard<'_, Store> {
        self.store.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn members(&self) -> MutexGuard<'_, Members> {
        self.members.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn append(&self, stream: &str, expects: Expects, proposed: Proposed) -> Result<(u64, u64), Option<u64>> {
        let mut store = self.store();
        let appended = store.append(stream, expects, proposed);
        self.grown.send_replace(store.all.len());
        appended
    }

    fn append_for(&self, stream: &str, event_type: &str, data: &'static [u8]) {
        let metadata = HashMap::from([("type".to_owned(), event_type.to_owned())]);
        let id = ::uuid::Uuid::from_u128(u128::MAX - self.store().all.len() as u128);
        let proposed = Proposed { id, metadata, custom: Bytes::new(), data: Bytes::from_static(data) };
        // Whoever expects anything is never refused.
        let _ = self.append(stream, Expects::Any, proposed);
    }
}

impl Served {
    /// Followers may be behind, so a log is read from its leader; who asks another node is told which that is.
    fn leads<T>(&self, request: &Request<T>) -> Result<(), Status> {
        if request.metadata().get("requires-leader").is_none_or(|value| value != "true") {
            return Err(Status::failed_precondition("does not ask for the leader"));
        }
        let leader = self.shared.members().leader;
        if leader == self.port {
            return Ok(());
        }
        let mut status = Status::not_found("Leader info available");
        let told = status.metadata_mut();
        told.insert("exception", AsciiMetadataValue::from_static("not-leader"));
        told.insert("leader-endpoint-host", AsciiMetadataValue::from_static(HOST));
        told.insert("leader-endpoint-port", leader.into());
        Err(status)
    }
}

#[tonic::async_trait]
impl ServerFeatures for Served {
    async fn get_supported_methods(&self, _: Request<Empty>) -> Result<Response<SupportedMethods>, Status> {
        let methods = ["read", "append"].map(|name| SupportedMethod {
            method_name: name.to_owned(),
            service_name: "event_store.client.streams.streams".to_owned(),
            features: Vec::new(),
        });
        Ok(Response::new(SupportedMethods {
            methods: methods.to_vec(),
            event_store_server_version: "25.1.0".to_owned(),
        }))
    }
}

#[tonic::async_trait]
impl Gossip for Served {
    async fn read(&self, _: Request<Empty>) -> Result<Response<ClusterInfo>, Status> {
        let members = self.shared.members();
        let told = members.ports.iter().map(|port| MemberInfo {
            state: if *port == members.leader { 8 } else { 6 },
            is_alive: !members.down.contains(port),
            http_end_point: Some(EndPoint { address: HOST.to_owned(), port: (*port).into() }),
        });
        Ok(Response::new(ClusterInfo { members: told.collect() }))
    }
}

#[tonic::async_trait]
impl Streams for Served {
    type ReadStream = ReceiverStream<Result<ReadResp, Status>>;

    async fn read(&self, request: Request<ReadReq>) -> Result<Response<Self::ReadStream>, Status> {
        self.leads(&request)?;
        let options = request.into_inner().options.ok_or_else(|| Status::invalid_argument("options"))?;
        let (answers, receiver) = mpsc::channel(ANSWERS_MAX);
        let filter = options.filter_option.unwrap_or(FilterOption::NoFilter(Empty {}));
        match (options.stream_option, options.count_option) {
            (Some(StreamOption::Stream(stream)), Some(CountOption::Count(most))) => {
                let events = self.shared.store().of(&name_of(stream.stream_identifier.as_ref())?);
                tokio::spawn(reading::stream(events, stream, most, answers));
            }
            (Some(StreamOption::All(all)), Some(CountOption::Count(most))) => {
                let from = reading::begins_at(&all).unwrap_or_default();
                let events = self.shared.store().all.clone();
                if !self.shared.store().can_begin_at(from) {
                    return Err(Status::unknown("Unexpected FilteredReadAllResult: InvalidPosition"));
                }
                let backwards = options.read_direction == 1;
                let shared = self.shared.clone();
                tokio::spawn(async move {
                    reading::all(&shared, (events, from), backwards, (&filter, most), answers).await;
                });
            }
            (Some(StreamOption::All(all)), Some(CountOption::Subscription(_))) => {
                let from = reading::begins_at(&all);
                self.shared.store().begun_at.push(from);
                let from = from.unwrap_or_default();
                if !self.shared.store().can_begin_at(from) {
                    return Err(Status::invalid_argument("Trying to read from an invalid position."));
                }
                tokio::spawn(reading::subscription(self.shared.clone(), from, filter, answers));
            }
            (Some(StreamOption::Stream(_)), Some(CountOption::Subscription(_))) | (None, _) | (_, None) => {
                return Err(Status::unimplemented("the double does not do that"));
            }
        }
        Ok(Response::new(ReceiverStream::new(receiver)))
    }

    async fn append(&self, request: Request<Streaming<AppendReq>>) -> Result<Response<AppendResp>, Status> {
        self.leads(&request)?;
        let mut parts = request.into_inner();
        let (mut options, mut proposed) = (None, Vec::new());
        while let Some(part) = parts.message().await? {
            match part.content {
                Some(append_req::Content::Options(told)) => options = Some(told),
                Some(append_req::Content::ProposedMessage(message)) => proposed.push(read_proposed(message)?),
                None => {}
            }
        }
        let options = options.ok_or_else(|| Status::invalid_argument("options"))?;
        let Ok([proposed]) = <[Proposed; 1]>::try_from(proposed) else {
            return Err(Status::unimplemented("the double takes one event at a time"));
        };
        let stream = name_of(options.stream_identifier.as_ref())?;
        let expects = match options.expected_stream_revision {
            Some(ExpectedStreamRevision::Revision(revision)) => Expects::Revision(revision),
            Some(ExpectedStreamRevision::NoStream(_)) => Expects::NoStream,
            Some(ExpectedStreamRevision::StreamExists(_)) => Expects::Exists,
            Some(ExpectedStreamRevision::Any(_)) | None => Expects::Any,
        };
        let fault = self.shared.store().faults.pop_front();
        if fault == Some(Fault::Refused) {
            return Err(Status::permission_denied("Access Denied"));
        }
        let appended = self.shared.append(&stream, expects, proposed);
        match fault {
            Some(Fault::AnswerLost) => return Err(Status::unavailable("the connection was lost")),
            // Of the one thread that the node has.
            Some(Fault::Frozen) => std::thread::sleep(FROZEN_FOR),
            Some(Fault::Refused) | None => {}
        }
        Ok(Response::new(AppendResp { result: Some(result(appended, expects)) }))
    }
}

fn name_of(identifier: Option<&StreamIdentifier>) -> Result<String, Status> {
    let name = identifier.and_then(|identifier| String::from_utf8(identifier.stream_name.to_vec()).ok());
    name.ok_or_else(|| Status::invalid_argument("stream_identifier"))
}

fn read_proposed(message: ProposedMessage) -> Result<Proposed, Status> {
    if !["type", "content-type"].iter().all(|name| message.metadata.contains_key(*name)) {
        return Err(Status::invalid_argument("Required Metadata Property is missing"));
    }
    let id = match message.id.and_then(|id| id.value) {
        Some(uuid::Value::String(text)) => text.parse().ok(),
        Some(uuid::Value::Structured(parts)) => Some(::uuid::Uuid::from_u64_pair(
            parts.most_significant_bits.cast_unsigned(),
            parts.least_significant_bits.cast_unsigned(),
        )),
        None => None,
    };
    Ok(Proposed {
        id: id.ok_or_else(|| Status::invalid_argument("id"))?,
        metadata: message.metadata,
        custom: message.custom_metadata,
        data: message.data,
    })
}

fn result(appended: Result<(u64, u64), Option<u64>>, expects: Expects) -> append_resp::Result {
    match appended {
        Ok((revision, place)) => append_resp::Result::Success(Success {
            current_revision_option: Some(CurrentRevisionOption::CurrentRevision(revision)),
            position_option: Some(PositionOption::Position(Position {
                commit_position: place,
                prepare_position: place,
            })),
        }),
        Err(last) => append_resp::Result::WrongExpectedVersion(WrongExpectedVersion {
            current_revision_option: Some(match last {
                Some(revision) => wrong::CurrentRevisionOption::CurrentRevision(revision),
                None => wrong::CurrentRevisionOption::CurrentNoStream(Empty {}),
            }),
            expected_revision_option: Some(match expects {
                Expects::Any => wrong::ExpectedRevisionOption::ExpectedAny(Empty {}),
                Expects::Exists => wrong::ExpectedRevisionOption::ExpectedStreamExists(Empty {}),
                Expects::NoStream => wrong::ExpectedRevisionOption::ExpectedNoStream(Empty {}),
                Expects::Revision(revision) => wrong::ExpectedRevisionOption::ExpectedRevision(revision),
            }),
        }),
    }
}
