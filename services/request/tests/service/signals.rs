//! Signals from outside: who is believed in what, what is recorded, and what is raised for a person.

use crate::world::*;
use api::request::v1::{IngestSignalRequest, IngestSignalResponse, SignalKind};
use aws::simulated::sample::{self, WEB_DEV};
use command::Commander;
use command::aggregate::SignalAggregate;
use domain::SignedDuration;
use event_log::memory::{AppendFault, Faults};
use event_log::{Envelope, StreamName};
use journal::key_store::KeyStore as _;
use journal::{Event, Fact, Service, Stream};
use lifecycle::RequestEvent;
use lifecycle::signal::{Signal, SignalEvent};
use prost::Message as _;
use request::{RequestService, Sources};
use service_runtime::config::Loader;
use std::time::Duration;
use tokio_util::sync::CancellationToken;
use tonic::{Code, Status};

/// HR tells who leaves, by the program `robot`; the ITSM raises, by the program `itsm`.
const SOURCES: &str = r#"
[[signals.sources]]
name = "hr"
kinds = ["person_left", "person_returned"]
token = { issuer = "https://idp.example", subject = "robot" }

[[signals.sources]]
name = "tickets"
kinds = ["raise_for_person", "ticket_approved"]
age_max = "1h"
token = { issuer = "https://idp.example", subject = "itsm" }
"#;

fn sources() -> Sources {
    let mut loader = Loader::new(SOURCES, []);
    let config = loader.or_default("signals");
    loader.finish().unwrap();
    Sources::new(&config).unwrap()
}

async fn world() -> World {
    let mut world = World::ordinary().await;
    world.believe(sources());
    world
}

fn signal(source: &str, id: &str, kind: SignalKind) -> IngestSignalRequest {
    IngestSignalRequest {
        idempotency_key: "any".to_owned(),
        source: source.to_owned(),
        source_id: id.to_owned(),
        kind: kind.into(),
        occurred_at: Some(prost_types::Timestamp { seconds: NOW, nanos: 0 }),
        ..IngestSignalRequest::default()
    }
}

fn about(name: &str, mut signal: IngestSignalRequest) -> IngestSignalRequest {
    signal.about = Some(wire_person(name));
    signal
}

pub(crate) fn left(id: &str, name: &str) -> IngestSignalRequest {
    about(name, signal("hr", id, SignalKind::PersonLeft))
}

fn raise(id: &str, name: &str) -> IngestSignalRequest {
    let mut ask = ask(WEB_DEV);
    ask.on_behalf_of = Some(wire_person(name));
    "OPS-7".clone_into(&mut ask.ticket);
    IngestSignalRequest { ask: Some(ask), ..signal("tickets", id, SignalKind::RaiseForPerson) }
}

impl World {
    pub(crate) async fn tell(
        &self,
        who: &str,
        signal: IngestSignalRequest,
    ) -> Result<IngestSignalResponse, Status> {
        let answer = self.signals().ingest_signal(by(who, signal)).await.map(tonic::Response::into_inner);
        self.see().await;
        answer
    }

    pub(crate) fn facts(&self) -> Vec<Event> {
        self.log.recorded().iter().map(|found| journal::decode(&found.envelope.body).unwrap()).collect()
    }

    /// What the log holds of a signal.
    async fn kept(&self, id: &str) -> Signal {
        let commander = Commander::new(self.views.log.clone(), Service::Request, self.views.clock.clone());
        let loaded = commander.load::<SignalAggregate>(&Stream::Signal(id.to_owned())).await.unwrap();
        loaded.state.clone().unwrap()
    }

    /// The process of the service runs for a while.
    async fn process(&self) {
        let service = RequestService::new(self.views.clone()).with_sources(sources());
        tokio::select! {
            () = service.run(CancellationToken::new()) => panic!("the process ended"),
            () = tokio::time::sleep(Duration::from_secs(12)) => {}
        }
        self.see().await;
    }
}

#[tokio::test(start_paused = true)]
async fn a_signal_is_recorded_once_with_whom_it_is_about() {
    let world = world().await;
    let answer = world.tell("robot", left("1", "ada")).await.unwrap();
    let events = world.facts().len();
    let again = IngestSignalRequest { idempotency_key: "another".into(), ..left("1", "ada") };
    assert_eq!(world.tell("robot", again).await.unwrap(), answer);
    assert_eq!(world.facts().len(), events, "a repeat is the same event");
    assert!(answer.request_id.is_empty());
    let kept = world.kept(&answer.signal_id).await.received;
    assert_eq!((kept.source.as_str(), kept.source_id.as_str()), ("hr", "1"));
    assert_eq!(kept.about, Some(person("ada")));
    assert_eq!(kept.about_principal.unwrap().as_str(), sample::ADA);
    let told_by = world.facts().pop().unwrap().actor.unwrap();
    assert_eq!(told_by.person, person("robot"));
    let other = world.tell("robot", left("1", "bob")).await;
    assert_eq!(no(other), (Code::AlreadyExists, "KEY_REUSED".to_owned()), "the same id, another content");
    assert_eq!(world.facts().len(), events);
}

#[tokio::test(start_paused = true)]
async fn what_an_earlier_build_recorded_under_a_key_is_still_a_repeat() {
    let (other, world) = (world().await, world().await);
    other.tell("robot", left("1", "ada")).await.unwrap();
    let event = other.facts().pop().unwrap();
    let plain = event.command_digest.unwrap();
    // What was told, as its digest takes it.
    let content = IngestSignalRequest { idempotency_key: String::new(), ..left("1", "ada") }.encode_to_vec();
    assert_eq!(plain, domain::canonical_digest([content.as_slice()]));
    let key = world.keys.obtain(&person("ada").id()).await.unwrap();
    let event = Event { command_digest: Some(key.digest(&content)), ..event };
    let envelope = Envelope {
        event_id: *event.id.as_uuid(),
        writer: event_log::Writer::new("request").unwrap(),
        body: journal::encode(&event).into(),
    };
    let stream = event.stream.to_string().parse().unwrap();
    world.views.log.append(&stream, event_log::Expected::NoStream, envelope).await.unwrap();
    world.see().await;
    let events = world.facts().len();
    world.tell("robot", left("1", "ada")).await.unwrap();
    assert_eq!(no(world.tell("robot", left("1", "bob")).await).1, "KEY_REUSED", "another content");
    assert_eq!(world.facts().len(), events);
}

#[tokio::test(start_paused = true)]
async fn only_a_configured_source_is_believed_and_only_in_what_it_may_tell() {
    let world = world().await;
    let events = world.facts().len();
    let unknown = || (Code::PermissionDenied, "SOURCE_UNKNOWN".to_owned());
    assert_eq!(no(world.tell("itsm", left("1", "ada")).await), unknown(), "somebody else's name");
    let mut nobody = left("1", "ada");
    nobody.source = "police".to_owned();
    assert_eq!(no(world.tell("robot", nobody).await), unknown(), "no such source");
    let human = no(world.tell("carol", left("1", "ada")).await);
    assert_eq!(human, (Code::PermissionDenied, "ACCESS_DENIED".to_owned()));
    let not_theirs = about("ada", signal("tickets", "1", SignalKind::PersonLeft));
    let refused = no(world.tell("itsm", not_theirs).await);
    assert_eq!(refused, (Code::PermissionDenied, "SIGNAL_NOT_ALLOWED".to_owned()));
    let precondition = |reason: &str| (Code::FailedPrecondition, reason.to_owned());
    let mut stale = raise("1", "ada");
    stale.occurred_at = Some(prost_types::Timestamp { seconds: NOW - 3_700, nanos: 0 });
    assert_eq!(no(world.tell("itsm", stale).await), precondition("SIGNAL_STALE"));
    let mut ahead = left("1", "ada");
    ahead.occurred_at = Some(prost_types::Timestamp { seconds: NOW + 400, nanos: 0 });
    assert_eq!(no(world.tell("robot", ahead).await), precondition("SIGNAL_AHEAD"));
    let incomplete = signal("hr", "1", SignalKind::PersonLeft);
    assert_eq!(no(world.tell("robot", incomplete).await), precondition("SIGNAL_INCOMPLETE"));
    let mut both = raise("1", "ada");
    both.about = Some(wire_person("bob"));
    assert_eq!(wrong_fields(world.tell("itsm", both).await), ["ask"]);
    let mut misplaced = left("1", "ada");
    misplaced.ask = Some(ask(WEB_DEV));
    assert_eq!(wrong_fields(world.tell("robot", misplaced).await), ["ask"]);
    assert_eq!(world.facts().len(), events, "nothing of it was recorded");
}

#[tokio::test(start_paused = true)]
async fn without_a_configuration_nobody_is_believed() {
    let world = World::ordinary().await;
    let refused = no(world.tell("robot", left("1", "ada")).await);
    assert_eq!(refused, (Code::PermissionDenied, "SOURCE_UNKNOWN".to_owned()));
}

#[tokio::test(start_paused = true)]
async fn whoever_left_asks_for_nothing_until_they_return() {
    let world = world().await;
    world.link("ada", "ada-at-home").await;
    world.created("ada", "before", ask(WEB_DEV)).await;
    world.tell("robot", left("1", "ada")).await.unwrap();
    let has_left = || (Code::PermissionDenied, "HAS_LEFT".to_owned());
    assert_eq!(no(world.create("ada", "k", ask(WEB_DEV)).await), has_left());
    assert_eq!(no(world.create("ada-at-home", "k", ask(WEB_DEV)).await), has_left(), "a linked identity");
    assert_eq!(no(world.create(sample::ADA, "k", ask(WEB_DEV)).await), has_left(), "the same user");
    let mut for_ada = ask(WEB_DEV);
    for_ada.on_behalf_of = Some(wire_person("ada"));
    assert_eq!(no(world.create("itsm", "k", for_ada).await), has_left(), "raised for her");
    assert_eq!(no(world.tell("itsm", raise("r", "ada")).await), has_left(), "or by a signal");
    world.create("bob", "k", ask(WEB_DEV)).await.unwrap_err();

    world.tell("robot", about("ada", signal("hr", "2", SignalKind::PersonReturned))).await.unwrap();
    world.create("ada", "after", ask(WEB_DEV)).await.unwrap();
}

#[tokio::test(start_paused = true)]
async fn an_identity_that_turns_out_to_be_someone_who_left_has_left() {
    let world = world().await;
    world.tell("robot", left("1", "ada-at-home")).await.unwrap();
    world.created("ada", "k", ask(WEB_DEV)).await;
    world.link("ada", "ada-at-home").await;
    assert_eq!(no(world.create("ada", "k2", ask(WEB_DEV)).await).1, "HAS_LEFT");
}

#[tokio::test(start_paused = true)]
async fn a_request_is_raised_for_a_person_with_the_source_as_its_raiser() {
    let world = world().await;
    let answer = world.tell("itsm", raise("CHG-1", "ada")).await.unwrap();
    let shown = world.get("ada", &answer.request_id).await.unwrap().request.unwrap();
    assert_eq!(shown.requester.unwrap().person.unwrap(), wire_person("ada"));
    assert_eq!(shown.raiser.unwrap().person.unwrap(), wire_person("itsm"));
    assert_eq!(shown.ticket, "OPS-7");
    assert_eq!(shown.justification, "the pager went off", "sealed once, for both events");
    assert!(world.get("itsm", &answer.request_id).await.is_ok(), "its raiser sees it");
    let events = world.facts().len();
    assert_eq!(world.tell("itsm", raise("CHG-1", "ada")).await.unwrap(), answer);
    world.process().await;
    assert_eq!(world.facts().len(), events, "once");
    let clear = world
        .log
        .recorded()
        .iter()
        .any(|found| found.envelope.body.windows(5).any(|bytes| bytes == b"pager"));
    assert!(!clear, "words are in the log in the clear");
}

#[tokio::test(start_paused = true)]
async fn what_is_raised_passes_the_checks_of_everyone() {
    let world = world().await;
    let refused = no(world.tell("itsm", raise("1", "eve")).await);
    assert_eq!(refused, (Code::PermissionDenied, "NO_RULE".to_owned()));
    let Fact::Signal(SignalEvent::Refused(recorded)) = world.facts().pop().unwrap().fact else {
        panic!("the refusal is not recorded")
    };
    assert_eq!(recorded.reason, "NO_RULE");
    // Whatever the policy says later: what was refused stays so.
    let mut everyone = rule("read");
    everyone.requesters.people.insert(person("eve"));
    world.apply(policy([everyone])).await;
    let again = no(world.tell("itsm", raise("1", "eve")).await);
    assert_eq!(again, (Code::FailedPrecondition, "NOTHING_RAISED".to_owned()));
    let events = world.facts().len();
    world.process().await;
    assert_eq!(world.facts().len(), events);
    world.tell("itsm", raise("2", "eve")).await.unwrap();
}

/// The log takes nothing of requests.
struct NoRequests;

impl Faults for NoRequests {
    fn append(&mut self, stream: &StreamName, _: &Envelope) -> AppendFault {
        if stream.as_str().starts_with("request-") { AppendFault::Unavailable } else { AppendFault::Proceed }
    }
}

#[tokio::test(start_paused = true)]
async fn what_was_left_to_raise_is_raised_after_a_restart() {
    let world = world().await;
    // The log takes the signal, and then nothing more for this process.
    world.log.set_faults(Box::new(NoRequests));
    assert_eq!(no(world.tell("itsm", raise("1", "ada")).await).0, Code::Unavailable);
    let raised = |world: &World| {
        world.facts().iter().any(|event| matches!(event.fact, Fact::Request(RequestEvent::Requested(_))))
    };
    assert!(!raised(&world));
    world.log.clear_faults();
    world.process().await;
    assert!(raised(&world));
}

#[tokio::test(start_paused = true)]
async fn what_could_not_be_told_in_time_is_not_raised_at_all() {
    let world = world().await;
    world.aws_is_ahead(SignedDuration::from_secs(30));
    assert_eq!(no(world.tell("itsm", raise("1", "ada")).await).1, "CLOCK_IN_DOUBT");
    let events = world.facts().len();
    world.process().await;
    assert_eq!(world.facts().len(), events, "it is tried again, for a while");
    world.clock.jump(SignedDuration::from_mins(15));
    world.process().await;
    let Fact::Signal(SignalEvent::Refused(recorded)) = world.facts().pop().unwrap().fact else {
        panic!("the refusal is not recorded")
    };
    assert_eq!(recorded.reason, "NotInTime");
}
