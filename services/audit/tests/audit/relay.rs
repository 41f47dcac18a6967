//! The relay: every event once, in the log's order, whatever happens to it, to its like, and to the bus.

use crate::support::{World, at, person, recorded_ids};
use audit::{AuditService, Relay, RelaySettings};
use domain::ports::Clock;
use domain::{EventId, SignedDuration, Timestamp};
use event_log::{Envelope, EventLog as _, Expected, StreamName, Writer};
use journal::{Fact, Service, Stream};
use lifecycle::duty::DutyClaimed;
use lifecycle::signal::PersonLinked;
use messaging::memory::MemoryBus;
use messaging::nats::{NatsBus, NatsBusOptions};
use messaging::{
    BusError, CloudEvent, EVENTS_STREAM, Extent, Origin, OutgoingBus, OutgoingMessage, PublishError, Stored,
};
use nats_connection::Connection;
use opentelemetry::metrics::MeterProvider as _;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;
use test_servers::measured::Measured;
use test_servers::nats::{NatsOptions, NatsServer};
use uuid::Uuid;

/// What hangs has failed.
const SOON: Duration = Duration::from_mins(1);

async fn server() -> NatsServer {
    NatsServer::start(NatsOptions { sync_always: false, ..NatsOptions::default() }).await.unwrap()
}

async fn bus(server: &NatsServer) -> Arc<dyn OutgoingBus> {
    let options = NatsBusOptions { replicas: 1 };
    Arc::new(NatsBus::connect(&Connection::to(server.url()), options).await.unwrap())
}

/// A relay by this name. Two of one name both think that it is their turn.
fn relay(world: &World, bus: &Arc<dyn OutgoingBus>, replica: &str) -> Relay {
    let settings = RelaySettings { replica: Some(replica.to_owned()), ..RelaySettings::default() };
    world.service.relay(Arc::clone(bus), settings)
}

/// Runs relays until what is awaited has come; then they are dropped wherever they are.
async fn while_relaying<T>(relays: Vec<Relay>, awaited: impl Future<Output = T>) -> T {
    let running = relays.into_iter().map(|relay| relay.run(std::future::pending()));
    tokio::select! {
        _ = futures::future::join_all(running) => panic!("a relay ended by itself"),
        came = tokio::time::timeout(SOON, awaited) => came.unwrap(),
    }
}

/// Waits until the bus has reached this sequence.
async fn reaches(bus: &Arc<dyn OutgoingBus>, last: u64) {
    while bus.extent().await.map_or(0, |extent| extent.last) < last {
        tokio::time::sleep(Duration::from_millis(2)).await;
    }
}

async fn on(bus: &Arc<dyn OutgoingBus>) -> Vec<Stored> {
    let extent = bus.extent().await.unwrap();
    let mut messages = Vec::new();
    for sequence in extent.first..=extent.last {
        messages.extend(bus.message(sequence).await.unwrap());
    }
    messages
}

fn ids(messages: &[Stored]) -> Vec<String> {
    messages.iter().map(|message| message.origin.unwrap().event_id.to_string()).collect()
}

/// So many events that say little, each of somebody else.
async fn fill(world: &World, count: u64) {
    let there = length(world);
    for number in there..there + count {
        let (somebody, same_as) = (person(&format!("ada-{number}")), person(&format!("ada-{number}-too")));
        let stream = Stream::Person(somebody.id());
        let name: StreamName = stream.to_string().parse().unwrap();
        let linked = PersonLinked { person: somebody, same_as };
        let event = journal::Event {
            id: EventId::from_parts([b"fill".as_slice(), &number.to_be_bytes()]),
            stream,
            at: at(200),
            writer: Service::Request,
            actor: None,
            previous: None,
            trace: None,
            command_digest: None,
            fact: Fact::Person(linked),
        };
        let envelope = Envelope {
            event_id: *event.id.as_uuid(),
            writer: Writer::new("request").unwrap(),
            body: journal::encode(&event).into(),
        };
        world.log.append(&name, Expected::NoStream, envelope).await.unwrap();
    }
}

fn length(world: &World) -> u64 {
    world.log.recorded().len() as u64
}

/// Asserts that the bus has every event of the log once, in its order.
async fn assert_whole(world: &World, bus: &Arc<dyn OutgoingBus>) {
    assert_eq!(ids(&on(bus).await), recorded_ids(&world.log.recorded()));
}

#[tokio::test]
async fn every_event_is_a_cloud_event_that_others_understand() {
    let (world, server) = (World::new().await, server().await);
    let bus = bus(&server).await;
    world.history().await;
    let damaged = Uuid::from_u128(99);
    world.append_bytes("request-damaged", "request", damaged, b"no envelope".to_vec()).await;
    fill(&world, 2).await;
    // The relay's own claim is an event as well.
    while_relaying(vec![relay(&world, &bus, "a")], reaches(&bus, length(&world) + 1)).await;
    assert_whole(&world, &bus).await;
    let messages = on(&bus).await;
    let events: Vec<CloudEvent> =
        messages.iter().map(|message| CloudEvent::from_json(&message.body).unwrap()).collect();
    for (message, event) in messages.iter().zip(&events) {
        assert_eq!(
            (&message.subject, message.origin.unwrap().event_id.to_string()),
            (&event.type_name, event.id.clone())
        );
        assert!(!String::from_utf8_lossy(&message.body).contains("CANARY"), "{event:?}");
    }
    let undecodable: Vec<&CloudEvent> =
        events.iter().filter(|event| event.type_name == audit::public::UNDECODABLE).collect();
    assert_eq!(undecodable.len(), 1);
    assert_eq!(
        (undecodable[0].id.clone(), undecodable[0].subject.as_deref()),
        (damaged.to_string(), Some("request-damaged"))
    );
    understood_by_others(&messages);
}

/// By the CloudEvents SDK for Python, and by the schemas of docs/asyncapi.yaml.
fn understood_by_others(messages: &[Stored]) {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("events");
    let lines: Vec<String> =
        messages.iter().map(|message| String::from_utf8(message.body.to_vec()).unwrap()).collect();
    std::fs::write(&file, lines.join("\n")).unwrap();
    assert_eq!(check(&[file.to_str().unwrap()]), messages.len().to_string());
}

fn check(arguments: &[&str]) -> String {
    let root = test_servers::tools::workspace();
    let checked = std::process::Command::new(test_servers::tools::python_tool("python").unwrap())
        .arg(root.join("services/audit/tests/audit/check_events.py"))
        .arg(root.join("docs/asyncapi.yaml"))
        .args(arguments)
        .output()
        .unwrap();
    assert!(checked.status.success(), "{}", String::from_utf8_lossy(&checked.stderr));
    String::from_utf8(checked.stdout).unwrap().trim().to_owned()
}

#[test]
fn the_examples_of_the_document_are_understood_by_others() {
    assert_eq!(check(&[]), (journal::types::TYPES.len() + 1).to_string());
}

#[tokio::test]
async fn of_racing_relays_each_event_comes_once() {
    let (world, server) = (World::new().await, server().await);
    let (first, second) = (bus(&server).await, bus(&server).await);
    fill(&world, 200).await;
    let relays = vec![relay(&world, &first, "a"), relay(&world, &second, "a")];
    while_relaying(relays, async {
        for _ in 0..20 {
            fill(&world, 10).await;
            reaches(&first, length(&world)).await;
        }
        reaches(&first, length(&world)).await;
    })
    .await;
    assert_whole(&world, &first).await;
}

#[tokio::test]
async fn one_that_is_killed_goes_on_where_it_was() {
    let (world, server) = (World::new().await, server().await);
    let bus = bus(&server).await;
    fill(&world, 3_000).await;
    for part in 1..=8 {
        while_relaying(vec![relay(&world, &bus, "a")], reaches(&bus, part * 375)).await;
    }
    while_relaying(vec![relay(&world, &bus, "a")], reaches(&bus, length(&world))).await;
    assert_whole(&world, &bus).await;
}

#[tokio::test]
async fn a_bus_that_was_lost_is_filled_anew() {
    let (world, server) = (World::new().await, server().await);
    let bus = bus(&server).await;
    fill(&world, 50).await;
    let jetstream = async_nats::jetstream::new(async_nats::connect(server.url()).await.unwrap());
    while_relaying(vec![relay(&world, &bus, "a")], async {
        reaches(&bus, 51).await;
        jetstream.delete_stream(EVENTS_STREAM).await.unwrap();
        fill(&world, 1).await;
        reaches(&bus, 52).await;
    })
    .await;
    assert_whole(&world, &bus).await;
}

#[tokio::test]
async fn a_bus_that_is_down_delays_and_loses_nothing() {
    let (world, mut server) = (World::new().await, server().await);
    let bus = bus(&server).await;
    while_relaying(vec![relay(&world, &bus, "a")], async {
        fill(&world, 20).await;
        reaches(&bus, 21).await;
        server.kill();
        // Nobody waits for the bus.
        fill(&world, 20).await;
        server.restart().await.unwrap();
        reaches(&bus, 41).await;
    })
    .await;
    assert_whole(&world, &bus).await;
}

#[tokio::test]
async fn what_others_write_on_the_bus_changes_nothing() {
    let (world, server) = (World::new().await, server().await);
    let bus = bus(&server).await;
    world.history().await;
    while_relaying(vec![relay(&world, &bus, "a")], reaches(&bus, length(&world) + 1)).await;
    let (before, ours) = (world.log.recorded(), length(&world));
    // An approval that nobody gave, from a relay of another log, and for an event that is none of this log; and something else.
    let client = async_nats::connect(server.url()).await.unwrap();
    let jetstream = async_nats::jetstream::new(client);
    let genuine = on(&bus).await;
    let approval = genuine.iter().find(|message| message.subject.ends_with("request.approved")).unwrap();
    let with = |log_id: Uuid, position: u64, event_id: Uuid| {
        let mut headers = async_nats::HeaderMap::new();
        headers.insert("Daypass-Log-Id", log_id.to_string());
        headers.insert("Daypass-Position", position.to_string());
        headers.insert("Nats-Msg-Id", event_id.to_string());
        headers
    };
    let this_log = approval.origin.unwrap().log_id;
    let forged = [
        (approval.subject.clone(), with(Uuid::from_u128(1), 1, Uuid::from_u128(2)), approval.body.clone()),
        (approval.subject.clone(), with(this_log, 1_000_000, Uuid::from_u128(3)), approval.body.clone()),
        (approval.subject.clone(), with(this_log, 1, Uuid::from_u128(4)), approval.body.clone()),
        ("daypass.events.v1.nonsense".to_owned(), async_nats::HeaderMap::new(), "nonsense".into()),
    ];
    for (subject, headers, body) in forged {
        jetstream.publish_with_headers(subject, headers, body).await.unwrap().await.unwrap();
    }
    world.settle().await;
    assert_eq!(world.log.recorded(), before, "nothing was decided");
    let mut stream = jetstream.get_stream(EVENTS_STREAM).await.unwrap();
    assert_eq!(stream.info().await.unwrap().state.consumer_count, 0, "nobody of ours listens");
    // And the relay goes on, without a gap or a repeat.
    fill(&world, 3).await;
    while_relaying(vec![relay(&world, &bus, "a")], reaches(&bus, ours + 4 + 3)).await;
    let mut messages = on(&bus).await;
    messages.drain(usize::try_from(ours).unwrap()..usize::try_from(ours + 4).unwrap());
    assert_eq!(ids(&messages), recorded_ids(&world.log.recorded()));
}

/// The time of the runtime, which tests can stop.
struct RuntimeClock(tokio::time::Instant);
impl Clock for RuntimeClock {
    fn now(&self) -> Timestamp {
        Timestamp::from_second(1_900_000_000).unwrap() + SignedDuration::try_from(self.0.elapsed()).unwrap()
    }
}

/// A service over the same log, whose clock goes.
fn service_in_time(world: &World) -> AuditService {
    let clock = Arc::new(RuntimeClock(tokio::time::Instant::now()));
    AuditService::new(views::Views { clock, ..world.views.clone() }, world.service.events().clone())
}

fn claims(world: &World) -> Vec<String> {
    let all = world.log.recorded().into_iter();
    let duty = all.filter(|event| event.stream.as_str() == "duty-relay");
    duty.map(|event| {
        let fact = journal::decode(&event.envelope.body).unwrap().fact;
        let Fact::Duty(DutyClaimed { holder }) = fact else { panic!("{fact:?}") };
        holder
    })
    .collect()
}

#[tokio::test(start_paused = true)]
async fn another_replica_takes_over_when_events_wait() {
    let world = World::new().await;
    let memory = MemoryBus::new();
    let bus: Arc<dyn OutgoingBus> = Arc::new(memory.clone());
    let service = service_in_time(&world);
    let relay = |name: &str| {
        let settings = RelaySettings { replica: Some(name.to_owned()), ..RelaySettings::default() };
        service.relay(Arc::clone(&bus), settings)
    };
    while_relaying(vec![relay("a"), relay("b")], tokio::time::sleep(Duration::from_secs(30))).await;
    assert_eq!(claims(&world), Vec::<String>::new(), "nothing to do, and nobody claims it");
    fill(&world, 3).await;
    while_relaying(vec![relay("a"), relay("b")], reaches(&bus, 4)).await;
    let first = claims(&world);
    assert_eq!(first.len(), 1, "{first:?}");
    fill(&world, 3).await;
    let other = if first[0] == "a" { "b" } else { "a" };
    let begun = tokio::time::Instant::now();
    while_relaying(vec![relay(other)], reaches(&bus, 8)).await;
    assert!(begun.elapsed() >= Duration::from_secs(5), "it was patient for {:?}", begun.elapsed());
    assert_eq!(claims(&world), [first[0].as_str(), other]);
    assert_eq!(ids(&memory.messages()), recorded_ids(&world.log.recorded()));
    // Whoever had it before finds out, and stays away.
    while_relaying(vec![relay("a"), relay("b")], async {
        fill(&world, 5).await;
        reaches(&bus, 13).await;
    })
    .await;
    assert_eq!(claims(&world).len(), 2);
}

#[tokio::test(start_paused = true)]
async fn a_log_that_is_another_is_published_from_its_beginning() {
    let world = World::new().await;
    let memory = MemoryBus::new();
    let bus: Arc<dyn OutgoingBus> = Arc::new(memory.clone());
    let strange = Origin { log_id: Uuid::from_u128(1), position: 1, event_id: Uuid::from_u128(1) };
    let of_before = Stored {
        subject: "daypass.events.v1.person.linked".into(),
        origin: Some(strange),
        body: "{}".into(),
    };
    memory.put(of_before);
    fill(&world, 2).await;
    while_relaying(vec![relay(&world, &bus, "a")], reaches(&bus, 4)).await;
    assert_eq!(ids(&memory.messages())[1..], recorded_ids(&world.log.recorded()));
}

/// A bus on which it is counted how many messages were looked at.
struct LookedAt {
    bus: MemoryBus,
    messages: AtomicUsize,
}

#[async_trait::async_trait]
impl OutgoingBus for LookedAt {
    async fn extent(&self) -> Result<Extent, BusError> {
        self.bus.extent().await
    }

    async fn message(&self, sequence: u64) -> Result<Option<Stored>, BusError> {
        self.messages.fetch_add(1, Ordering::Relaxed);
        self.bus.message(sequence).await
    }

    async fn publish(&self, after: u64, messages: Vec<OutgoingMessage>) -> Result<(), PublishError> {
        self.bus.publish(after, messages).await
    }
}

/// After a restore the whole bus is of another log. To read it back took a call for each of its messages.
#[tokio::test(start_paused = true)]
async fn a_restored_log_is_relayed_without_reading_all_that_the_bus_has() {
    const BEFORE: u64 = 30_000;
    const CALLS_MAX: usize = 10_000;
    let world = World::new().await;
    let memory = MemoryBus::new();
    for position in 1..=BEFORE {
        let strange =
            Origin { log_id: Uuid::from_u128(1), position, event_id: Uuid::from_u128(position.into()) };
        let subject = "daypass.events.v1.person.linked".into();
        memory.put(Stored { subject, origin: Some(strange), body: "{}".into() });
    }
    fill(&world, 5).await;
    let looked_at = Arc::new(LookedAt { bus: memory.clone(), messages: AtomicUsize::new(0) });
    let bus: Arc<dyn OutgoingBus> = looked_at.clone();
    let all = BEFORE + world.log.recorded().len() as u64;
    while_relaying(vec![relay(&world, &bus, "a")], reaches(&bus, all)).await;
    assert_eq!(
        ids(&memory.messages())[usize::try_from(BEFORE).unwrap()..],
        recorded_ids(&world.log.recorded())
    );
    // Once before its turn, and once when it has it.
    let calls = looked_at.messages.load(Ordering::Relaxed);
    assert!((CALLS_MAX..=2 * CALLS_MAX).contains(&calls), "{calls} messages were looked at");
}

/// Seconds that the oldest event waits, as they are exported; `None`: nobody has told yet.
fn lag(measured: &Measured) -> Option<u64> {
    let exported = measured.exported().unwrap();
    let (_, gauge) = exported.split_once("daypass.relay.lag")?;
    let (_, value) = gauge.split_once(" value: ").unwrap();
    let seconds = value.split_once(',').unwrap().0.parse().unwrap();
    Some(Duration::from_secs_f64(seconds).as_secs())
}

/// A bus on which it is written down how long events wait as each batch comes.
struct Told {
    bus: MemoryBus,
    /// Takes a batch before the next one can be read.
    is_fast: bool,
    measured: Measured,
    lags: Mutex<Vec<Option<u64>>>,
}

#[async_trait::async_trait]
impl OutgoingBus for Told {
    async fn extent(&self) -> Result<Extent, BusError> {
        self.bus.extent().await
    }

    async fn message(&self, sequence: u64) -> Result<Option<Stored>, BusError> {
        self.bus.message(sequence).await
    }

    async fn publish(&self, after: u64, messages: Vec<OutgoingMessage>) -> Result<(), PublishError> {
        self.lags.lock().unwrap().push(lag(&self.measured));
        if !self.is_fast {
            return self.bus.publish(after, messages).await;
        }
        for OutgoingMessage { subject, origin, body } in messages {
            self.bus.put(Stored { subject, origin: Some(origin), body });
        }
        Ok(())
    }
}

/// The alert was over with the first batch after an outage, whatever waited behind it.
#[tokio::test(start_paused = true)]
async fn while_a_relay_catches_up_it_tells_since_when_the_next_event_waits_and_zero_when_none_does() {
    // The clock stands at 1,000,000 seconds, and what `fill` makes happened at 200.
    const WAITING: Option<u64> = Some(999_800);
    for is_fast in [false, true] {
        let world = World::new().await;
        // Three batches, with the relay's own claim.
        fill(&world, 8_500).await;
        let all = length(&world) + 1;
        let told = Arc::new(Told {
            bus: MemoryBus::new(),
            is_fast,
            measured: Measured::start(),
            lags: Mutex::default(),
        });
        let bus: Arc<dyn OutgoingBus> = told.clone();
        let relay = relay(&world, &bus, "a").with_meter(&told.measured.provider.meter("daypass"));
        while_relaying(vec![relay], async {
            reaches(&bus, all).await;
            while lag(&told.measured) != Some(0) {
                tokio::time::sleep(Duration::from_millis(2)).await;
            }
        })
        .await;
        let lags = told.lags.lock().unwrap().clone();
        assert!(lags.len() >= 3 && lags.iter().all(|lag| *lag == WAITING), "fast: {is_fast}: {lags:?}");
        assert_whole(&world, &bus).await;
    }
}

/// A process that started while the bus was down told that nothing waits, for as long as it was.
#[tokio::test(start_paused = true)]
async fn from_a_start_on_events_wait_until_a_bus_that_is_down_says_that_it_has_them() {
    let world = World::new().await;
    let memory = MemoryBus::new();
    let bus: Arc<dyn OutgoingBus> = Arc::new(memory.clone());
    let (service, measured) = (service_in_time(&world), Measured::start());
    let relay = || {
        let settings = RelaySettings { replica: Some("a".to_owned()), ..RelaySettings::default() };
        service.relay(Arc::clone(&bus), settings).with_meter(&measured.provider.meter("daypass"))
    };
    fill(&world, 2).await;
    while_relaying(vec![relay()], reaches(&bus, 3)).await;
    assert_whole(&world, &bus).await;
    memory.set_down(true);
    while_relaying(vec![relay()], async {
        tokio::time::sleep(Duration::from_secs(30)).await;
        // It looks again every five seconds.
        assert!(lag(&measured).is_some_and(|lag| (20..=30).contains(&lag)), "{:?}", lag(&measured));
        memory.set_down(false);
        tokio::time::sleep(Duration::from_secs(10)).await;
        assert_eq!(lag(&measured), Some(0));
    })
    .await;
    assert_whole(&world, &bus).await;
}

/// The alert stayed, although nothing waited: nobody tells of it again before the next event.
#[tokio::test(start_paused = true)]
async fn what_the_bus_took_without_an_answer_waits_no_longer() {
    let world = World::new().await;
    let unanswering = Arc::new(Unanswering { bus: MemoryBus::new(), answers: AtomicBool::new(false) });
    let bus: Arc<dyn OutgoingBus> = unanswering.clone();
    let measured = Measured::start();
    let relay = relay(&world, &bus, "a").with_meter(&measured.provider.meter("daypass"));
    fill(&world, 2).await;
    while_relaying(vec![relay], async {
        reaches(&unanswering.of_others(), 3).await;
        tokio::time::sleep(Duration::from_secs(20)).await;
        assert!(lag(&measured).is_some_and(|lag| lag > 0), "{:?}", lag(&measured));
        unanswering.answers.store(true, Ordering::Relaxed);
        tokio::time::sleep(Duration::from_secs(10)).await;
        assert_eq!(lag(&measured), Some(0));
    })
    .await;
    assert_whole(&world, &bus).await;
}

/// A bus that takes what is published, and is not heard of any more until it answers.
struct Unanswering {
    bus: MemoryBus,
    answers: AtomicBool,
}

impl Unanswering {
    /// As others have it, who are answered.
    fn of_others(&self) -> Arc<dyn OutgoingBus> {
        Arc::new(self.bus.clone())
    }

    fn answered(&self) -> Result<(), BusError> {
        let silent = || BusError::Unavailable("no answer came".to_owned());
        if self.answers.load(Ordering::Relaxed) { Ok(()) } else { Err(silent()) }
    }
}

#[async_trait::async_trait]
impl OutgoingBus for Unanswering {
    async fn extent(&self) -> Result<Extent, BusError> {
        // Before anything is there it answers, so that something is published.
        if !self.bus.messages().is_empty() {
            self.answered()?;
        }
        self.bus.extent().await
    }

    async fn message(&self, sequence: u64) -> Result<Option<Stored>, BusError> {
        self.bus.message(sequence).await
    }

    async fn publish(&self, after: u64, messages: Vec<OutgoingMessage>) -> Result<(), PublishError> {
        self.bus.publish(after, messages).await?;
        self.answered().map_err(PublishError::Bus)
    }
}
