//! When there is a decision, and when none any more: deadlines, expiry, and the window that follows.

use crate::support::*;
use lifecycle::Rejection;
use lifecycle::event::{Expired, ExpiredBecause, RequestEvent, Requested};
use lifecycle::review::{Approve, Reject, approve, expire, reject};
use lifecycle::state::Status;

/// approve against withdraw against expiry: whoever's event is first in the log wins; the others look again and are refused.
#[test]
fn approve_withdraw_and_expiry_exclude_each_other() {
    let expired = RequestEvent::Expired(Expired { because: ExpiredBecause::NotDecided });
    for first in [RequestEvent::Withdrawn, expired, approved_event(100, 3700)] {
        let story = and(pending(requested()), first, 100);
        given(story.clone())
            .when(|request| approve(request, yes(acting("bob"), &["approvers"], 101)))
            .refused(Rejection::NotPending);
        given(story).when(|request| expire(request, at(DAY))).refused(Rejection::NotPending);
    }
}

#[test]
fn at_every_instant_either_deciding_or_expiring_is_legal() {
    let from_1000 = Requested { asked: from_for(1000, HOUR), ..requested() };
    for (requested, until) in [(requested(), DAY), (from_1000, 4600)] {
        let decide = |when| {
            given(pending(requested.clone())).when(|r| reject(r, no(acting("bob"), &["approvers"], when)))
        };
        let runs_out = |when| given(pending(requested.clone())).when(|request| expire(request, at(when)));
        decide(until - 1).then_status(Status::Rejected);
        runs_out(until - 1).refused(Rejection::ReviewNotOver);
        decide(until).refused(Rejection::ReviewOver { at: at(until) });
        given(pending(requested.clone()))
            .when(|request| {
                approve(
                    request,
                    Approve { duration_min: secs(0), ..yes(acting("bob"), &["approvers"], until) },
                )
            })
            .refused(Rejection::ReviewOver { at: at(until) });
        runs_out(until).then_status(Status::Expired);
    }
}

#[test]
fn the_reason_of_expiry_is_what_ran_out_first_however_late_it_is_noticed() {
    let because = |requested: Requested, when| {
        let event = given(pending(requested)).when(|request| expire(request, at(when))).event();
        let RequestEvent::Expired(expired) = event else { panic!("not expired") };
        expired.because
    };
    let far = || Requested { asked: from_for(2 * DAY, HOUR), ..requested() };
    let near = || Requested { asked: from_for(1000, HOUR), ..requested() };
    assert_eq!(because(far(), DAY), ExpiredBecause::NotDecided);
    assert_eq!(because(far(), 9 * DAY), ExpiredBecause::NotDecided);
    assert_eq!(because(near(), 4600), ExpiredBecause::WindowPassed);
    assert_eq!(because(near(), 9 * DAY), ExpiredBecause::WindowPassed);
}

/// A clock that is behind cannot decide in time what the story's latest event shows to be late.
#[test]
fn time_never_goes_back_for_a_decision() {
    let two = plan(&[(2, &["approvers"])]);
    let bob = acting("bob");
    let raised = Requested { decide_by: at(100), ..with_plan(two.clone()) };
    let story = || [pending(raised.clone()), vec![endorsed(&bob, &["approvers"], 100)]].concat();
    let carol = Approve {
        current: two.clone(),
        ..yes_after(acting("carol"), &["approvers"], 95, &[(&bob, &["approvers"])])
    };
    given(story()).when(|request| approve(request, carol)).refused(Rejection::ReviewOver { at: at(100) });
    given(story())
        .when(|request| {
            reject(request, Reject { current: two.clone(), ..no(acting("carol"), &["approvers"], 95) })
        })
        .refused(Rejection::ReviewOver { at: at(100) });
    given(story()).when(|request| expire(request, at(95))).then_status(Status::Expired);
}

#[test]
fn the_window_never_begins_before_its_approval_is_recorded() {
    let two = plan(&[(2, &["approvers"])]);
    let bob = acting("bob");
    let story = [pending(with_plan(two.clone())), vec![endorsed(&bob, &["approvers"], 50)]].concat();
    let carol =
        Approve { current: two, ..yes_after(acting("carol"), &["approvers"], 45, &[(&bob, &["approvers"])]) };
    let approved = given(story).when(|request| approve(request, carol)).approved();
    assert_eq!(approved.window.start(), at(50));
    assert!(approved.approvers.iter().all(|yes| yes.at == at(50)));
}
