//! Emergencies, and the review that they owe.

use crate::support::*;
use domain::Plan;
use lifecycle::event::{RequestEvent, Requested, ReviewedAfter, Verdict};
use lifecycle::review::{approve, approve_by_rule, review_after};
use lifecycle::{Rejection, Request};

fn emergency() -> Requested {
    Requested { emergency: true, ..with_plan(Plan::none()) }
}

/// An emergency that its rule let through at 10 s.
pub(crate) fn break_glass() -> Story {
    let event = given(pending(emergency()))
        .when(|request| approve_by_rule(request, &Plan::none(), policy(), secs(60), at(10)))
        .event();
    and(pending(emergency()), event, 10)
}

#[test]
fn an_emergency_that_nobody_had_to_agree_to_owes_a_review() {
    let story = break_glass();
    assert!(given(story.clone()).request().owes_review());
    let reviewed = ReviewedAfter { verdict: Verdict::NotJustified, comment: None };
    given(story.clone())
        .when(|request| review_after(request, &acting("bob"), Verdict::NotJustified, None))
        .then(RequestEvent::ReviewedAfter(reviewed.clone()));
    let done = and(story, RequestEvent::ReviewedAfter(reviewed), 20);
    given(done)
        .when(|request| review_after(request, &acting("bob"), Verdict::Justified, None))
        .refused(Rejection::NoReviewOwed);
}

#[test]
fn an_emergency_still_owes_its_review_when_it_is_over() {
    let story = and(break_glass(), RequestEvent::Withdrawn, 20);
    assert!(given(story).request().owes_review());
}

#[test]
fn the_review_of_an_emergency_is_by_someone_who_did_not_use_or_raise_it() {
    for who in [linked("ada2", &["ada"]), as_user("ada2", "aaaa")] {
        given(break_glass())
            .when(|request| review_after(request, &who, Verdict::Justified, None))
            .refused(Rejection::OwnRequest);
    }
}

#[test]
fn an_emergency_that_people_agreed_to_owes_no_review() {
    let requested = Requested { emergency: true, ..requested() };
    let command = yes(acting("bob"), &["approvers"], 10);
    let event = given(pending(requested.clone())).when(|request| approve(request, command)).event();
    let request: Request = given(and(pending(requested), event, 10)).request();
    assert!(!request.owes_review());
}

#[test]
fn a_review_that_is_not_owed_changes_nothing() {
    let reviewed = RequestEvent::ReviewedAfter(ReviewedAfter { verdict: Verdict::Justified, comment: None });
    let request = given(and(pending(requested()), reviewed, 10)).request();
    assert_eq!(request.reviewed_after, None);
}
