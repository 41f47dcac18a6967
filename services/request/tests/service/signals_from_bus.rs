//! Signals from the bus: what is believed and recorded, what is parked, and what becomes of it.

use crate::signals::left;
use crate::world::*;
use aws::simulated::sample::{self, WEB_DEV};
use aws_lc_rs::signature::{Ed25519KeyPair, KeyPair as _};
use base64::{Engine as _, prelude::BASE64_URL_SAFE_NO_PAD};
use domain::ports::Clock as _;
use domain::{Person, SignedDuration};
use event_log::memory::{AppendFault, Faults, ReadFault};
use event_log::{Envelope, StreamName};
use journal::Fact;
use lifecycle::RequestEvent;
use lifecycle::signal::{SignalEvent, SignalReceived};
use messaging::memory::MemorySignals;
use messaging::{BusError, Incoming, IncomingBus, Message, Parked, Parking as _};
use opentelemetry::metrics::MeterProvider as _;
use projection::Projection;
use request::{RequestService, Sources};
use serde_json::{Value, json};
use service_runtime::config::Loader;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;
use test_servers::measured::Measured;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;
use views::{Requests, RequestsModel, Views};

const HR: &str = r#"
[[signals.sources]]
name = "hr"
kinds = ["person_left", "person_returned"]
nats_account = "daypass-signal-hr"
token = { issuer = "https://idp.example", subject = "robot" }
"#;

const OVER_GRPC_ALONE: &str = r#"
[[signals.sources]]
name = "badges"
kinds = ["person_left"]
token = { issuer = "https://idp.example", subject = "robot" }
"#;

fn sources(toml: &str) -> Sources {
    let mut loader = Loader::new(toml, []);
    let config = loader.or_default("signals");
    loader.finish().unwrap();
    Sources::new(&config).unwrap()
}

/// The ITSM, which signs what it tells, whoever brings it.
struct Itsm {
    key: Ed25519KeyPair,
    folder: tempfile::TempDir,
}

impl Itsm {
    fn new() -> Self {
        let itsm = Self { key: Ed25519KeyPair::generate().unwrap(), folder: tempfile::tempdir().unwrap() };
        let x = BASE64_URL_SAFE_NO_PAD.encode(itsm.key.public_key().as_ref());
        let keys = json!({ "keys": [{ "kty": "OKP", "crv": "Ed25519", "kid": "k1", "x": x }] });
        std::fs::write(itsm.folder.path().join("jwks.json"), keys.to_string()).unwrap();
        itsm
    }

    fn source(&self) -> String {
        let file = self.folder.path().join("jwks.json");
        format!(
            "[[signals.sources]]\nname = \"tickets\"\nage_max = \"1h\"\nmay = [\"revoke\"]\n\
             kinds = [\"raise_for_person\", \"ticket_approved\", \"incident_opened\", \"incident_closed\", \"finding_raised\"]\n\
             signature = {{ algorithm = \"EdDSA\", jwks_file = {:?} }}\n",
            file.display().to_string()
        )
    }

    fn signed(&self, message: Message) -> Message {
        let head = BASE64_URL_SAFE_NO_PAD.encode(json!({ "alg": "EdDSA", "kid": "k1" }).to_string());
        let signed = format!("{head}.{}", BASE64_URL_SAFE_NO_PAD.encode(&message.body));
        let signature = BASE64_URL_SAFE_NO_PAD.encode(self.key.sign(signed.as_bytes()).as_ref());
        Message { signature: Some(format!("{head}..{signature}")), ..message }
    }

    fn tells(&self, kind: &str, id: &str, data: Value) -> Message {
        self.signed(tells("tickets", kind, id, data))
    }
}

/// The event by which `source` tells something that happened now.
fn event(source: &str, kind: &str, id: &str, data: &Value) -> Value {
    json!({
        "specversion": "1.0",
        "id": id,
        "source": source,
        "type": format!("daypass.signals.v1.{kind}"),
        "time": "2027-01-15T08:00:00Z",
        "datacontenttype": "application/json",
        "data": data,
    })
}

fn message(source: &str, kind: &str, event: &Value) -> Message {
    Message {
        subject: format!("daypass.signals.v1.{source}.{kind}"),
        sent_at: domain::Timestamp::from_second(NOW).unwrap(),
        signature: None,
        body: event.to_string().into(),
    }
}

#[expect(clippy::needless_pass_by_value, reason = "made where it is called")]
fn tells(source: &str, kind: &str, id: &str, data: Value) -> Message {
    message(source, kind, &event(source, kind, id, &data))
}

fn someone(name: &str) -> Value {
    json!({ "issuer": ISSUER, "subject": name })
}

fn leaves(id: &str, name: &str) -> Message {
    tells("hr", "person_left", id, json!({ "about": someone(name) }))
}

fn ask_for(name: &str) -> Value {
    json!({ "ask": {
        "target": { "account_id": WEB_DEV, "entitlement_arn": sample::READ_ONLY },
        "window": { "duration": "3600s" },
        "justification": "the pager went off",
        "ticket": "OPS-7",
        "on_behalf_of": someone(name),
    }})
}

struct Deployment {
    world: World,
    bus: MemorySignals,
    itsm: Itsm,
}

impl Deployment {
    async fn new() -> Self {
        let mut world = World::ordinary().await;
        let itsm = Itsm::new();
        world.believe(sources(HR));
        Self { world, bus: MemorySignals::new(), itsm }
    }

    fn sources(&self) -> Sources {
        sources(&[HR, OVER_GRPC_ALONE, &self.itsm.source()].concat())
    }

    fn tell(&self, message: Message) {
        self.bus.tell(message);
    }

    /// A process takes what is on the bus, until nothing is left.
    async fn take(&self) {
        self.take_with(self.sources(), Arc::new(self.bus.clone())).await;
    }

    async fn take_with(&self, sources: Sources, bus: Arc<dyn IncomingBus>) {
        let service = RequestService::new(self.world.views.clone()).with_sources(sources);
        let taken = async {
            while self.bus.waiting() > 0 {
                tokio::time::sleep(Duration::from_millis(100)).await;
            }
        };
        tokio::select! {
            () = service.take_signals(bus, CancellationToken::new()) => panic!("the process ended"),
            taken = tokio::time::timeout(Duration::from_mins(2), taken) => taken.unwrap(),
        }
        self.world.see().await;
    }

    /// Signals in the log, in order.
    fn received(&self) -> Vec<SignalReceived> {
        let facts = self.world.facts().into_iter();
        let received = facts.filter_map(|event| {
            let Fact::Signal(SignalEvent::Received(received)) = event.fact else { return None };
            Some(*received)
        });
        received.collect()
    }

    fn ids(&self) -> Vec<String> {
        self.received().into_iter().map(|received| received.source_id).collect()
    }

    async fn parked(&self) -> Vec<Parked> {
        self.bus.list(0, 100).await.unwrap()
    }

    /// The reasons of what is parked.
    async fn reasons(&self) -> Vec<String> {
        let reason = |parked: Parked| parked.why.split(':').next().unwrap().to_owned();
        self.parked().await.into_iter().map(reason).collect()
    }
}

#[tokio::test(start_paused = true)]
async fn every_kind_is_taken_from_a_source_that_may_tell_it() {
    let here = Deployment::new().await;
    let incident = json!({ "ticket": "INC-1" });
    here.tell(leaves("1", "ada"));
    here.tell(tells("hr", "person_returned", "2", json!({ "about": someone("ada") })));
    here.tell(here.itsm.tells("incident_opened", "3", incident.clone()));
    here.tell(here.itsm.tells("incident_closed", "4", incident));
    let decided = json!({ "ticket": "CHG-1", "decidedBy": someone("bob") });
    here.tell(here.itsm.tells("ticket_approved", "5", decided));
    here.tell(here.itsm.tells("finding_raised", "6", json!({ "about": someone("bob") })));
    here.tell(here.itsm.tells("raise_for_person", "7", ask_for("ada")));
    here.take().await;
    assert!(here.parked().await.is_empty(), "{:?}", here.parked().await);
    assert_eq!(here.ids(), ["1", "2", "3", "4", "5", "6", "7"], "in the order in which they were told");
    let by = here.world.facts().into_iter().find(|event| matches!(event.fact, Fact::Signal(_)));
    assert_eq!(by.unwrap().actor.unwrap().person.subject.as_str(), "hr");
}

#[tokio::test(start_paused = true)]
async fn whoever_leaves_by_the_bus_has_nothing_any_more() {
    let here = Deployment::new().await;
    here.world.created("ada", "before", ask(WEB_DEV)).await;
    here.tell(leaves("1", "ada"));
    here.take().await;
    let received = here.received().pop().unwrap();
    // What ends requests goes by this, for all that they have or asked for.
    assert!(received.may_revoke);
    assert_eq!(received.about_principal.unwrap().as_str(), sample::ADA);
    assert_eq!(no(here.world.create("ada", "k", ask(WEB_DEV)).await).1, "HAS_LEFT");
}

#[tokio::test(start_paused = true)]
async fn a_request_is_raised_for_a_person_by_the_bus() {
    let here = Deployment::new().await;
    here.tell(here.itsm.tells("raise_for_person", "CHG-1", ask_for("ada")));
    here.tell(here.itsm.tells("raise_for_person", "CHG-2", ask_for("eve")));
    here.take().await;
    let facts = here.world.facts();
    let raised: Vec<_> = facts
        .iter()
        .filter_map(|event| {
            let Fact::Request(RequestEvent::Requested(raised)) = &event.fact else { return None };
            Some(raised)
        })
        .collect();
    let [raised] = raised.as_slice() else { panic!("{raised:?}") };
    assert_eq!(raised.requester, person("ada"));
    assert_eq!(raised.raiser.person.subject.as_str(), "tickets");
    // What the rules refuse is refused as it is to everybody, and recorded.
    assert!(facts.iter().any(|event| matches!(event.fact, Fact::Signal(SignalEvent::Refused(_)))));
    assert!(here.parked().await.is_empty());
}

#[tokio::test(start_paused = true)]
async fn what_is_forged_changes_nothing_and_is_parked() {
    let here = Deployment::new().await;
    let events = here.world.facts().len();
    let left = json!({ "about": someone("ada") });
    let approved = json!({ "ticket": "T", "decided_by": someone("bob") });
    // In nobody's name, in the name of one that is not on the bus, and under subjects that are none.
    here.tell(tells("police", "person_left", "1", left.clone()));
    here.tell(tells("badges", "person_left", "2", left.clone()));
    for subject in ["daypass.signals.v1.hr", "daypass.signals.v1.hr.person_left.x"] {
        here.tell(Message { subject: subject.to_owned(), ..leaves("3", "ada") });
    }
    // Under a subject that is one's own, in the name of another, and as another kind.
    here.tell(message("hr", "person_left", &event("badges", "person_left", "4", &left)));
    here.tell(message("hr", "person_left", &event("hr", "person_returned", "5", &left)));
    // Not signed; signed by another; of another message.
    here.tell(tells("tickets", "ticket_approved", "6", approved.clone()));
    here.tell(Itsm::new().tells("ticket_approved", "7", approved.clone()));
    let signed = here.itsm.tells("ticket_approved", "8", approved.clone());
    here.tell(Message { body: tells("tickets", "ticket_approved", "9", approved).body, ..signed });
    // A kind that is another's.
    here.tell(here.itsm.tells("person_left", "10", left.clone()));
    here.take().await;
    assert_eq!(here.world.facts().len(), events);
    assert_eq!(
        here.reasons().await,
        [
            "SOURCE_UNKNOWN",
            "SOURCE_UNKNOWN",
            "SUBJECT_UNKNOWN",
            "SUBJECT_UNKNOWN",
            "SUBJECT_DIFFERS",
            "SUBJECT_DIFFERS",
            "SIGNATURE_INVALID",
            "SIGNATURE_INVALID",
            "SIGNATURE_INVALID",
            "SIGNAL_NOT_ALLOWED",
        ]
    );
    here.world.create("ada", "k", ask(WEB_DEV)).await.unwrap();
}

#[tokio::test(start_paused = true)]
async fn poison_is_parked_as_it_came_and_blocks_nothing_after_it() {
    let here = Deployment::new().await;
    let ordinary = event("hr", "person_left", "1", &json!({ "about": someone("ada") }));
    let with = |name: &str, value: Value| {
        let mut event = ordinary.clone();
        event[name] = value;
        message("hr", "person_left", &event)
    };
    let mut returned = event("hr", "person_returned", "1", &json!({ "about": someone("ada") }));
    returned["time"] = json!("2027-01-14T07:00:00Z");
    let stale = message("hr", "person_returned", &returned);
    let poison = [
        ("MESSAGE_INVALID", Message { body: "{".into(), ..leaves("1", "ada") }),
        ("MESSAGE_INVALID", Message { body: vec![0xff; 3].into(), ..leaves("1", "ada") }),
        ("MESSAGE_TOO_LARGE", Message { body: vec![b' '; 65 * 1024].into(), ..leaves("1", "ada") }),
        ("MESSAGE_INVALID", with("specversion", json!("0.3"))),
        ("MESSAGE_INVALID", with("time", Value::Null)),
        ("MESSAGE_INVALID", with("id", json!("x".repeat(256)))),
        ("MESSAGE_INVALID", with("data", json!({ "abuot": someone("ada") }))),
        ("MESSAGE_INVALID", with("data", json!({ "about": someone("ada"), "source": "hr" }))),
        ("MESSAGE_INVALID", with("data", json!({ "about": { "issuer": ISSUER, "subject": "" } }))),
        ("MESSAGE_INVALID", with("data", json!([1]))),
        ("MESSAGE_INVALID", with("data", json!({ "about": someone("ada"), "ask": ask_for("ada")["ask"] }))),
        ("SIGNAL_INCOMPLETE", with("data", Value::Null)),
        ("SIGNAL_STALE", stale),
        ("SIGNAL_AHEAD", with("time", json!("2027-01-15T08:10:00Z"))),
        ("MESSAGE_INVALID", tells("hr", "nothing_known", "1", json!({}))),
        ("KEY_UNUSABLE", here.itsm.tells("raise_for_person", "1", ask_for("eve"))),
    ];
    here.world.keys.damage(&person("eve").id());
    let (reasons, messages): (Vec<&str>, Vec<Message>) = poison.into_iter().unzip();
    messages.iter().cloned().for_each(|message| here.tell(message));
    here.tell(leaves("good", "ada"));
    here.take().await;
    assert_eq!(here.ids(), ["good"]);
    assert_eq!(here.reasons().await, reasons);
    let parked = here.parked().await;
    assert!(parked.iter().map(|parked| &parked.message).eq(&messages));
    let words: String = parked.iter().map(|parked| parked.why.as_str()).collect();
    assert!(!words.contains("ada") && !words.contains("pager"), "{words}");
}

#[tokio::test(start_paused = true)]
async fn what_ends_access_needs_no_key() {
    let here = Deployment::new().await;
    here.world.created("ada", "before", ask(WEB_DEV)).await;
    let itsm = Person::new("daypass:signal-source", "tickets").unwrap();
    for person in [person("ada"), itsm] {
        here.world.keys.damage(&person.id());
    }
    here.tell(leaves("1", "ada"));
    here.tell(leaves("1", "ada"));
    // The same id with another content is no repeat, without a key as with one.
    here.tell(tells("hr", "person_returned", "1", json!({ "about": someone("ada") })));
    here.tell(here.itsm.tells("finding_raised", "2", json!({ "about": someone("ada") })));
    here.tell(here.itsm.tells("incident_closed", "3", json!({ "ticket": "INC-1" })));
    here.tell(leaves("4", "bob"));
    here.take().await;
    assert_eq!(here.ids(), ["1", "2", "3", "4"]);
    assert_eq!(here.reasons().await, ["KEY_REUSED"]);
    assert!(here.received().iter().all(|received| received.may_revoke));
    // Over gRPC as well.
    here.world.keys.damage(&person("eve").id());
    here.world.tell("robot", left("5", "eve")).await.unwrap();
}

#[tokio::test(start_paused = true)]
async fn what_ends_access_waits_for_no_key_store() {
    let here = Deployment::new().await;
    here.world.created("ada", "before", ask(WEB_DEV)).await;
    here.world.keys.set_down(true);
    here.tell(leaves("1", "ada"));
    here.tell(leaves("1", "ada"));
    here.tell(here.itsm.tells("finding_raised", "2", json!({ "about": someone("bob") })));
    here.tell(here.itsm.tells("incident_closed", "3", json!({ "ticket": "INC-1" })));
    // Over gRPC as well.
    here.world.tell("robot", left("4", "bob")).await.unwrap();
    let told_at = Instant::now();
    here.take().await;
    assert!(told_at.elapsed() < Duration::from_secs(5), "{:?}", told_at.elapsed());
    assert_eq!(here.ids(), ["4", "1", "2", "3"]);
    assert!(here.received().iter().all(|received| received.may_revoke));
    assert!(here.parked().await.is_empty(), "{:?}", here.parked().await);
    // With a key store it is the same signal.
    here.world.keys.set_down(false);
    here.tell(leaves("1", "ada"));
    here.world.tell("robot", left("4", "bob")).await.unwrap();
    here.take().await;
    assert_eq!(here.ids(), ["4", "1", "2", "3"]);
    assert!(here.parked().await.is_empty(), "{:?}", here.parked().await);
    assert_eq!(no(here.world.create("ada", "k", ask(WEB_DEV)).await).1, "HAS_LEFT");
}

#[tokio::test(start_paused = true)]
async fn what_needs_a_key_holds_up_nobody_for_long_and_is_replayed_once_there_are_keys() {
    let here = Deployment::new().await;
    here.world.keys.set_down(true);
    for id in ["1", "2", "3"] {
        here.tell(here.itsm.tells("raise_for_person", id, ask_for("ada")));
    }
    here.tell(leaves("4", "bob"));
    let told_at = Instant::now();
    here.take().await;
    assert!(told_at.elapsed() < Duration::from_secs(40), "all of them together: {:?}", told_at.elapsed());
    assert_eq!(here.ids(), ["4"]);
    assert_eq!(here.reasons().await, ["KEY_STORE_UNAVAILABLE"; 3]);
    here.world.keys.set_down(false);
    for parked in here.parked().await {
        here.bus.replay(parked.number).await.unwrap();
    }
    here.take().await;
    assert!(here.parked().await.is_empty(), "{:?}", here.parked().await);
    assert_eq!(here.ids(), ["4", "1", "2", "3"]);
    let raised = |event: &journal::Event| matches!(event.fact, Fact::Request(RequestEvent::Requested(_)));
    assert!(here.world.facts().iter().any(raised));
}

#[tokio::test(start_paused = true)]
async fn a_key_store_that_is_soon_back_parks_nothing() {
    let here = Deployment::new().await;
    here.world.keys.set_down(true);
    here.tell(here.itsm.tells("raise_for_person", "1", ask_for("ada")));
    here.tell(leaves("2", "bob"));
    let comes_back = async {
        tokio::time::sleep(Duration::from_secs(20)).await;
        here.world.keys.set_down(false);
    };
    tokio::join!(here.take(), comes_back);
    assert_eq!(here.ids(), ["1", "2"]);
    assert!(here.parked().await.is_empty(), "{:?}", here.parked().await);
}

/// A short outage, days after a long one, parked what it met at once.
#[tokio::test(start_paused = true)]
async fn each_outage_of_the_key_store_is_waited_out_anew() {
    let here = Deployment::new().await;
    let service = RequestService::new(here.world.views.clone()).with_sources(here.sources());
    let taken = async || {
        while here.bus.waiting() > 0 {
            tokio::time::sleep(Duration::from_millis(100)).await;
        }
    };
    let story = async {
        here.world.keys.set_down(true);
        here.tell(here.itsm.tells("raise_for_person", "1", ask_for("ada")));
        taken().await;
        here.world.keys.set_down(false);
        tokio::time::sleep(Duration::from_mins(2)).await;
        here.world.keys.set_down(true);
        here.tell(here.itsm.tells("raise_for_person", "2", ask_for("ada")));
        tokio::time::sleep(Duration::from_secs(5)).await;
        here.world.keys.set_down(false);
        taken().await;
    };
    tokio::select! {
        () = service.take_signals(Arc::new(here.bus.clone()), CancellationToken::new()) => panic!("the process ended"),
        () = story => {}
    }
    here.world.see().await;
    assert_eq!(here.reasons().await, ["KEY_STORE_UNAVAILABLE"]);
    assert_eq!(here.ids(), ["2"]);
}

/// The log says nothing while it is down.
struct Silent(Arc<AtomicBool>);

impl Faults for Silent {
    fn append(&mut self, _: &StreamName, _: &Envelope) -> AppendFault {
        if self.0.load(Ordering::Relaxed) { AppendFault::Unavailable } else { AppendFault::Proceed }
    }
    fn read(&mut self) -> ReadFault {
        if self.0.load(Ordering::Relaxed) { ReadFault::Unavailable } else { ReadFault::Proceed }
    }
}

#[tokio::test(start_paused = true)]
async fn what_needs_a_key_waits_with_the_others_while_the_log_is_down_as_well() {
    let here = Deployment::new().await;
    let down = Arc::new(AtomicBool::new(true));
    here.world.log.set_faults(Box::new(Silent(Arc::clone(&down))));
    here.world.keys.set_down(true);
    here.tell(here.itsm.tells("raise_for_person", "1", ask_for("ada")));
    here.tell(leaves("2", "bob"));
    let come_back = async {
        tokio::time::sleep(Duration::from_secs(80)).await;
        assert_eq!(here.bus.waiting(), 2);
        down.store(false, Ordering::Relaxed);
        here.world.keys.set_down(false);
    };
    tokio::join!(here.take(), come_back);
    assert_eq!(here.ids(), ["1", "2"]);
    assert!(here.parked().await.is_empty(), "{:?}", here.parked().await);
}

#[tokio::test(start_paused = true)]
async fn a_repeat_is_one_event_however_it_comes() {
    let here = Deployment::new().await;
    here.tell(leaves("1", "ada"));
    here.tell(leaves("1", "ada"));
    here.take().await;
    assert_eq!(here.ids(), ["1"]);
    here.world.tell("robot", left("1", "ada")).await.unwrap();
    here.world.tell("robot", left("2", "bob")).await.unwrap();
    here.tell(leaves("2", "bob"));
    here.take().await;
    assert_eq!(here.ids(), ["1", "2"]);
    assert!(here.parked().await.is_empty());
    // The same id with another content is no repeat.
    here.tell(leaves("2", "ada"));
    here.take().await;
    assert_eq!(here.reasons().await, ["KEY_REUSED"]);
    assert_eq!(here.ids(), ["1", "2"]);
}

/// The log takes nothing of signals while it is down.
struct Down(Arc<AtomicBool>);

impl Faults for Down {
    fn append(&mut self, stream: &StreamName, _: &Envelope) -> AppendFault {
        let down = self.0.load(Ordering::Relaxed) && stream.as_str().starts_with("signal-");
        if down { AppendFault::Unavailable } else { AppendFault::Proceed }
    }
}

#[tokio::test(start_paused = true)]
async fn a_log_that_is_down_delays_signals_and_keeps_their_order() {
    let here = Deployment::new().await;
    let down = Arc::new(AtomicBool::new(true));
    here.world.log.set_faults(Box::new(Down(Arc::clone(&down))));
    here.tell(leaves("1", "ada"));
    here.tell(tells("hr", "person_returned", "2", json!({ "about": someone("ada") })));
    here.tell(leaves("3", "bob"));
    let comes_back = async {
        tokio::time::sleep(Duration::from_secs(40)).await;
        assert_eq!((here.bus.waiting(), here.ids().len()), (3, 0), "nothing is done that is not recorded");
        down.store(false, Ordering::Relaxed);
    };
    tokio::join!(here.take(), comes_back);
    assert_eq!(here.ids(), ["1", "2", "3"]);
    assert!(here.parked().await.is_empty());
}

#[tokio::test(start_paused = true)]
async fn replicas_that_all_take_signals_record_each_once_and_in_order() {
    let here = Deployment::new().await;
    let ids: Vec<String> = (0..20).map(|number| number.to_string()).collect();
    for id in &ids {
        here.tell(leaves(id, "ada"));
    }
    tokio::join!(here.take(), here.take(), here.take());
    assert_eq!(here.ids(), ids);
    assert!(here.parked().await.is_empty());
}

#[tokio::test(start_paused = true)]
async fn what_is_parked_is_counted_by_reason() {
    let measured = Measured::start();
    // Of the whole process: other tests count as well.
    opentelemetry::global::set_meter_provider(measured.provider.clone());
    let here = Deployment::new().await;
    here.tell(tells("police", "person_left", "1", json!({})));
    here.take().await;
    let exported = measured.exported().unwrap();
    for told in ["daypass.signals.parked", "reason", "SOURCE_UNKNOWN"] {
        assert!(exported.contains(told), "{told} is not in {exported}");
    }
    assert!(!exported.contains("police"), "no label says who");
}

/// Seconds that the oldest signal waits, as they are exported.
fn lag(measured: &Measured) -> u64 {
    let exported = measured.exported().unwrap();
    let (_, gauge) = exported.split_once("daypass.signals.lag").unwrap();
    let (_, value) = gauge.split_once(" value: ").unwrap();
    let seconds = value.split_once(',').unwrap().0.parse().unwrap();
    Duration::from_secs_f64(seconds).as_secs()
}

#[tokio::test(start_paused = true)]
async fn how_long_signals_wait_is_measured() {
    let measured = Measured::start();
    let here = Deployment::new().await;
    let down = Arc::new(AtomicBool::new(false));
    here.world.log.set_faults(Box::new(Down(Arc::clone(&down))));
    let service = RequestService::new(here.world.views.clone())
        .with_sources(here.sources())
        .with_meter(measured.provider.meter("daypass"));
    let after = async |seconds: u64| {
        tokio::time::sleep(Duration::from_secs(seconds)).await;
        lag(&measured)
    };
    let watched = async {
        assert_eq!(after(20).await, 0, "none waits");
        here.bus.set_down(true);
        let unheard = after(90).await;
        assert!((80..=90).contains(&unheard), "the bus is not heard: {unheard}");
        here.bus.set_down(false);
        assert_eq!(after(20).await, 0, "it is again, and none waits");
        down.store(true, Ordering::Relaxed);
        here.tell(Message { sent_at: here.world.clock.now(), ..leaves("1", "ada") });
        let held_up = after(90).await;
        assert!((70..=90).contains(&held_up), "one cannot be recorded: {held_up}");
        down.store(false, Ordering::Relaxed);
        assert_eq!(after(30).await, 0, "it is recorded");
        assert_eq!(here.ids(), ["1"]);
    };
    let bus = Arc::new(here.bus.clone());
    tokio::select! {
        () = service.take_signals(bus, CancellationToken::new()) => panic!("the process ended"),
        () = watched => {}
    }
}

#[tokio::test(start_paused = true)]
async fn how_long_a_signal_waits_is_measured_while_seeing_to_it_hangs() {
    let measured = Measured::start();
    let here = Deployment::new().await;
    let service = RequestService::new(here.world.views.clone())
        .with_sources(here.sources())
        .with_meter(measured.provider.meter("daypass"));
    here.tell(Message { sent_at: here.world.clock.now(), ..leaves("1", "ada") });
    // No failure, after which it would be measured: no answer.
    let hanging: Arc<dyn IncomingBus> = Arc::new(DiesBeforeDone(here.bus.clone()));
    let run = service.take_signals(hanging, CancellationToken::new());
    tokio::time::timeout(Duration::from_secs(90), run).await.unwrap_err();
    let waited = lag(&measured);
    assert!((80..=90).contains(&waited), "{waited}");
}

#[tokio::test(start_paused = true)]
async fn signals_are_waited_for_while_the_read_model_is_not_caught_up() {
    let measured = Measured::start();
    let here = Deployment::new().await;
    let (projection, _follower) =
        Projection::open(None, RequestsModel::default(), here.world.views.log.clone()).unwrap();
    let views = Views { requests: Requests::new(projection), ..here.world.views.clone() };
    let service = RequestService::new(views)
        .with_sources(here.sources())
        .with_meter(measured.provider.meter("daypass"));
    let run = service.take_signals(Arc::new(here.bus.clone()), CancellationToken::new());
    tokio::time::timeout(Duration::from_secs(90), run).await.unwrap_err();
    let waited = lag(&measured);
    assert!((80..=90).contains(&waited), "{waited}");
}

#[tokio::test(start_paused = true)]
async fn a_bus_that_is_down_is_waited_for() {
    let here = Deployment::new().await;
    here.tell(leaves("1", "ada"));
    here.bus.set_down(true);
    let comes_back = async {
        tokio::time::sleep(Duration::from_secs(20)).await;
        here.bus.set_down(false);
    };
    tokio::join!(here.take(), comes_back);
    assert_eq!(here.ids(), ["1"]);
}

/// A process that dies before it can say that anything is done.
struct DiesBeforeDone(MemorySignals);

#[async_trait::async_trait]
impl messaging::Parking for DiesBeforeDone {
    async fn list(&self, after: u64, max: usize) -> Result<Vec<Parked>, BusError> {
        self.0.list(after, max).await
    }
    async fn find(&self, number: u64) -> Result<Option<Parked>, BusError> {
        self.0.find(number).await
    }
    async fn remove(&self, number: u64) -> Result<(), BusError> {
        self.0.remove(number).await
    }
    async fn replay(&self, number: u64) -> Result<(), BusError> {
        self.0.replay(number).await
    }
}

#[async_trait::async_trait]
impl IncomingBus for DiesBeforeDone {
    async fn next(&self) -> Result<Option<Incoming>, BusError> {
        self.0.next().await
    }
    async fn done(&self, _: &Incoming) -> Result<(), BusError> {
        std::future::pending().await
    }
    async fn park(
        &self,
        incoming: &Incoming,
        message: &Message,
        why: &str,
        read_at: domain::Timestamp,
    ) -> Result<(), BusError> {
        self.0.park(incoming, message, why, read_at).await
    }
}

#[tokio::test(start_paused = true)]
async fn a_crash_between_the_record_and_its_acknowledgement_is_no_second_event() {
    let here = Deployment::new().await;
    for message in [leaves("1", "ada"), Message { body: "{".into(), ..leaves("2", "ada") }] {
        here.tell(message);
        let service = RequestService::new(here.world.views.clone()).with_sources(here.sources());
        let dying: Arc<dyn IncomingBus> = Arc::new(DiesBeforeDone(here.bus.clone()));
        let run = service.take_signals(dying, CancellationToken::new());
        tokio::time::timeout(Duration::from_secs(5), run).await.unwrap_err();
        assert_eq!(here.bus.waiting(), 1);
        here.take().await;
    }
    assert_eq!(here.ids(), ["1"]);
    assert_eq!(here.reasons().await, ["MESSAGE_INVALID"]);
}

#[tokio::test(start_paused = true)]
async fn a_parked_message_is_taken_once_the_configuration_is_mended() {
    let here = Deployment::new().await;
    here.tell(here.itsm.tells("raise_for_person", "1", ask_for("ada")));
    here.tell(leaves("2", "bob"));
    // Neither is known yet.
    here.take_with(sources(OVER_GRPC_ALONE), Arc::new(here.bus.clone())).await;
    assert_eq!(here.reasons().await, ["SOURCE_UNKNOWN", "SOURCE_UNKNOWN"]);
    let numbers: Vec<u64> = here.parked().await.iter().map(|parked| parked.number).collect();
    // It takes days: what counts is when they were told.
    here.world.clock.jump(SignedDuration::from_hours(72));
    here.bus.replay(numbers[0]).await.unwrap();
    here.take_with(sources(HR), Arc::new(here.bus.clone())).await;
    assert_eq!(here.reasons().await, ["SOURCE_UNKNOWN", "SOURCE_UNKNOWN"], "not mended for this one");
    let again: Vec<u64> = here.parked().await.iter().map(|parked| parked.number).collect();
    assert!(!again.contains(&numbers[0]) && again.contains(&numbers[1]), "{again:?}");
    for number in again {
        here.bus.replay(number).await.unwrap();
    }
    // Nothing is parked under these.
    for nothing in ["4711", "0", "-1", "x"] {
        here.tell(Message { subject: format!("daypass.replay.v1.{nothing}"), ..leaves("3", "ada") });
    }
    here.take().await;
    assert!(here.parked().await.is_empty(), "{:?}", here.parked().await);
    let mut ids = here.ids();
    ids.sort();
    assert_eq!(ids, ["1", "2"]);
}

#[tokio::test(start_paused = true)]
async fn a_departure_counts_however_late_it_is_told() {
    let here = Deployment::new().await;
    let mut left = event("hr", "person_left", "1", &json!({ "about": someone("ada") }));
    left["time"] = json!("2026-11-15T07:00:00Z");
    here.tell(message("hr", "person_left", &left));
    here.take().await;
    assert!(here.parked().await.is_empty());
    assert_eq!(here.ids(), ["1"]);
}

#[tokio::test(start_paused = true)]
async fn a_signature_is_fresh_when_it_is_first_seen_and_an_account_when_the_server_had_it() {
    let here = Deployment::new().await;
    here.tell(here.itsm.tells("incident_opened", "1", json!({ "ticket": "INC-1" })));
    here.tell(leaves("2", "bob"));
    // Nobody took them for three days.
    here.world.clock.jump(SignedDuration::from_hours(72));
    here.take().await;
    assert_eq!(here.reasons().await, ["SIGNAL_STALE"]);
    assert_eq!(here.ids(), ["2"]);
}

/// Says that it happened at another time than `NOW`.
fn dated(time: &str, source: &str, kind: &str, id: &str) -> Message {
    let mut event = event(source, kind, id, &json!({ "about": someone("ada") }));
    event.as_object_mut().unwrap().insert("time".to_owned(), json!(time));
    message(source, kind, &event)
}

#[tokio::test(start_paused = true)]
async fn a_clock_of_ours_that_is_behind_parks_nothing_that_an_account_tells() {
    let here = Deployment::new().await;
    here.world.clock.jump(SignedDuration::from_mins(-10));
    here.tell(leaves("1", "ada"));
    here.take().await;
    assert!(here.parked().await.is_empty(), "{:?}", here.parked().await);
    assert_eq!(here.ids(), ["1"]);
}

#[tokio::test(start_paused = true)]
async fn a_clock_of_ours_that_is_ahead_brings_nothing_forward_that_an_account_tells() {
    let here = Deployment::new().await;
    here.world.clock.jump(SignedDuration::from_hours(48));
    here.tell(dated("2027-01-16T08:00:00Z", "hr", "person_left", "1"));
    here.take().await;
    assert_eq!(here.reasons().await, ["SIGNAL_AHEAD"]);
}

#[tokio::test(start_paused = true)]
async fn what_only_our_clock_judges_is_judged_by_the_one_that_it_is_provably_behind() {
    let here = Deployment::new().await;
    here.world.clock.jump(SignedDuration::from_mins(-10));
    here.world.aws_is_ahead(SignedDuration::from_mins(10));
    here.tell(here.itsm.tells("finding_raised", "1", json!({ "about": someone("ada") })));
    // Ten minutes ahead of the right time: no clock of ours explains that.
    here.tell(here.itsm.signed(dated("2027-01-15T08:10:00Z", "tickets", "finding_raised", "2")));
    here.take().await;
    assert_eq!(here.ids(), ["1"]);
    assert_eq!(here.reasons().await, ["SIGNAL_AHEAD"]);
    // Over gRPC as well.
    here.world.tell("robot", left("3", "bob")).await.unwrap();
    let mut ahead = left("4", "bob");
    ahead.occurred_at = Some(prost_types::Timestamp { seconds: NOW + 600, nanos: 0 });
    assert_eq!(no(here.world.tell("robot", ahead).await).1, "SIGNAL_AHEAD");
}

#[tokio::test(start_paused = true)]
async fn what_a_clock_that_was_behind_has_parked_is_taken_once_it_is_right() {
    let here = Deployment::new().await;
    // Nobody has told us yet that it is.
    here.world.clock.jump(SignedDuration::from_mins(-10));
    here.tell(here.itsm.tells("finding_raised", "1", json!({ "about": someone("ada") })));
    here.take().await;
    assert_eq!(here.reasons().await, ["SIGNAL_AHEAD"]);
    // An earlier build has parked this one, too.
    let by_account = leaves("2", "ada");
    let incoming = Incoming { sequence: 4711, receipt: None, message: by_account.clone() };
    here.bus.park(&incoming, &by_account, "SIGNAL_AHEAD: it is", here.world.clock.now()).await.unwrap();
    here.world.clock.jump(SignedDuration::from_mins(10));
    for parked in here.parked().await {
        here.bus.replay(parked.number).await.unwrap();
    }
    here.take().await;
    assert!(here.parked().await.is_empty(), "{:?}", here.parked().await);
    assert_eq!(here.ids(), ["1", "2"]);
}

#[tokio::test(start_paused = true)]
async fn what_was_ahead_of_the_servers_clock_is_taken_when_it_is_replayed_after_that_time() {
    let here = Deployment::new().await;
    here.tell(dated("2027-01-15T09:00:00Z", "hr", "person_left", "1"));
    here.take().await;
    let number = here.parked().await[0].number;
    here.tell(Message {
        subject: format!("daypass.replay.v1.{number}"),
        sent_at: domain::Timestamp::from_second(NOW + 3_600).unwrap(),
        signature: None,
        body: "".into(),
    });
    here.take().await;
    assert!(here.parked().await.is_empty(), "{:?}", here.parked().await);
    assert_eq!(here.ids(), ["1"]);
}

#[tokio::test(start_paused = true)]
async fn the_examples_in_the_docs_are_taken() {
    let page = concat!(env!("CARGO_MANIFEST_DIR"), "/../../docs/events.md");
    let page = std::fs::read_to_string(page).unwrap();
    let signals = page.split("\n## Signals").nth(1).unwrap();
    let here = Deployment::new().await;
    let mut told = 0;
    for example in signals.split("```json\n").skip(1) {
        let event: Value = serde_json::from_str(example.split("```").next().unwrap()).unwrap();
        let source = event["source"].as_str().unwrap();
        let kind = event["type"].as_str().unwrap().strip_prefix("daypass.signals.v1.").unwrap();
        let message = message(source, kind, &event);
        here.tell(if source == "tickets" { here.itsm.signed(message) } else { message });
        told += 1;
    }
    assert!(told >= 2);
    here.take().await;
    assert!(here.parked().await.is_empty(), "{:?}", here.parked().await);
    assert_eq!(here.ids().len(), told);
}
