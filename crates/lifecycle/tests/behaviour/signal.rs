//! Which signals are believed, and which requests end by them.

use crate::support::*;
use domain::{EventId, Target, Ticket};
use lifecycle::Rejection;
use lifecycle::event::{RequestEvent, Requested, Revoked, RevokedAs};
use lifecycle::signal::{
    Belief, Heard, Receive, Signal, SignalAsk, SignalEvent, SignalKind, SignalReceived, receive, refuse,
    revoke,
};
use lifecycle::state::{Identities, Status};

fn told(kind: SignalKind) -> SignalReceived {
    SignalReceived {
        source: "hr".into(),
        source_id: "1".into(),
        kind,
        occurred_at: at(0),
        about: Some(person("ada")),
        about_principal: None,
        decided_by: Some(person("bob")),
        target: Some(target()),
        ticket: Some(ticket("INC-1")),
        may_revoke: false,
        ask: Some(SignalAsk { asked: for_secs(HOUR), justification: sealed(), rule: None, extends: None }),
    }
}

fn ticket(text: &str) -> Ticket {
    Ticket::new(text).unwrap()
}

fn believed_in(kinds: &[SignalKind], may_revoke: bool) -> Belief {
    Belief { kinds: kinds.iter().copied().collect(), may_revoke, age_max: secs(DAY) }
}

fn received(told: SignalReceived, belief: &Belief, when: i64) -> Result<SignalReceived, Rejection> {
    received_at(told, belief, when, when)
}

fn received_at(
    told: SignalReceived,
    belief: &Belief,
    told_at: i64,
    now: i64,
) -> Result<SignalReceived, Rejection> {
    match receive(Receive { told, belief, told_at: at(told_at), now: at(now) })? {
        SignalEvent::Received(received) => Ok(*received),
        SignalEvent::Refused(_) => panic!("nothing was to be refused"),
    }
}

const ALL: [SignalKind; 7] = [
    SignalKind::TicketApproved,
    SignalKind::IncidentOpened,
    SignalKind::IncidentClosed,
    SignalKind::PersonLeft,
    SignalKind::FindingRaised,
    SignalKind::RaiseForPerson,
    SignalKind::PersonReturned,
];

#[test]
fn a_source_tells_what_it_may_tell_and_nothing_else() {
    for kind in ALL {
        for allowed in ALL {
            let answer = received(told(kind), &believed_in(&[allowed], true), 60);
            if kind == allowed {
                assert_eq!(answer.unwrap().kind, kind);
            } else {
                assert_eq!(answer, Err(Rejection::SignalNotAllowed), "{kind:?} by who may tell {allowed:?}");
            }
        }
    }
}

#[test]
fn what_may_follow_is_recorded_as_it_was_configured_then() {
    for (kind, unless_configured, if_configured) in [
        (SignalKind::PersonLeft, true, true),
        (SignalKind::IncidentClosed, false, true),
        (SignalKind::FindingRaised, false, true),
        (SignalKind::TicketApproved, false, false),
        (SignalKind::IncidentOpened, false, false),
        (SignalKind::RaiseForPerson, false, false),
        (SignalKind::PersonReturned, false, false),
    ] {
        for (configured, expected) in [(false, unless_configured), (true, if_configured)] {
            // Nothing that the source says of itself counts.
            let boasting = SignalReceived { may_revoke: true, ..told(kind) };
            let recorded = received(boasting, &believed_in(&[kind], configured), 60).unwrap();
            assert_eq!(recorded.may_revoke, expected, "{kind:?}");
        }
    }
}

#[test]
fn a_signal_is_neither_stale_nor_of_the_future() {
    let belief = believed_in(&[SignalKind::PersonLeft, SignalKind::PersonReturned], false);
    let at_second = |kind, when| received(told(kind), &belief, when).map(|_| ());
    let stale = Err(Rejection::SignalStale { age_max: secs(DAY) });
    for (kind, late) in [(SignalKind::PersonReturned, stale), (SignalKind::PersonLeft, Ok(()))] {
        assert_eq!(at_second(kind, DAY), Ok(()));
        assert_eq!(at_second(kind, DAY + 1), late, "{kind:?}");
        assert_eq!(at_second(kind, -300), Ok(()), "clocks differ");
        assert_eq!(at_second(kind, -301), Err(Rejection::SignalAhead));
    }
}

#[test]
fn a_signal_is_late_by_when_it_was_told_and_ahead_by_what_time_it_is() {
    let belief = believed_in(&[SignalKind::PersonLeft, SignalKind::PersonReturned], false);
    for kind in [SignalKind::PersonLeft, SignalKind::PersonReturned] {
        let looked_at = |told_at, now| received_at(told(kind), &belief, told_at, now).map(|_| ());
        assert_eq!(looked_at(0, 10 * DAY), Ok(()), "in time, and looked at days later");
        assert_eq!(looked_at(-HOUR, 0), Ok(()), "first read by a clock that was behind");
        assert_eq!(looked_at(0, -301), Err(Rejection::SignalAhead), "{kind:?}");
    }
}

#[test]
fn a_signal_says_what_its_kind_must() {
    let belief = believed_in(&ALL, true);
    let lacking = |kind, missing: &'static str, without: fn(&mut SignalReceived)| {
        let mut signal = told(kind);
        without(&mut signal);
        assert_eq!(received(signal, &belief, 60), Err(Rejection::SignalIncomplete { missing }), "{kind:?}");
    };
    lacking(SignalKind::PersonLeft, "about", |signal| signal.about = None);
    lacking(SignalKind::PersonReturned, "about", |signal| signal.about = None);
    lacking(SignalKind::TicketApproved, "ticket", |signal| signal.ticket = None);
    lacking(SignalKind::TicketApproved, "decided_by", |signal| signal.decided_by = None);
    lacking(SignalKind::IncidentOpened, "ticket", |signal| signal.ticket = None);
    lacking(SignalKind::IncidentClosed, "ticket", |signal| signal.ticket = None);
    lacking(SignalKind::RaiseForPerson, "ask", |signal| signal.ask = None);
    lacking(SignalKind::RaiseForPerson, "ask", |signal| signal.target = None);
    lacking(SignalKind::RaiseForPerson, "ask.on_behalf_of", |signal| signal.about = None);
    lacking(SignalKind::FindingRaised, "about, or target", |signal| {
        signal.about = None;
        signal.target = None;
    });
}

/// A signal that may end requests, recorded at a second of the day.
fn heard(kind: SignalKind) -> SignalReceived {
    SignalReceived { may_revoke: true, ..told(kind) }
}

fn event() -> EventId {
    EventId::from_parts([b"signal".as_slice()])
}

fn by_signal() -> RequestEvent {
    RequestEvent::Revoked(Revoked { capacity: RevokedAs::Signal, comment: None, signal: Some(event()) })
}

fn ends(story: &[(RequestEvent, domain::Timestamp)], signal: &SignalReceived, when: i64) -> bool {
    let about = signal
        .about
        .clone()
        .map(|about| Identities { people: [about].into(), principal: signal.about_principal.clone() });
    let request = given(story.to_vec()).request();
    let heard = Heard { event: event(), signal, at: at(when), about: about.as_ref() };
    match revoke(&request, heard) {
        Ok(decided) => {
            assert_eq!(decided, by_signal());
            true
        }
        Err(Rejection::SignalConcernsAnother) => false,
        Err(other) => panic!("{other}"),
    }
}

fn for_incident(name: &str) -> Requested {
    Requested { ticket: Some(ticket(name)), ..requested() }
}

#[test]
fn whoever_left_has_nothing_whenever_it_was_asked_for() {
    let left = heard(SignalKind::PersonLeft);
    for story in [pending(requested()), approved(requested()), active(requested(), 60)] {
        assert!(ends(&story, &left, HOUR));
        assert!(ends(&story, &left, -HOUR), "it was asked for after they left");
    }
    let theirs = SignalReceived { about: Some(person("bob")), ..left.clone() };
    assert!(!ends(&pending(requested()), &theirs, HOUR));
    let same_user = SignalReceived { about_principal: Some(user("aaaa")), ..theirs };
    assert!(ends(&pending(requested()), &same_user, HOUR), "under another identity of the same user");
    let elsewhere = SignalReceived {
        target: Some(Target::parse("222222222222", target().entitlement().arn()).unwrap()),
        ticket: Some(ticket("HR-9")),
        ..left
    };
    assert!(ends(&pending(requested()), &elsewhere, HOUR), "whatever it was about");
}

#[test]
fn a_closed_incident_ends_what_was_raised_for_it_before() {
    let closed = SignalReceived { about: None, target: None, ..heard(SignalKind::IncidentClosed) };
    let story = active(for_incident("INC-1"), 60);
    assert!(ends(&story, &closed, HOUR));
    assert!(!ends(&story, &closed, -1), "raised after it was closed");
    assert!(!ends(&active(for_incident("INC-2"), 60), &closed, HOUR));
    assert!(!ends(&active(requested(), 60), &closed, HOUR), "without a ticket");
    let of_bob = SignalReceived { about: Some(person("bob")), ..closed.clone() };
    assert!(!ends(&story, &of_bob, HOUR), "what it names must fit as well");
    assert!(!ends(&story, &SignalReceived { may_revoke: false, ..closed }, HOUR), "its source may not");
}

#[test]
fn a_finding_ends_what_fits_all_that_it_names() {
    let finding = SignalReceived { ticket: None, ..heard(SignalKind::FindingRaised) };
    let story = active(requested(), 60);
    assert!(ends(&story, &finding, HOUR));
    assert!(ends(&story, &SignalReceived { about: None, ..finding.clone() }, HOUR));
    assert!(ends(&story, &SignalReceived { target: None, ..finding.clone() }, HOUR));
    assert!(!ends(&story, &SignalReceived { about: Some(person("bob")), ..finding.clone() }, HOUR));
    assert!(!ends(&story, &finding, -1), "raised after it");
    let nothing = SignalReceived { about: None, target: None, ..finding.clone() };
    assert!(!ends(&story, &nothing, HOUR), "of nothing in particular");
    assert!(!ends(&story, &SignalReceived { may_revoke: false, ..finding }, HOUR), "its source may not");
}

#[test]
fn no_other_signal_ends_anything() {
    for kind in [
        SignalKind::TicketApproved,
        SignalKind::IncidentOpened,
        SignalKind::RaiseForPerson,
        SignalKind::PersonReturned,
    ] {
        assert!(!ends(&active(for_incident("INC-1"), 60), &heard(kind), HOUR), "{kind:?}");
    }
}

#[test]
fn what_is_over_stays_over() {
    let left = heard(SignalKind::PersonLeft);
    let about = Identities::of(person("ada"));
    let heard = Heard { event: event(), signal: &left, at: at(HOUR), about: Some(&about) };
    given(active(requested(), 60)).when(|request| revoke(request, heard)).then_status(Status::Ended);
    given(and(active(requested(), 60), by_signal(), 90))
        .when(|request| revoke(request, heard))
        .refused(Rejection::Over);
}

#[test]
fn a_refusal_is_recorded_once_and_only_where_something_was_to_be_raised() {
    let fold = |kind| Signal::evolve(None, &SignalEvent::Received(Box::new(told(kind))), at(1)).unwrap();
    let signal = fold(SignalKind::RaiseForPerson);
    let refused = refuse(&signal, "NO_RULE").unwrap();
    let signal = Signal::evolve(Some(signal), &refused, at(2)).unwrap();
    assert_eq!(signal.refused.as_ref().unwrap().reason, "NO_RULE");
    assert_eq!(refuse(&signal, "LATER"), Err(Rejection::SignalSettled));
    assert_eq!(refuse(&fold(SignalKind::PersonLeft), "NO_RULE"), Err(Rejection::SignalSettled));
    let again = Signal::evolve(
        Some(signal.clone()),
        &SignalEvent::Received(Box::new(told(SignalKind::PersonLeft))),
        at(3),
    );
    assert_eq!(again.as_ref(), Some(&signal), "a stream has one signal");
    assert_eq!(Signal::evolve(None, &refused, at(1)), None);
}

/// Every refusal of a signal, once.
pub(crate) fn refusals() -> Vec<Rejection> {
    let belief = believed_in(&[SignalKind::PersonLeft, SignalKind::PersonReturned], false);
    let left = |about| SignalReceived { about, ..told(SignalKind::PersonLeft) };
    let one_left = || left(Some(person("ada")));
    let fold = Signal::evolve(None, &SignalEvent::Received(Box::new(one_left())), at(1)).unwrap();
    let unconcerned = Heard { event: event(), signal: &one_left(), at: at(0), about: None };
    vec![
        received(told(SignalKind::FindingRaised), &belief, 60).unwrap_err(),
        received(told(SignalKind::PersonReturned), &belief, 2 * DAY).unwrap_err(),
        received(one_left(), &belief, -DAY).unwrap_err(),
        received(left(None), &belief, 60).unwrap_err(),
        refuse(&fold, "NO_RULE").unwrap_err(),
        revoke(&given(pending(requested())).request(), unconcerned).unwrap_err(),
    ]
}
