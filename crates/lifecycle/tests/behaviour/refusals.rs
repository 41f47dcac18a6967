//! Every refusal of this crate is reached by some decision.

use crate::signal::refusals as of_signals;
use crate::support::*;
use domain::{AskedWindow, EventId, Groups, Plan, SignedDuration};
use lifecycle::access::{activate, close, elapse, fail, issue_credentials, revoke};
use lifecycle::assignment::{
    Abandon, AssignmentEvent, AssignmentKey, Ledger, adopt, attempt, confirm, give_up,
};
use lifecycle::duty::{Claim, claim};
use lifecycle::event::{ClosedHow, Grounds, RequestEvent, Requested, RevokedAs, Verdict};
use lifecycle::raise::{Deciders, Raise, raise, withdraw};
use lifecycle::review::{Approve, approve, approve_by_rule, expire, review_after};
use lifecycle::state::Acting;
use lifecycle::{Rejection, Request};
use std::collections::BTreeSet;

const REFUSALS: usize = 51;

/// No wildcard: a new refusal breaks the build until it has a number here, and then the test until it has a scenario.
fn number(rejection: &Rejection) -> usize {
    match rejection {
        Rejection::StartInPast => 0,
        Rejection::StartBeyondHorizon { .. } => 1,
        Rejection::WindowTooShort { .. } => 2,
        Rejection::WindowTooLong { .. } => 3,
        Rejection::WindowInvalid => 4,
        Rejection::NobodyCanDecide { .. } => 5,
        Rejection::OwnRule => 6,
        Rejection::ExtendsAnother => 7,
        Rejection::ExtendsNothing => 8,
        Rejection::ExtensionLeavesGap => 9,
        Rejection::ChainTooLong { .. } => 10,
        Rejection::EmergencyExtendsEmergency => 11,
        Rejection::NotFound => 12,
        Rejection::NotPending => 13,
        Rejection::NotApproved => 14,
        Rejection::Over => 15,
        Rejection::NotOver => 16,
        Rejection::AlreadyStarted => 17,
        Rejection::WindowNotBegun => 18,
        Rejection::WindowOver => 19,
        Rejection::WindowNotOver => 20,
        Rejection::NotActive => 21,
        Rejection::AlreadyActive => 22,
        Rejection::NoCredentials => 23,
        Rejection::NotAPerson => 24,
        Rejection::OwnRequest => 25,
        Rejection::NotEntitled => 26,
        Rejection::Unprovable(_) => 27,
        Rejection::AlreadyEndorsed => 28,
        Rejection::ReviewOver { .. } => 29,
        Rejection::ReviewNotOver => 30,
        Rejection::PlanNotEmpty => 31,
        Rejection::NoReviewOwed => 32,
        Rejection::AlreadyClosed => 33,
        Rejection::NotClosable => 34,
        Rejection::AttemptOpen => 35,
        Rejection::NoSuchAttempt => 36,
        Rejection::AsItShouldBe => 37,
        Rejection::Standing => 38,
        Rejection::Attended => 39,
        Rejection::StillNeeded => 40,
        Rejection::NotThere => 41,
        Rejection::AccountNotGone => 42,
        Rejection::SecondPersonNeeded => 43,
        Rejection::HasLeft => 44,
        Rejection::SignalNotAllowed => 45,
        Rejection::SignalStale { .. } => 46,
        Rejection::SignalAhead => 47,
        Rejection::SignalIncomplete { .. } => 48,
        Rejection::SignalSettled => 49,
        Rejection::SignalConcernsAnother => 50,
    }
}

fn raising_refused() -> Vec<Rejection> {
    let over = given(and(approved(requested()), RequestEvent::Withdrawn, 150)).request();
    let emergency = given(approved(Requested { emergency: true, ..requested() })).request();
    let extended = given(approved(requested())).request();
    let extending = |extended| Raise { extends: Some(extended), at: at(200), ..raising() };
    let mut short_chain = extending(&extended);
    short_chain.limits.chain_duration_max = secs(HOUR);
    let mut no_window = raising();
    no_window.limits.duration_max = SignedDuration::MAX;
    no_window.asked = AskedWindow { start: None, duration: SignedDuration::MAX };
    let own_rule = Grounds { plan: Plan::none(), ..grounds() };
    let refused = [
        Raise { asked: from_for(-1, HOUR), ..raising() },
        Raise { asked: from_for(8 * DAY, HOUR), ..raising() },
        Raise { asked: for_secs(1), ..raising() },
        Raise { asked: for_secs(DAY), ..raising() },
        no_window,
        Raise { deciders: Deciders::Missing("approvers".into()), ..raising() },
        Raise { own_rule: true, grounds: own_rule, ..raising() },
        Raise { requester: person("eve"), ..extending(&extended) },
        extending(&over),
        Raise { asked: from_for(HOUR + DAY, HOUR), ..extending(&extended) },
        short_chain,
        Raise { emergency: true, ..extending(&emergency) },
    ];
    refused.into_iter().map(|command| raise(command).unwrap_err()).collect()
}

fn of_requests() -> Vec<Rejection> {
    let pending_one: Request = given(pending(requested())).request();
    let approved_one = given(approved(requested())).request();
    let active_one = given(active(requested(), 110)).request();
    let sts_approved = given(approved(sts())).request();
    let ended = given(and(active(requested(), 110), RequestEvent::Withdrawn, 120)).request();
    let closed_event = RequestEvent::Closed(ClosedHow::Deleted.into());
    let closed =
        given(and(and(active(requested(), 110), RequestEvent::Withdrawn, 120), closed_event, 130)).request();
    let two = plan(&[(2, &["approvers"])]);
    let endorsed_one =
        given([pending(with_plan(two)), vec![endorsed(&acting("bob"), &["approvers"], 50)]].concat())
            .request();
    let scheduled = given(approved(Requested { asked: from_for(1000, HOUR), ..requested() })).request();
    let bob = |when| yes(acting("bob"), &["approvers"], when);
    let unknown = Approve { groups: Groups::Unknown("overage".into()), ..bob(10) };
    let refused = [
        approve(&approved_one, bob(110)),
        elapse(&pending_one, at(110)),
        revoke(&ended, RevokedAs::Approver, None),
        close(&pending_one, ClosedHow::Deleted, at(110)),
        withdraw(&approved_one, &acting("ada"), at(110)),
        activate(&scheduled, bound(), false, at(999)),
        activate(&approved_one, bound(), false, at(DAY)),
        elapse(&approved_one, at(110)),
        issue_credentials(&sts_approved, credentials(900), at(110)),
        fail(&active_one, "late".into()),
        issue_credentials(&active_one, credentials(900), at(120)),
        approve(&pending_one, yes(Acting::alone(workload("ci")), &["approvers"], 10)),
        approve(&pending_one, yes(acting("ada"), &["approvers"], 10)),
        approve(&pending_one, yes(acting("bob"), &["choir"], 10)),
        approve(&pending_one, unknown),
        approve(
            &endorsed_one,
            yes_after(acting("bob"), &["approvers"], 60, &[(&acting("bob"), &["approvers"])]),
        ),
        approve(&pending_one, bob(DAY)),
        expire(&pending_one, at(10)),
        approve_by_rule(&pending_one, &Plan::none(), policy(), secs(60), at(10)),
        review_after(&pending_one, &acting("bob"), Verdict::Justified, None),
        close(&closed, ClosedHow::Deleted, at(140)),
        close(&ended, ClosedHow::NothingCreated, at(140)),
    ];
    refused.into_iter().map(Result::unwrap_err).collect()
}

fn of_assignments_and_duties() -> Vec<Rejection> {
    let key = AssignmentKey { principal: user("aaaa"), target: target() };
    let id = EventId::from_parts([b"attempt".as_slice()]);
    let of = |event: &AssignmentEvent| Ledger::evolve(None, event, id, at(0)).unwrap();
    let open = of(&attempt(None, &key, true, false, at(900)).unwrap());
    let standing = of(&AssignmentEvent::StandingFound { key: key.clone() });
    let asked = AssignmentEvent::AbandonAsked { by: human("carol"), principal: None, comment: None };
    let asked = Ledger::evolve(Some(open.clone()), &asked, id, at(1)).unwrap();
    let nothing_due = Claim { replica: "a".into(), waiting_since: None, patience: secs(5), at: at(0) };
    vec![
        attempt(Some(&open), &key, true, false, at(900)).unwrap_err(),
        confirm(&standing, id).unwrap_err(),
        attempt(None, &key, false, false, at(900)).unwrap_err(),
        attempt(Some(&standing), &key, false, true, at(900)).unwrap_err(),
        claim(None, nothing_due).unwrap_err(),
        give_up(Some(&open), Abandon { needed: true, ..giving_up("carol") }, at(2)).unwrap_err(),
        adopt(None, &key, &human("carol"), false).unwrap_err(),
        give_up(Some(&open), Abandon { gone: false, ..giving_up("carol") }, at(2)).unwrap_err(),
        give_up(Some(&asked), giving_up("carol"), at(2)).unwrap_err(),
    ]
}

#[test]
fn every_refusal_is_reached() {
    let reached: Vec<Rejection> =
        [raising_refused(), of_requests(), of_assignments_and_duties(), of_signals()].concat();
    let numbers: BTreeSet<usize> = reached.iter().map(number).collect();
    assert_eq!(numbers.len(), reached.len(), "one scenario for each: {reached:?}");
    let missing: Vec<usize> = (0..REFUSALS).filter(|number| !numbers.contains(number)).collect();
    // `NotFound` is for whoever looks a story up and finds none, `HasLeft` for whoever looks up who is there.
    assert_eq!(missing, [number(&Rejection::NotFound), number(&Rejection::HasLeft)]);
}
