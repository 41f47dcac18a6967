//! Signals that end access: what somebody has is gone from AWS, at once, and whoever runs.

use crate::house::{HOUR, House, instant, key_of, permission_set, person, role};
use aws::simulated::Operation as AwsOperation;
use command::aggregate::SignalAggregate;
use command::{Command, Commander};
use domain::{EventId, Person, PrincipalId, RequestId, SignedDuration, Target, Ticket};
use journal::{Fact, Service, Stream};
use lifecycle::event::{ClosedHow, RevokedAs};
use lifecycle::signal::{Belief, PersonLinked, Receive, SignalKind, SignalReceived, receive};
use lifecycle::state::EndReason;
use std::sync::Arc;
use tonic::Code;

fn signal(id: &str, kind: SignalKind) -> SignalReceived {
    SignalReceived {
        source: "test".into(),
        source_id: id.into(),
        kind,
        occurred_at: instant(0),
        about: None,
        about_principal: None,
        decided_by: None,
        target: None,
        ticket: None,
        may_revoke: false,
        ask: None,
    }
}

fn left(name: &str) -> SignalReceived {
    SignalReceived { about: Some(person(name)), ..signal(name, SignalKind::PersonLeft) }
}

impl House {
    /// What the request service writes when it believes a signal.
    async fn hear(&self, told: SignalReceived, may_revoke: bool) -> EventId {
        let event_id = EventId::from_parts([b"signal", told.source_id.as_bytes()]);
        let belief =
            Belief { kinds: [told.kind].into(), may_revoke, age_max: SignedDuration::from_hours(24) };
        let command = Command { event_id, actor: None, digest: None, trace: None };
        let stream = Stream::Signal(told.source_id.clone());
        Commander::new(Arc::new(self.log.clone()), Service::Request, self.clock.clone())
            .execute::<SignalAggregate, lifecycle::Rejection>(stream, command, |_, at| {
                let receiving = Receive { told: told.clone(), belief: &belief, told_at: at, now: at };
                receive(receiving).map(Fact::Signal)
            })
            .await
            .unwrap();
        event_id
    }

    async fn link(&self, one: &Person, other: &Person) {
        let linked = PersonLinked { person: one.clone(), same_as: other.clone() };
        let event_id = EventId::from_parts([b"link".as_slice()]);
        let command = Command { event_id, actor: None, digest: None, trace: None };
        Commander::new(Arc::new(self.log.clone()), Service::Request, self.clock.clone())
            .execute::<SignalAggregate, lifecycle::Rejection>(Stream::Person(one.id()), command, |_, _| {
                Ok(Fact::Person(linked.clone()))
            })
            .await
            .unwrap();
    }

    async fn was_ended_by_signal(&self, id: RequestId) -> bool {
        self.over(id).await.is_some_and(|(because, _)| because == EndReason::Revoked(RevokedAs::Signal))
    }

    /// How often this request was revoked, and by which signal.
    fn revocations(&self, id: RequestId) -> Vec<Option<EventId>> {
        let of_request = |event: &&journal::Event| event.stream == Stream::Request(id);
        let revoked = |event: &journal::Event| {
            let Fact::Request(lifecycle::RequestEvent::Revoked(revoked)) = &event.fact else { return None };
            Some(revoked.signal)
        };
        self.events().iter().filter(of_request).filter_map(revoked).collect()
    }
}

#[tokio::test(start_paused = true)]
async fn whoever_leaves_has_nothing_any_more() {
    let house = House::new().await;
    let process = house.start().await;
    let assigned = house.grant(&permission_set(), 0, 4 * HOUR).await;
    let credentials = house.grant(&role(), 0, 4 * HOUR).await;
    let scheduled = house.grant(&permission_set(), 2 * HOUR, 3 * HOUR).await;
    let pending = house.ask(&permission_set()).await;
    house.at(30).await;
    assert!(house.has(&key_of(&permission_set())));
    let issued = process.issue("ada", credentials, "before", None).await;
    assert!(issued.is_ok(), "{issued:?}");

    let event = house.hear(left("ada"), false).await;
    house.at(31).await;
    for id in [assigned, credentials, scheduled, pending] {
        assert!(house.was_ended_by_signal(id).await, "{:?}", house.request(id).await.phase);
        assert_eq!(house.revocations(id), [Some(event)]);
    }
    house.at(45).await;
    assert!(!house.has(&key_of(&permission_set())), "the assignment is still in AWS");
    assert_eq!(house.closed(assigned).await, Some(ClosedHow::Deleted));
    let refused = process.issue("ada", credentials, "after", None).await.unwrap_err();
    assert_eq!(refused.code(), Code::PermissionDenied, "{refused}");
}

#[tokio::test(start_paused = true)]
async fn what_is_raised_meanwhile_ends_as_well_until_they_return() {
    let house = House::new().await;
    let process = house.start().await;
    house.hear(left("ada"), false).await;
    house.at(5).await;
    // The request service had not heard of it.
    let meanwhile = house.grant(&permission_set(), 0, HOUR).await;
    house.at(10).await;
    assert!(house.was_ended_by_signal(meanwhile).await);
    assert!(!house.has(&key_of(&permission_set())));
    assert_eq!(house.calls(aws::simulated::Operation::Create), 0, "it was never given");
    let returned =
        SignalReceived { about: Some(person("ada")), ..signal("back", SignalKind::PersonReturned) };
    house.hear(returned, false).await;
    let after = house.grant(&permission_set(), 0, HOUR).await;
    house.at(40).await;
    assert!(house.is_active(after).await);
    process.stop().await;
}

#[tokio::test(start_paused = true)]
async fn under_any_identity_of_the_same_human() {
    for (about, principal, linked) in [
        ("ada-at-home", None, true),
        // Another issuer's name for the same user of Identity Center, which the directory may have forgotten since.
        ("contractor-17", Some(aws::simulated::sample::ADA), false),
    ] {
        let house = House::new().await;
        let _process = house.start().await;
        let id = house.grant(&permission_set(), 0, HOUR).await;
        house.at(30).await;
        if linked {
            house.link(&person("ada"), &person(about)).await;
        }
        let principal = principal.map(|id| PrincipalId::new(id).unwrap());
        house.hear(SignalReceived { about_principal: principal, ..left(about) }, false).await;
        house.at(45).await;
        assert!(house.was_ended_by_signal(id).await, "{about}");
        assert!(!house.has(&key_of(&permission_set())), "{about}");
    }
}

#[tokio::test(start_paused = true)]
async fn who_is_linked_later_has_left_as_well() {
    let house = House::new().await;
    let _process = house.start().await;
    house.hear(left("ada-at-home"), false).await;
    let id = house.grant(&permission_set(), 0, HOUR).await;
    house.at(30).await;
    assert!(house.is_active(id).await, "nobody knows yet");
    house.link(&person("ada"), &person("ada-at-home")).await;
    house.at(45).await;
    assert!(house.was_ended_by_signal(id).await);
}

#[tokio::test(start_paused = true)]
async fn an_approver_who_left_has_agreed_to_nothing() {
    let house = House::new().await;
    let _process = house.start().await;
    let id = house.grant(&permission_set(), HOUR, 2 * HOUR).await;
    house.at(5).await;
    house.hear(left("bob"), false).await;
    house.at(HOUR + 30).await;
    assert!(!house.has(&key_of(&permission_set())));
    let (because, _) = house.over(id).await.unwrap();
    assert!(matches!(because, EndReason::Ended(_)), "{because:?}");
}

#[tokio::test(start_paused = true)]
async fn nobody_else_loses_anything() {
    let house = House::new().await;
    let _process = house.start().await;
    let id = house.grant(&permission_set(), 0, HOUR).await;
    house.at(30).await;
    house.hear(left("eve"), false).await;
    house.hear(SignalReceived { target: Some(role()), ..signal("f", SignalKind::FindingRaised) }, true).await;
    let ticket = Some(Ticket::new("INC-1").unwrap());
    house.hear(SignalReceived { ticket, ..signal("i", SignalKind::IncidentClosed) }, true).await;
    house.at(60).await;
    assert!(house.is_active(id).await);
}

/// Something found out about a target.
fn finding(id: &str, target: Target) -> SignalReceived {
    SignalReceived { target: Some(target), ..signal(id, SignalKind::FindingRaised) }
}

#[tokio::test(start_paused = true)]
async fn a_finding_ends_access_only_where_its_source_may() {
    let house = House::new().await;
    let _process = house.start().await;
    let id = house.grant(&permission_set(), 0, HOUR).await;
    house.at(30).await;
    house.hear(finding("harmless", permission_set()), false).await;
    house.at(40).await;
    assert!(house.is_active(id).await);
    let event = house.hear(finding("serious", permission_set()), true).await;
    house.at(55).await;
    assert_eq!(house.revocations(id), [Some(event)]);
    assert!(!house.has(&key_of(&permission_set())));
    // What is asked for after it stands on its own.
    let after = house.grant(&permission_set(), 0, HOUR).await;
    house.at(90).await;
    assert!(house.is_active(after).await);
}

#[tokio::test(start_paused = true)]
async fn signals_that_came_while_nobody_ran_are_heeded_once() {
    let house = House::new().await;
    let first = house.start().await;
    let id = house.grant(&permission_set(), 0, 4 * HOUR).await;
    house.at(30).await;
    first.kill().await;
    house.hear(left("ada"), false).await;
    house.hear(finding("too", permission_set()), true).await;
    let returned =
        SignalReceived { about: Some(person("ada")), ..signal("back", SignalKind::PersonReturned) };
    house.hear(returned, false).await;
    // Both at once; what was to end ends although she is back.
    let _one = house.start_as("one").await;
    let _other = house.start_as("other").await;
    house.at(60).await;
    assert_eq!(house.revocations(id).len(), 1);
    assert!(!house.has(&key_of(&permission_set())));
    let events = house.events().len();
    let _third = house.start_as("third").await;
    house.at(90).await;
    assert_eq!(house.events().len(), events, "nothing follows twice");
}

#[tokio::test(start_paused = true)]
async fn a_request_that_cannot_be_read_holds_up_no_other() {
    let house = House::new().await;
    let damaged = house.grant(&permission_set(), 0, HOUR).await;
    let id = house.grant(&role(), 0, HOUR).await;
    let _process = house.start().await;
    house.at(30).await;
    house.garble(damaged).await;
    let key = key_of(&permission_set());
    assert!(house.has(&key));
    house.hear(left("ada"), false).await;
    house.at(40).await;
    assert!(house.was_ended_by_signal(id).await);
    house.at(60).await;
    assert!(!house.has(&key), "no event can end it, but whoever has left needs nothing");
    house.at(HOUR - 10).await;
    assert_eq!(house.calls(AwsOperation::Create), 1, "nor is it made again");
}

/// Whoever was down while the signal came learns of it from the log.
#[tokio::test(start_paused = true)]
async fn access_of_who_left_whose_history_cannot_be_read_goes_also_after_a_start() {
    let house = House::new().await;
    let damaged = house.grant(&permission_set(), 0, HOUR).await;
    let process = house.start().await;
    house.at(30).await;
    process.kill().await;
    house.garble(damaged).await;
    house.hear(left("ada"), false).await;
    let _process = house.start().await;
    house.at(60).await;
    assert!(!house.has(&key_of(&permission_set())));
}

/// Nothing of it waits for anybody: another finds it when it looks through the ledgers.
#[tokio::test(start_paused = true)]
async fn access_of_who_left_whose_history_cannot_be_read_goes_although_who_had_the_duty_is_dead() {
    let house = House::new().await;
    let damaged = house.grant(&permission_set(), 0, HOUR).await;
    let one = house.start_as("one").await;
    house.at(30).await;
    assert!(house.has(&key_of(&permission_set())));
    let _two = house.start_as("two").await;
    house.at(40).await;
    one.kill().await;
    house.garble(damaged).await;
    house.hear(left("ada"), false).await;
    house.at(40 + 20 * 60).await;
    assert!(!house.has(&key_of(&permission_set())));
    assert_eq!(house.claims(), ["one", "two"]);
}
