//! The suite that every bus passes.
#![expect(clippy::unwrap_used, reason = "tests")]

use async_nats::HeaderMap;
use async_nats::jetstream::{self, Context};
use messaging::conformance::incoming::{Given, Teller};
use messaging::memory::{MemoryBus, MemorySignals};
use messaging::nats::{
    NatsBus, NatsBusOptions, NatsSignals, Room, SignalsOptions, parked_config, signals_config,
};
use messaging::{IncomingBus, Message, OutgoingBus, SIGNATURE_HEADER, conformance};
use nats_connection::Connection;
use std::sync::Arc;
use std::time::Duration;
use test_servers::nats::{NatsOptions, NatsServer, publish_raw};

#[tokio::test]
async fn a_bus_in_memory() {
    conformance::run(async || {
        let bus = MemoryBus::new();
        (Arc::new(bus.clone()) as Arc<dyn OutgoingBus>, Arc::new(bus) as Arc<dyn OutgoingBus>)
    })
    .await;
}

#[tokio::test]
async fn a_bus_on_nats() {
    let server = NatsServer::start(NatsOptions::default()).await.unwrap();
    conformance::run(async || {
        let client = async_nats::connect(server.url()).await.unwrap();
        let _ = async_nats::jetstream::new(client).delete_stream(messaging::EVENTS_STREAM).await;
        (connect(&server).await, connect(&server).await)
    })
    .await;
}

/// A publisher on the server, once it is connected.
async fn connect(server: &NatsServer) -> Arc<dyn OutgoingBus> {
    let bus = NatsBus::connect(&Connection::to(server.url()), NatsBusOptions { replicas: 1 }).await.unwrap();
    while bus.extent().await.is_err() {
        tokio::task::yield_now().await;
    }
    Arc::new(bus)
}

struct InMemory(MemorySignals);

#[async_trait::async_trait]
impl Teller for InMemory {
    async fn tell(&self, subject: &str, signature: Option<&str>, body: &str) {
        let (subject, signature) = (subject.to_owned(), signature.map(str::to_owned));
        let sent_at = jiff::Timestamp::UNIX_EPOCH;
        self.0.tell(Message { subject, sent_at, signature, body: body.to_owned().into() });
    }
}

#[tokio::test]
async fn signals_in_memory() {
    conformance::incoming::run(async || {
        let signals = MemorySignals::new();
        let (bus, other) = (Arc::new(signals.clone()), Arc::new(signals.clone()));
        Given { bus, other, teller: Box::new(InMemory(signals)) }
    })
    .await;
}

struct OnNats(Context);

#[async_trait::async_trait]
impl Teller for OnNats {
    async fn tell(&self, subject: &str, signature: Option<&str>, body: &str) {
        let mut headers = HeaderMap::new();
        if let Some(signature) = signature {
            headers.insert(SIGNATURE_HEADER, signature);
        }
        let stored = self.0.publish_with_headers(subject.to_owned(), headers, body.to_owned().into()).await;
        stored.unwrap().await.unwrap();
    }
}

#[tokio::test]
async fn signals_on_nats() {
    let server = NatsServer::start(NatsOptions::default()).await.unwrap();
    conformance::incoming::run(async || signals_on(&server).await).await;
}

/// Two replicas that receive signals on the server, which has none yet.
async fn signals_on(server: &NatsServer) -> Given {
    let context = jetstream::new(async_nats::connect(server.url()).await.unwrap());
    for config in [signals_config(1, Room::default()), parked_config(1, Room::default())] {
        let _ = context.delete_stream(&config.name).await;
        context.create_stream(config).await.unwrap();
    }
    let replica = async || {
        let options = SignalsOptions { replicas: 1, done_within: Duration::from_secs(1) };
        let signals = NatsSignals::connect(&Connection::to(server.url()), options).await.unwrap();
        while messaging::Parking::list(&signals, 0, 1).await.is_err() {
            tokio::task::yield_now().await;
        }
        Arc::new(signals) as Arc<dyn IncomingBus>
    };
    Given { bus: replica().await, other: replica().await, teller: Box::new(OnNats(context)) }
}

#[tokio::test]
async fn signals_wait_on_the_server_for_a_process_that_is_started_again() {
    let mut server = NatsServer::start(NatsOptions::default()).await.unwrap();
    let Given { bus, other, teller } = signals_on(&server).await;
    teller.tell("daypass.signals.v1.hr.person_left", None, "1").await;
    teller.tell("daypass.signals.v1.hr.person_returned", None, "2").await;
    // Both processes die over the first, and the server too.
    assert_eq!(bus.next().await.unwrap().unwrap().message.body, "1");
    drop((bus, other, teller));
    server.restart().await.unwrap();
    let options = SignalsOptions { replicas: 1, done_within: Duration::from_secs(1) };
    let signals = NatsSignals::connect(&Connection::to(server.url()), options).await.unwrap();
    for body in ["1", "2"] {
        let incoming = loop {
            if let Ok(Some(incoming)) = signals.next().await {
                break incoming;
            }
            tokio::task::yield_now().await;
        };
        assert_eq!(incoming.message.body, body);
        signals.done(&incoming).await.unwrap();
    }
}

#[tokio::test]
async fn a_full_stream_refuses_a_signal_and_forgets_none() {
    let server = NatsServer::start(NatsOptions::default()).await.unwrap();
    let context = jetstream::new(async_nats::connect(server.url()).await.unwrap());
    let config = jetstream::stream::Config { max_messages: 2, ..signals_config(1, Room::default()) };
    context.create_stream(config).await.unwrap();
    let tell = async |body: &str| {
        let subject = "daypass.signals.v1.hr.person_left";
        context.publish(subject, body.to_owned().into()).await.unwrap().await
    };
    tell("1").await.unwrap();
    tell("2").await.unwrap();
    tell("3").await.unwrap_err();
    let options = SignalsOptions { replicas: 1, done_within: Duration::from_secs(1) };
    let signals = NatsSignals::connect(&Connection::to(server.url()), options).await.unwrap();
    let first = loop {
        if let Ok(Some(incoming)) = signals.next().await {
            break incoming;
        }
        tokio::task::yield_now().await;
    };
    assert_eq!(first.message.body, "1");
    signals.done(&first).await.unwrap();
    tell("3").await.unwrap();
}

/// An operator's own stream has no limit of a message's size.
#[tokio::test]
async fn what_is_larger_than_signals_are_is_parked_and_holds_up_none() {
    let server = NatsServer::start(NatsOptions::default()).await.unwrap();
    let context = jetstream::new(async_nats::connect(server.url()).await.unwrap());
    let config = jetstream::stream::Config { max_message_size: -1, ..signals_config(1, Room::default()) };
    context.create_stream(config).await.unwrap();
    context.create_stream(parked_config(1, Room::default())).await.unwrap();
    for body in ["x".repeat(600 * 1024), "2".to_owned()] {
        let stored = context.publish("daypass.signals.v1.hr.person_left", body.into()).await.unwrap();
        stored.await.unwrap();
    }
    let options = SignalsOptions { replicas: 1, done_within: Duration::from_secs(1) };
    let signals = NatsSignals::connect(&Connection::to(server.url()), options).await.unwrap();
    let next = async || loop {
        if let Ok(Some(incoming)) = signals.next().await {
            break incoming;
        }
        tokio::task::yield_now().await;
    };
    let large = next().await;
    let read_at = jiff::Timestamp::UNIX_EPOCH;
    signals.park(&large, &large.message, "SIGNAL_INVALID", read_at).await.unwrap();
    signals.done(&large).await.unwrap();
    assert_eq!(next().await.message.body, "2");
}

/// JetStream has less than `daypass nats setup` would reserve, and nobody runs that.
#[tokio::test]
async fn services_make_their_streams_where_there_is_little_room() {
    const WITHIN: Duration = Duration::from_secs(30);
    let options = NatsOptions { storage_max: 300 << 20, ..NatsOptions::default() };
    let server = NatsServer::start(options).await.unwrap();
    let context = jetstream::new(async_nats::connect(server.url()).await.unwrap());
    tokio::time::timeout(WITHIN, connect(&server)).await.unwrap();
    let options = SignalsOptions { replicas: 1, done_within: Duration::from_secs(1) };
    let signals = NatsSignals::connect(&Connection::to(server.url()), options).await.unwrap();
    let receive = async {
        loop {
            if let Ok(Some(incoming)) = signals.next().await {
                break incoming;
            }
            tokio::task::yield_now().await;
        }
    };
    // Nobody answers until there is a stream.
    let tell = async {
        while context.publish("daypass.signals.v1.hr.person_left", "{}".into()).await.unwrap().await.is_err()
        {
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    };
    let both = async { tokio::join!(receive, tell) };
    let (incoming, ()) = tokio::time::timeout(WITHIN, both).await.unwrap();
    signals.park(&incoming, &incoming.message, "SIGNAL_INVALID", jiff::Timestamp::UNIX_EPOCH).await.unwrap();
    for (stream, is_bounded) in
        [("DAYPASS_EVENTS", false), ("DAYPASS_SIGNALS", true), ("DAYPASS_PARKED", false)]
    {
        let found = context.get_stream(stream).await.unwrap();
        assert_eq!(found.cached_info().config.max_bytes > 0, is_bounded, "{stream}");
    }
}

/// The server takes a repeated `Nats-Msg-Id` for a repeat, whichever source sent it, and acknowledges what it does not store.
#[tokio::test]
async fn a_source_cannot_hide_anothers_signal_behind_a_message_id() {
    const TRIES_MAX: usize = 1_000;
    let server = NatsServer::start(NatsOptions::default()).await.unwrap();
    let context = jetstream::new(async_nats::connect(server.url()).await.unwrap());
    context.create_stream(signals_config(1, Room::default())).await.unwrap();
    let tell = async |subject: &'static str| {
        let mut headers = async_nats::HeaderMap::new();
        headers.insert("Nats-Msg-Id", "4711");
        context.publish_with_headers(subject, headers, "{}".into()).await.unwrap().await.unwrap()
    };
    assert!(!tell("daypass.signals.v1.itsm.ticket_approved").await.duplicate);
    let mut tries = 0;
    // Each try takes a round trip: many more than the window has room for, far fewer than two minutes have.
    while tell("daypass.signals.v1.hr.person_left").await.duplicate {
        tries += 1;
        assert!(tries < TRIES_MAX, "the departure is still taken for a repeat of a ticket");
        tokio::time::sleep(Duration::from_millis(1)).await;
    }
}

/// What a server takes and no client of ours can be brought: it ends the connection, or is taken for something else.
const UNDELIVERABLE: [(&[u8], &[u8]); 8] = [
    (b"daypass.signals.v1.itsm.incident_closed", b"NATS/1.0\r\nX-Team: caf\xe9\r\n\r\n"),
    (b"daypass.signals.v1.itsm.incident_closed", b"NATS/1.0\r\nX Team: cafe\r\n\r\n"),
    (b"daypass.signals.v1.itsm.incident_closed", b"NATS/1.0\r\nnocolon\r\n\r\n"),
    (b"daypass.signals.v1.itsm.incident_closed", b"NATS/2.0\r\n\r\n"),
    (b"daypass.signals.v1.itsm.incident\xff", b""),
    // For the client these are a server's own words, that there is nothing, and that something is wrong.
    (b"daypass.signals.v1.itsm.incident_closed", b"NATS/1.0 404\nA: b\n\n"),
    (b"daypass.signals.v1.itsm.incident_closed", b"NATS/1.0 503\nA: b\n\n"),
    ("daypass.signals.v1.itsm.incident\u{3000}closed".as_bytes(), b"NATS/1.0\r\nA: b\r\n\r\n"),
];

async fn soon(bus: &Arc<dyn IncomingBus>) -> messaging::Incoming {
    loop {
        if let Ok(Some(incoming)) = bus.next().await {
            return incoming;
        }
        tokio::task::yield_now().await;
    }
}

#[tokio::test]
async fn a_signal_that_no_client_can_be_brought_comes_all_the_same_and_holds_up_nobody() {
    let server = NatsServer::start(NatsOptions::default()).await.unwrap();
    let Given { bus, other, teller } = signals_on(&server).await;
    for (i, (subject, headers)) in UNDELIVERABLE.into_iter().enumerate() {
        // Whoever waits for it loses the connection, and then it is there; as is what comes behind it.
        let body = format!("poison {i}");
        let told = async {
            tokio::time::sleep(Duration::from_millis(100)).await;
            for _ in 0..2 {
                publish_raw(&server.url(), subject, headers, body.as_bytes()).await.unwrap();
            }
            teller.tell("daypass.signals.v1.hr.person_left", None, "left").await;
        };
        let (brought, ()) = tokio::join!(bus.next(), told);
        assert!(!matches!(brought, Ok(Some(_))), "{brought:?}");
        for expected in [body.as_str(), body.as_str(), "left"] {
            let incoming = soon(&bus).await;
            assert_eq!(incoming.message.body, expected);
            // Two replicas may have it at once, and both say that it is done.
            if expected != "left" {
                let same = soon(&other).await;
                assert_eq!(same, incoming);
                other.done(&same).await.unwrap();
            }
            bus.done(&incoming).await.unwrap();
        }
    }
}

/// Whatever keeps a consumer from bringing what is there: another replica that has it, for one.
#[tokio::test]
async fn a_signal_that_is_passed_over_is_fetched_and_gone_when_either_has_done_it() {
    let server = NatsServer::start(NatsOptions::default()).await.unwrap();
    let Given { bus, teller, .. } = signals_on(&server).await;
    let options = SignalsOptions { replicas: 1, done_within: Duration::from_mins(5) };
    let consumer = jetstream::new(async_nats::connect(server.url()).await.unwrap());
    let _ = consumer.delete_consumer_from_stream("daypass-request", "DAYPASS_SIGNALS").await;
    let patient = NatsSignals::connect(&Connection::to(server.url()), options).await.unwrap();
    let patient: Arc<dyn IncomingBus> = Arc::new(patient);
    teller.tell("daypass.signals.v1.hr.person_left", None, "first").await;
    teller.tell("daypass.signals.v1.hr.person_left", None, "second").await;
    let first = soon(&patient).await;
    assert!(first.receipt.is_some());
    assert_eq!(bus.next().await.unwrap(), None, "another has it");
    let fetched = bus.next().await.unwrap().unwrap();
    assert_eq!((fetched.receipt.as_ref(), &fetched.message), (None, &first.message));
    bus.done(&fetched).await.unwrap();
    let second = soon(&bus).await;
    assert_eq!(second.message.body, "second");
    assert!(second.receipt.is_some());
    patient.done(&first).await.unwrap();
    bus.done(&second).await.unwrap();
    assert_eq!(bus.next().await.unwrap(), None);
}

/// The relay passes over what others write, so it must be able to.
#[tokio::test]
async fn an_event_whose_headers_nobody_can_read_is_on_the_bus_without_them() {
    let server = NatsServer::start(NatsOptions::default()).await.unwrap();
    let bus = connect(&server).await;
    for (i, (_, headers)) in UNDELIVERABLE.into_iter().filter(|(_, headers)| !headers.is_empty()).enumerate()
    {
        publish_raw(&server.url(), b"daypass.events.v1.request.approved", headers, b"{}").await.unwrap();
        let stored = bus.message(i as u64 + 1).await.unwrap().unwrap();
        assert_eq!((stored.origin, stored.body.as_ref()), (None, b"{}".as_slice()));
    }
}
