//! The server: its calls, its port, and how tests disturb it.

use crate::reading;
use crate::store::{Expects, Fault, Proposed, Store};
use crate::wire::client::server_features::server_features_server::{ServerFeatures, ServerFeaturesServer};
use crate::wire::client::server_features::{SupportedMethod, SupportedMethods};
use crate::wire::client::streams::append_req::options::ExpectedStreamRevision;
use crate::wire::client::streams::append_req::{self, ProposedMessage};
use crate::wire::client::streams::append_resp::success::{CurrentRevisionOption, PositionOption};
use crate::wire::client::streams::append_resp::wrong_expected_version as wrong;
use crate::wire::client::streams::append_resp::{self, Success, WrongExpectedVersion};
use crate::wire::client::streams::read_req::options::{CountOption, FilterOption, StreamOption};
use crate::wire::client::streams::streams_server::{Streams, StreamsServer};
use crate::wire::client::streams::{AppendReq, AppendResp, Position, ReadReq, ReadResp};
use crate::wire::client::{Empty, StreamIdentifier, uuid};
use bytes::Bytes;
use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use tokio::net::TcpListener;
use tokio::sync::{mpsc, watch};
use tokio::task::JoinHandle;
use tokio_stream::wrappers::{ReceiverStream, TcpListenerStream};
use tonic::{Request, Response, Status, Streaming};

/// Answers that wait for a slow reader, before the server stops to read for it.
const ANSWERS_MAX: usize = 16;

/// A running server; ends with this value.
#[derive(Debug)]
pub struct Double {
    shared: Shared,
    port: u16,
    serving: JoinHandle<()>,
}

#[derive(Clone, Debug)]
struct Shared {
    store: Arc<Mutex<Store>>,
    grown: watch::Sender<usize>,
    ended: watch::Sender<u64>,
}

impl Double {
    /// Starts an empty one on a free loopback port.
    pub async fn start() -> std::io::Result<Self> {
        let listener = TcpListener::bind("127.0.0.1:0").await?;
        let port = listener.local_addr()?.port();
        let shared =
            Shared { store: Arc::default(), grown: watch::Sender::new(0), ended: watch::Sender::new(0) };
        // A real server's log begins with events of its own.
        shared.append_for("$$$settings", "$metadata", b"{}");
        let serving = serve(shared.clone(), listener);
        Ok(Self { shared, port, serving })
    }

    /// What a client connects to.
    pub fn connection(&self) -> String {
        format!("kurrentdb://127.0.0.1:{}?tls=false", self.port)
    }

    /// What goes wrong, one fault an append.
    pub fn fail_next(&self, faults: impl IntoIterator<Item = Fault>) {
        self.shared.store().faults.extend(faults);
    }

    /// Someone else's event.
    pub fn append_for(&self, stream: &str, event_type: &str, data: &'static [u8]) {
        self.shared.append_for(stream, event_type, data);
    }

    /// Ends all subscriptions with an error, as a node that goes away.
    pub fn drop_subscriptions(&self) {
        self.shared.ended.send_modify(|times| *times += 1);
    }

    /// The positions at which subscriptions began, oldest first.
    pub fn subscribed_at(&self) -> Vec<Option<u64>> {
        self.shared.store().begun_at.clone()
    }

    /// Events in all, the system's and others' with them.
    pub fn len(&self) -> usize {
        self.shared.store().all.len()
    }

    /// Never: the system has events of its own.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Goes away, connections and all; what it holds stays.
    pub async fn stop(&mut self) {
        self.drop_subscriptions();
        self.serving.abort();
        drop((&mut self.serving).await);
    }

    /// Comes back on the same port.
    pub async fn start_again(&mut self) -> std::io::Result<()> {
        let listener = TcpListener::bind(("127.0.0.1", self.port)).await?;
        self.serving = serve(self.shared.clone(), listener);
        Ok(())
    }
}

impl Drop for Double {
    fn drop(&mut self) {
        self.serving.abort();
    }
}

fn serve(shared: Shared, listener: TcpListener) -> JoinHandle<()> {
    let server = tonic::transport::Server::builder()
        .add_service(StreamsServer::new(shared.clone()))
        .add_service(ServerFeaturesServer::new(shared))
        .serve_with_incoming(TcpListenerStream::new(listener));
    tokio::spawn(async move { drop(server.await) })
}

impl Shared {
    fn store(&self) -> MutexGuard<'_, Store> {
        self.store.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn note_growth(&self) {
        let length = self.store().all.len();
        self.grown.send_replace(length);
    }

    fn append_for(&self, stream: &str, event_type: &str, data: &'static [u8]) {
        let metadata = HashMap::from([("type".to_owned(), event_type.to_owned())]);
        let id = ::uuid::Uuid::from_u128(u128::MAX - self.store().all.len() as u128);
        let proposed = Proposed { id, metadata, custom: Bytes::new(), data: Bytes::from_static(data) };
        drop(self.store().append(stream, Expects::Any, proposed));
        self.note_growth();
    }
}

#[tonic::async_trait]
impl ServerFeatures for Shared {
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
impl Streams for Shared {
    type ReadStream = ReceiverStream<Result<ReadResp, Status>>;

    async fn read(&self, request: Request<ReadReq>) -> Result<Response<Self::ReadStream>, Status> {
        asks_the_leader(&request)?;
        let options = request.into_inner().options.ok_or_else(|| Status::invalid_argument("options"))?;
        let (answers, receiver) = mpsc::channel(ANSWERS_MAX);
        let filter = options.filter_option.unwrap_or(FilterOption::NoFilter(Empty {}));
        match (options.stream_option, options.count_option) {
            (Some(StreamOption::Stream(stream)), Some(CountOption::Count(most))) => {
                let events = self.store().of(&name_of(stream.stream_identifier.as_ref())?);
                tokio::spawn(reading::stream(events, stream, most, answers));
            }
            (Some(StreamOption::All(all)), Some(CountOption::Count(most))) => {
                let events = self.store().all.clone();
                let backwards = options.read_direction == 1;
                tokio::spawn(async move {
                    reading::all(events, &all, backwards, (&filter, most), answers).await;
                });
            }
            (Some(StreamOption::All(all)), Some(CountOption::Subscription(_))) => {
                self.store().begun_at.push(reading::begins_at(&all));
                let (grown, ended) = (self.grown.subscribe(), self.ended.subscribe());
                let store = Arc::clone(&self.store);
                tokio::spawn(reading::subscription(store, grown, ended, (all, filter), answers));
            }
            (Some(StreamOption::Stream(_)), Some(CountOption::Subscription(_))) | (None, _) | (_, None) => {
                return Err(Status::unimplemented("the double does not do that"));
            }
        }
        Ok(Response::new(ReceiverStream::new(receiver)))
    }

    async fn append(&self, request: Request<Streaming<AppendReq>>) -> Result<Response<AppendResp>, Status> {
        asks_the_leader(&request)?;
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
        let fault = self.store().faults.pop_front();
        if fault == Some(Fault::Refused) {
            return Err(Status::permission_denied("access denied"));
        }
        let appended = self.store().append(&stream, expects, proposed);
        self.note_growth();
        if fault == Some(Fault::AnswerLost) {
            return Err(Status::unavailable("the connection was lost"));
        }
        Ok(Response::new(AppendResp { result: Some(result(appended, expects)) }))
    }
}

/// Followers may be behind: a log is read from its leader.
fn asks_the_leader<T>(request: &Request<T>) -> Result<(), Status> {
    let asked = request.metadata().get("requires-leader").is_some_and(|value| value == "true");
    if asked { Ok(()) } else { Err(Status::failed_precondition("does not ask for the leader")) }
}

fn name_of(identifier: Option<&StreamIdentifier>) -> Result<String, Status> {
    let name = identifier.and_then(|identifier| String::from_utf8(identifier.stream_name.to_vec()).ok());
    name.ok_or_else(|| Status::invalid_argument("stream_identifier"))
}

fn read_proposed(message: ProposedMessage) -> Result<Proposed, Status> {
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
