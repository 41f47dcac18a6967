//! Raising, extending and withdrawing.

use crate::support::*;
use domain::{AskedWindow, Plan, SignedDuration};
use lifecycle::event::{Grounds, RequestEvent, Requested};
use lifecycle::raise::{Deciders, Raise, raise, withdraw};
use lifecycle::state::{Acting, Identities, Status};
use lifecycle::{Rejection, Request};

fn raised(command: Raise<'_>) -> Requested {
    let RequestEvent::Requested(requested) = raise(command).unwrap() else { panic!("not raised") };
    *requested
}

fn extending(extended: &Request) -> Raise<'_> {
    Raise { id: request_id("r2"), extends: Some(extended), at: at(200), ..raising() }
}

#[test]
fn what_was_asked_is_recorded_as_it_was_asked() {
    assert_eq!(raised(raising()), requested());
}

#[test]
fn a_workload_may_raise_for_a_person() {
    let requested = raised(Raise { raiser: workload("portal"), ..raising() });
    assert_eq!((requested.requester, requested.raiser), (person("ada"), workload("portal")));
}

#[test]
fn the_window_has_a_shortest_and_a_longest_length() {
    let asked = |seconds| Raise { asked: for_secs(seconds), ..raising() };
    assert_eq!(raise(asked(59)), Err(Rejection::WindowTooShort { min: secs(60) }));
    assert_eq!(raise(asked(4 * HOUR + 1)), Err(Rejection::WindowTooLong { max: secs(4 * HOUR) }));
    assert!(raise(asked(60)).is_ok() && raise(asked(4 * HOUR)).is_ok());
}

#[test]
fn a_start_lies_between_now_and_the_horizon() {
    let from = |start| Raise { asked: from_for(start, HOUR), ..raising() };
    assert_eq!(raise(from(-1)), Err(Rejection::StartInPast));
    assert_eq!(raise(from(7 * DAY + 1)), Err(Rejection::StartBeyondHorizon { horizon: secs(7 * DAY) }));
    assert!(raise(from(0)).is_ok() && raise(from(7 * DAY)).is_ok());
}

#[test]
fn an_emergency_is_now() {
    let from = |start| Raise { asked: from_for(start, HOUR), emergency: true, ..raising() };
    assert_eq!(raise(from(1)), Err(Rejection::StartBeyondHorizon { horizon: secs(0) }));
    assert!(raise(from(0)).is_ok());
    assert!(raise(Raise { emergency: true, ..raising() }).is_ok());
}

#[test]
fn what_does_not_fit_the_calendar_is_no_window() {
    let mut command = raising();
    command.limits.duration_max = SignedDuration::MAX;
    command.asked = AskedWindow { start: None, duration: SignedDuration::MAX };
    assert_eq!(raise(command), Err(Rejection::WindowInvalid));
    let mut command = raising();
    command.limits.duration_min = secs(0);
    command.asked = for_secs(0);
    assert_eq!(raise(command), Err(Rejection::WindowInvalid));
    let mut command = raising();
    command.limits.decide_within = SignedDuration::MAX;
    assert_eq!(raise(command), Err(Rejection::WindowInvalid));
}

/// An administrator adds a rule, uses it, removes it.
#[test]
fn the_author_of_a_rule_cannot_use_it_alone() {
    let own = |plan| Raise { own_rule: true, grounds: Grounds { plan, ..grounds() }, ..raising() };
    assert_eq!(raise(own(Plan::none())), Err(Rejection::OwnRule));
    assert!(raise(own(grounds().plan)).is_ok());
}

#[test]
fn nobody_able_to_decide_is_said_at_once() {
    let with = |deciders| Raise { deciders, ..raising() };
    let missing = String::from("1 of approvers");
    let refused = raise(with(Deciders::Missing(missing.clone())));
    assert_eq!(refused, Err(Rejection::NobodyCanDecide { missing }));
    assert!(raise(with(Deciders::Unknown)).is_ok());
}

#[test]
fn an_extension_continues_the_chain() {
    let extended = given(approved(requested())).request();
    let extension = raised(extending(&extended));
    assert_eq!(extension.extends, Some(request_id("r1")));
    assert_eq!(extension.chain_duration, secs(2 * HOUR));
}

#[test]
fn a_chain_has_a_longest_length() {
    let first = Requested { chain_duration: secs(7 * HOUR), ..requested() };
    let extended = given(approved(first)).request();
    assert!(raise(extending(&extended)).is_ok());
    let longer = Raise { asked: for_secs(HOUR + 1), ..extending(&extended) };
    assert_eq!(raise(longer), Err(Rejection::ChainTooLong { max: secs(8 * HOUR) }));
}

#[test]
fn only_ones_own_access_to_the_same_target_can_be_extended() {
    let extended = given(approved(requested())).request();
    let other = Raise { requester: person("eve"), ..extending(&extended) };
    assert_eq!(raise(other), Err(Rejection::ExtendsAnother));
    let elsewhere =
        domain::Target::new(domain::AccountId::new("222222222222").unwrap(), target().entitlement().clone());
    let other = Raise { target: elsewhere.unwrap(), ..extending(&extended) };
    assert_eq!(raise(other), Err(Rejection::ExtendsAnother));
}

#[test]
fn only_what_is_approved_and_not_over_can_be_extended() {
    let undecided = given(pending(requested())).request();
    assert_eq!(raise(extending(&undecided)), Err(Rejection::ExtendsNothing));
    let over = given(and(approved(requested()), RequestEvent::Withdrawn, 150)).request();
    assert_eq!(raise(extending(&over)), Err(Rejection::ExtendsNothing));
    // Its window is [100, 3700); that nobody has recorded the end yet changes nothing.
    let elapsed = given(approved(requested())).request();
    assert!(raise(Raise { at: at(3699), ..extending(&elapsed) }).is_ok());
    assert_eq!(raise(Raise { at: at(3700), ..extending(&elapsed) }), Err(Rejection::ExtendsNothing));
}

#[test]
fn an_extension_leaves_no_gap() {
    let extended = given(approved(requested())).request();
    let from = |start| Raise { asked: from_for(start, HOUR), ..extending(&extended) };
    assert!(raise(from(3700)).is_ok());
    assert_eq!(raise(from(3701)), Err(Rejection::ExtensionLeavesGap));
}

#[test]
fn an_emergency_cannot_extend_an_emergency() {
    let emergency = given(approved(Requested { emergency: true, ..requested() })).request();
    let again = Raise { emergency: true, ..extending(&emergency) };
    assert_eq!(raise(again), Err(Rejection::EmergencyExtendsEmergency));
    assert!(raise(extending(&emergency)).is_ok(), "with approval it can be extended");
    let ordinary = given(approved(requested())).request();
    assert!(raise(Raise { emergency: true, ..extending(&ordinary) }).is_ok());
}

/// The extension is a request of its own: it needs its own yes, and its clock starts with that.
#[test]
fn an_extension_approved_after_what_it_extends_has_ended_starts_when_it_is_approved() {
    let extension = Requested { id: request_id("r2"), extends: Some(request_id("r1")), ..requested() };
    let approved = given(pending(extension))
        .when(|request| lifecycle::review::approve(request, yes(acting("bob"), &["approvers"], 2 * HOUR)))
        .approved();
    assert_eq!((approved.window.start(), approved.window.end()), (at(2 * HOUR), at(3 * HOUR)));
}

#[test]
fn a_request_is_withdrawn_while_pending() {
    given(pending(requested()))
        .when(|request| withdraw(request, &acting("ada"), at(10)))
        .then(RequestEvent::Withdrawn);
    given(pending(requested()))
        .when(|request| withdraw(request, &acting("ada"), at(10)))
        .then_status(Status::Ended);
}

#[test]
fn a_request_is_withdrawn_by_who_requested_or_raised_it_under_any_identity() {
    let portal = Requested { raiser: workload("portal"), ..requested() };
    let by = |who: Acting| given(pending(portal.clone())).when(|request| withdraw(request, &who, at(10)));
    by(Acting::alone(workload("portal"))).then(RequestEvent::Withdrawn);
    by(linked("ada@guest", &["ada"])).then(RequestEvent::Withdrawn);
    by(as_user("ada@guest", "aaaa")).then(RequestEvent::Withdrawn);
    by(acting("bob")).refused(Rejection::NotEntitled);
    by(as_user("bob", "bbbb")).refused(Rejection::NotEntitled);
}

#[test]
fn the_acting_identity_counts_even_where_the_list_of_identities_forgot_it() {
    let identities: Identities = nobody();
    let ada = Acting { actor: human("ada"), identities };
    given(pending(requested())).when(|request| withdraw(request, &ada, at(10))).then(RequestEvent::Withdrawn);
}

#[test]
fn what_has_begun_is_revoked_and_not_withdrawn() {
    let scheduled = || given(approved(Requested { asked: from_for(1000, HOUR), ..requested() }));
    scheduled().when(|request| withdraw(request, &acting("ada"), at(999))).then(RequestEvent::Withdrawn);
    scheduled()
        .when(|request| withdraw(request, &acting("ada"), at(1000)))
        .refused(Rejection::AlreadyStarted);
}

/// A clock that is behind the one that approved does not see a start that is still to come.
#[test]
fn time_never_goes_back_for_a_withdrawal() {
    given(approved(requested()))
        .when(|request| withdraw(request, &acting("ada"), at(98)))
        .refused(Rejection::AlreadyStarted);
}

#[test]
fn what_is_over_cannot_be_withdrawn() {
    given(and(pending(requested()), RequestEvent::Withdrawn, 5))
        .when(|request| withdraw(request, &acting("ada"), at(10)))
        .refused(Rejection::Over);
}
