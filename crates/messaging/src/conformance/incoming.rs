//! What every bus for signals must do.

use crate::{Incoming, IncomingBus, SIGNALS_PREFIX};
use jiff::Timestamp;
use std::sync::Arc;
use std::time::Duration;

type Bus = Arc<dyn IncomingBus>;

/// Somebody who tells.
#[async_trait::async_trait]
pub trait Teller {
    /// Publishes under this subject, with this signature; returns once the bus has it.
    async fn tell(&self, subject: &str, signature: Option<&str>, body: &str);
}

/// An empty bus as two replicas see it, and somebody who tells.
pub struct Given {
    /// A replica.
    pub bus: Bus,
    /// Another.
    pub other: Bus,
    /// Who tells.
    pub teller: Box<dyn Teller + Send + Sync>,
}

/// Runs all of it. What one replica does not see to must come to another within seconds.
pub async fn run(make: impl AsyncFn() -> Given) {
    gives_messages_in_order_each_until_it_is_done(make().await).await;
    gives_what_a_replica_left_to_another(make().await).await;
    answers_who_says_late_or_again_that_it_is_done(make().await).await;
    waits_for_a_message(make().await).await;
    parks_once_what_can_be_found_and_removed(make().await).await;
    a_parked_message_is_asked_for_again(make().await).await;
}

fn subject(kind: &str) -> String {
    format!("{SIGNALS_PREFIX}hr.{kind}")
}

async fn next(bus: &Bus) -> Incoming {
    loop {
        if let Some(incoming) = bus.next().await.unwrap() {
            return incoming;
        }
    }
}

async fn gives_messages_in_order_each_until_it_is_done(Given { bus, other, teller }: Given) {
    for number in 0..5 {
        teller.tell(&subject("person_left"), (number == 2).then_some("a..b"), &number.to_string()).await;
    }
    let mut last = 0;
    for number in 0..5_u64 {
        let replica = if number % 2 == 0 { &bus } else { &other };
        let incoming = next(replica).await;
        assert_eq!(incoming.message.body, number.to_string().as_bytes());
        assert_eq!(incoming.message.subject, subject("person_left"));
        assert_eq!(incoming.message.signature.as_deref(), (number == 2).then_some("a..b"));
        assert!(incoming.sequence > last);
        last = incoming.sequence;
        replica.done(&incoming).await.unwrap();
    }
}

async fn gives_what_a_replica_left_to_another(Given { bus, other, teller }: Given) {
    teller.tell(&subject("person_left"), None, "first").await;
    teller.tell(&subject("person_left"), None, "second").await;
    let left = next(&bus).await;
    let again = next(&other).await;
    assert_eq!((again.sequence, &again.message), (left.sequence, &left.message));
    other.done(&again).await.unwrap();
    let second = next(&bus).await;
    assert_eq!(second.message.body, "second");
    bus.done(&second).await.unwrap();
}

/// Whoever gets no answer says it again before they take another message: they would never go on.
async fn answers_who_says_late_or_again_that_it_is_done(Given { bus, other, teller }: Given) {
    teller.tell(&subject("person_left"), None, "first").await;
    teller.tell(&subject("person_left"), None, "second").await;
    let left = next(&bus).await;
    let first = next(&other).await;
    assert_eq!(first.sequence, left.sequence);
    other.done(&first).await.unwrap();
    bus.done(&left).await.unwrap();
    other.done(&first).await.unwrap();
    let second = next(&bus).await;
    assert_eq!(second.message.body, "second");
    // What came since is not done by it.
    bus.done(&left).await.unwrap();
    let again = next(&other).await;
    assert_eq!(again.sequence, second.sequence);
    other.done(&again).await.unwrap();
}

async fn waits_for_a_message(Given { bus, teller, .. }: Given) {
    let told = async {
        tokio::time::sleep(Duration::from_millis(50)).await;
        teller.tell(&subject("incident_opened"), None, "later").await;
    };
    let (incoming, ()) = tokio::join!(next(&bus), told);
    assert_eq!(incoming.message.body, "later");
    bus.done(&incoming).await.unwrap();
}

async fn parks_once_what_can_be_found_and_removed(Given { bus, other, teller }: Given) {
    let read_at = Timestamp::from_second(1_800_000_000).unwrap();
    let mut messages = Vec::new();
    for body in ["one", "two"] {
        teller.tell(&subject("person_left"), Some("x..y"), body).await;
        let incoming = next(&bus).await;
        bus.park(&incoming, &incoming.message, "NOT_GOOD: it is not", read_at).await.unwrap();
        other.park(&incoming, &incoming.message, "NOT_GOOD: it is not", read_at).await.unwrap();
        bus.done(&incoming).await.unwrap();
        messages.push(incoming.message);
    }
    let parked = other.list(0, 10).await.unwrap();
    assert_eq!(parked.iter().map(|parked| parked.message.clone()).collect::<Vec<_>>(), messages);
    for parked in &parked {
        assert_eq!((parked.why.as_str(), parked.read_at), ("NOT_GOOD: it is not", read_at));
        assert_eq!(bus.find(parked.number).await.unwrap().as_ref(), Some(parked));
    }
    let [first, second] = parked.as_slice() else { panic!("{parked:?}") };
    assert_eq!(bus.list(0, 1).await.unwrap().as_slice(), std::slice::from_ref(first));
    assert_eq!(bus.list(first.number, 10).await.unwrap().as_slice(), std::slice::from_ref(second));
    bus.remove(first.number).await.unwrap();
    other.remove(first.number).await.unwrap();
    assert_eq!(bus.find(first.number).await.unwrap(), None);
    assert_eq!(bus.list(0, 10).await.unwrap().as_slice(), std::slice::from_ref(second));
    bus.remove(second.number).await.unwrap();
    assert!(bus.list(0, 10).await.unwrap().is_empty());
    for nothing in [0, u64::MAX] {
        assert_eq!(bus.find(nothing).await.unwrap(), None, "{nothing}");
    }
}

async fn a_parked_message_is_asked_for_again(Given { bus, other, .. }: Given) {
    other.replay(17).await.unwrap();
    let asked = next(&bus).await;
    assert_eq!(asked.message.subject, format!("{}17", crate::REPLAY_PREFIX));
    assert!(asked.message.body.is_empty());
    bus.done(&asked).await.unwrap();
}
