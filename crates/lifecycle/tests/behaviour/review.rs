//! Approving and refusing: plans, what completes them, and what is missing.

use crate::support::*;
use domain::{Plan, Step};
use lifecycle::Rejection;
use lifecycle::event::{ApprovalBasis, Endorsed, Rejected, RejectedBecause, RequestEvent, Requested};
use lifecycle::review::{
    Approve, Endorser, Reject, approve, approve_by_rule, missing, reject, reject_without_rule,
};
use lifecycle::state::{Identities, Status};
use std::collections::BTreeMap;

fn by_people(names: &[&str]) -> Plan {
    let people = names.iter().map(|name| person(name)).collect();
    Plan { steps: vec![Step { count: 1, groups: group_set(&[]), people }] }
}

#[test]
fn the_completing_yes_approves() {
    let approved = given(pending(requested()))
        .when(|request| approve(request, yes(acting("bob"), &["approvers"], 100)))
        .approved();
    assert_eq!((approved.window.start(), approved.window.end()), (at(100), at(100 + HOUR)));
    assert_eq!(approved.basis, ApprovalBasis::People);
    assert_eq!(approved.approvers, vec![endorsement(&acting("bob"), &["approvers"], 100)]);
}

#[test]
fn an_event_lists_only_groups_that_a_plan_asks_about() {
    let bob = acting("bob");
    let two = plan(&[(2, &["approvers"])]);
    let story = [pending(with_plan(two.clone())), vec![endorsed(&bob, &["approvers"], 50)]].concat();
    let command = Approve {
        current: two,
        ..yes_after(acting("carol"), &["approvers", "choir"], 100, &[(&bob, &["approvers", "chess club"])])
    };
    let approved = given(story).when(|request| approve(request, command)).approved();
    assert!(approved.approvers.iter().all(|yes| yes.groups == group_set(&["approvers"])));
}

#[test]
fn a_yes_that_does_not_complete_the_plan_endorses() {
    let two = plan(&[(2, &["approvers"])]);
    let command = Approve { current: two.clone(), ..yes(acting("bob"), &["approvers"], 50) };
    let endorsed = Endorsed {
        endorsement: endorsement(&acting("bob"), &["approvers"], 50),
        policy_event: policy(),
        comment: None,
    };
    given(pending(with_plan(two)))
        .when(|request| approve(request, command))
        .then(RequestEvent::Endorsed(endorsed));
}

#[test]
fn an_asked_start_keeps_its_end_however_late_the_yes() {
    let from_1000 = Requested { asked: from_for(1000, HOUR), ..requested() };
    let window = |when| {
        let yes = yes(acting("bob"), &["approvers"], when);
        given(pending(from_1000.clone())).when(|request| approve(request, yes)).approved().window
    };
    assert_eq!((window(100).start(), window(100).end()), (at(1000), at(4600)));
    assert_eq!((window(2000).start(), window(2000).end()), (at(2000), at(4600)));
    assert_eq!(window(4540).end(), at(4600));
    given(pending(from_1000))
        .when(|request| approve(request, yes(acting("bob"), &["approvers"], 4541)))
        .refused(Rejection::WindowTooShort { min: secs(60) });
}

#[test]
fn a_yes_that_could_never_complete_is_refused_at_once() {
    let two = plan(&[(2, &["approvers"])]);
    let late = Requested { asked: from_for(1000, HOUR), ..with_plan(two.clone()) };
    let command = Approve { current: two, ..yes(acting("bob"), &["approvers"], 4590) };
    given(pending(late))
        .when(|request| approve(request, command))
        .refused(Rejection::WindowTooShort { min: secs(60) });
}

#[test]
fn the_recorded_plan_and_the_current_one_must_both_be_met() {
    let recorded = plan(&[(1, &["approvers"])]);
    let current = plan(&[(1, &["approvers"]), (1, &["security"])]);
    let bob = acting("bob");
    let command = Approve { current: current.clone(), ..yes(bob.clone(), &["approvers"], 50) };
    given(pending(with_plan(recorded.clone())))
        .when(|request| approve(request, command))
        .then_status(Status::Requested);
    // Someone whom only the current plan names completes it.
    let story = [pending(with_plan(recorded)), vec![endorsed(&bob, &["approvers"], 50)]].concat();
    let command =
        Approve { current, ..yes_after(acting("carol"), &["security"], 100, &[(&bob, &["approvers"])]) };
    given(story).when(|request| approve(request, command)).then_status(Status::Approved);
}

#[test]
fn a_plan_that_was_loosened_since_does_not_free_what_was_raised_under_the_stricter() {
    given(pending(requested()))
        .when(|request| approve_by_rule(request, &Plan::none(), policy(), secs(60), at(10)))
        .refused(Rejection::PlanNotEmpty);
    given(pending(with_plan(Plan::none())))
        .when(|request| approve_by_rule(request, &grounds().plan, policy(), secs(60), at(10)))
        .refused(Rejection::PlanNotEmpty);
}

#[test]
fn a_repeated_yes_completes_once_the_plan_has_shrunk() {
    let two = plan(&[(2, &["approvers"])]);
    let bob = acting("bob");
    // The recorded plan asks for one; the current one asked for two when Bob said yes, and asks for one now.
    let first = Approve { current: two, ..yes(bob.clone(), &["approvers"], 50) };
    given(pending(requested())).when(|request| approve(request, first)).then_status(Status::Requested);
    let story = [pending(requested()), vec![endorsed(&bob, &["approvers"], 50)]].concat();
    given(story)
        .when(|request| approve(request, yes(bob.clone(), &["approvers"], 60)))
        .then_status(Status::Approved);
}

#[test]
fn a_person_named_by_the_plan_needs_no_group() {
    let plan = by_people(&["bob"]);
    let command = Approve { current: plan.clone(), ..yes(acting("bob"), &[], 50) };
    given(pending(with_plan(plan))).when(|request| approve(request, command)).then_status(Status::Approved);
}

/// elevator #47: a double click approves twice, and starts two timers. The second click meets a request that is decided.
#[test]
fn elevator_47_double_click() {
    given(approved(requested()))
        .when(|request| approve(request, yes(acting("bob"), &["approvers"], 101)))
        .refused(Rejection::NotPending);
}

/// broker: the reviewer's client chose the duration. The window follows from what was asked and when it was approved.
#[test]
fn broker_reviewers_client_chooses_the_duration() {
    let command = yes(acting("bob"), &["approvers"], 100);
    let approved = given(pending(requested())).when(|request| approve(request, command)).approved();
    assert_eq!(approved.window.duration(), requested().asked.duration);
}

#[test]
fn one_no_of_a_current_approver_refuses() {
    let because = RejectedBecause::Approver { comment: None };
    given(pending(requested()))
        .when(|request| reject(request, no(acting("bob"), &["approvers"], 100)))
        .then(RequestEvent::Rejected(Rejected { because, policy_event: Some(policy()) }));
    let elsewhere = Reject { current: plan(&[(1, &["security"])]), ..no(acting("bob"), &["approvers"], 100) };
    given(pending(requested())).when(|request| reject(request, elsewhere)).refused(Rejection::NotEntitled);
}

#[test]
fn a_rule_that_vanished_refuses() {
    let event =
        RequestEvent::Rejected(Rejected { because: RejectedBecause::RuleVanished, policy_event: None });
    given(pending(requested())).when(|request| reject_without_rule(request, None)).then(event);
    given(approved(requested()))
        .when(|request| reject_without_rule(request, None))
        .refused(Rejection::NotPending);
}

#[test]
fn a_rule_that_asks_nobody_approves() {
    let by_rule = |requested: Requested, when| {
        given(pending(requested))
            .when(move |request| approve_by_rule(request, &Plan::none(), policy(), secs(60), at(when)))
    };
    let approved = by_rule(with_plan(Plan::none()), 10).approved();
    assert_eq!((approved.basis, approved.approvers.len()), (ApprovalBasis::Rule, 0));
    by_rule(with_plan(Plan::none()), DAY).refused(Rejection::ReviewOver { at: at(DAY) });
    let late = Requested { asked: from_for(1000, HOUR), ..with_plan(Plan::none()) };
    by_rule(late, 4599).refused(Rejection::WindowTooShort { min: secs(60) });
}

#[test]
fn what_is_missing_of_both_plans_is_told_once() {
    let recorded = plan(&[(1, &["a"]), (1, &["b"])]);
    let request = |story| given(story).request();
    let endorsers = |in_groups: &[&str]| {
        let endorser = Endorser { identities: Identities::of(person("bob")), groups: groups(in_groups) };
        BTreeMap::from([(person("bob"), endorser)])
    };
    let story = and(pending(with_plan(recorded.clone())), endorsed(&acting("bob"), &["a"], 10).0, 10);
    let current = plan(&[(1, &["b"]), (1, &["c"])]);
    assert_eq!(missing(&request(story.clone()), &endorsers(&["a"]), &recorded), plan(&[(1, &["b"])]));
    assert_eq!(
        missing(&request(story.clone()), &endorsers(&["a"]), &current),
        plan(&[(1, &["b"]), (1, &["c"])])
    );
    // Who has left the groups does not count any more.
    assert_eq!(missing(&request(story), &endorsers(&[]), &recorded), recorded);
}
