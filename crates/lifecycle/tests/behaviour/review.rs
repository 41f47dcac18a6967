//! Approving, refusing, expiring, and the review of emergencies.

use crate::support::*;
use domain::{Groups, Plan, Step};
use lifecycle::event::{
    ApprovalBasis, Endorsed, Expired, ExpiredBecause, Rejected, RejectedBecause, RequestEvent, Requested,
    ReviewedAfter, Verdict,
};
use lifecycle::review::{
    Approve, Endorser, Reject, approve, approve_by_rule, expire, missing, reject, reject_without_rule,
    review_after,
};
use lifecycle::state::{Acting, Identities, Status};
use lifecycle::{Rejection, Request};
use std::collections::BTreeMap;

fn by_people(names: &[&str]) -> Plan {
    let people = names.iter().map(|name| person(name)).collect();
    Plan { steps: vec![Step { count: 1, groups: group_set(&[]), people }] }
}

fn emergency() -> Requested {
    Requested { emergency: true, ..with_plan(Plan::none()) }
}

/// An emergency that its rule let through at 10 s.
fn break_glass() -> Story {
    let event = given(pending(emergency()))
        .when(|request| approve_by_rule(request, &Plan::none(), policy(), secs(60), at(10)))
        .event();
    and(pending(emergency()), event, 10)
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

/// Teleport #13416: the admin CLI's path skipped the self-approval rule. Here there is no path around the decider.
#[test]
fn teleport_13416_self_approval_rule_lives_in_the_decider() {
    given(pending(requested()))
        .when(|request| approve(request, yes(acting("ada"), &["approvers"], 100)))
        .refused(Rejection::OwnRequest);
    given(pending(requested()))
        .when(|request| reject(request, no(acting("ada"), &["approvers"], 100)))
        .refused(Rejection::OwnRequest);
    given(break_glass())
        .when(|request| review_after(request, &acting("ada"), Verdict::Justified, None))
        .refused(Rejection::OwnRequest);
}

/// TEAM: self-approval compared by e-mail string. The subject counts, under its issuer, whatever it looks like.
#[test]
fn team_self_approval_compared_by_email_string() {
    let of_guest = |subject: &str| {
        let mut bob = acting("x");
        bob.actor.person = domain::Person::new("https://guest.example", subject).unwrap();
        Acting::alone(bob.actor)
    };
    // The same subject of another issuer is somebody else, unless linked.
    let approves =
        |who: Acting| given(pending(requested())).when(|r| approve(r, yes(who, &["approvers"], 100)));
    approves(of_guest("ada")).then_status(Status::Approved);
    let mut ada_as_guest = of_guest("ADA@example.com");
    ada_as_guest.identities.people.insert(person("ada"));
    approves(ada_as_guest).refused(Rejection::OwnRequest);
}

#[test]
fn nobody_decides_on_their_own_under_a_linked_identity_or_the_same_user() {
    let approves =
        |who: Acting| given(pending(requested())).when(|r| approve(r, yes(who, &["approvers"], 100)));
    approves(linked("ada2", &["ada"])).refused(Rejection::OwnRequest);
    approves(as_user("ada2", "aaaa")).refused(Rejection::OwnRequest);
    approves(as_user("bob", "bbbb")).then_status(Status::Approved);
    let forgotten = Acting { actor: human("ada"), identities: nobody() };
    approves(forgotten).refused(Rejection::OwnRequest);
}

#[test]
fn nobody_decides_on_what_they_raised_for_another() {
    let raised_by_eve = Requested { raiser: human("eve"), raiser_principal: None, ..requested() };
    for who in [acting("eve"), linked("eve2", &["eve"])] {
        given(pending(raised_by_eve.clone()))
            .when(|request| approve(request, yes(who.clone(), &["approvers"], 100)))
            .refused(Rejection::OwnRequest);
    }
}

#[test]
fn only_humans_decide() {
    let pipeline = Acting::alone(workload("pipeline"));
    given(pending(requested()))
        .when(|request| approve(request, yes(pipeline.clone(), &["approvers"], 100)))
        .refused(Rejection::NotAPerson);
    given(pending(requested()))
        .when(|request| reject(request, no(pipeline.clone(), &["approvers"], 100)))
        .refused(Rejection::NotAPerson);
    given(break_glass())
        .when(|request| review_after(request, &pipeline, Verdict::Justified, None))
        .refused(Rejection::NotAPerson);
}

#[test]
fn unknown_groups_prove_nothing() {
    let unknown =
        Approve { groups: Groups::Unknown("the claim is cut short".into()), ..yes(acting("bob"), &[], 100) };
    given(pending(requested()))
        .when(|request| approve(request, unknown))
        .refused(Rejection::Unprovable("the claim is cut short".into()));
}

/// Glide, TEAM: approvers frozen at creation; a removed approver still approves.
#[test]
fn glide_approvers_frozen_at_creation() {
    let bob = acting("bob");
    // Bob left the group since the request was raised.
    given(pending(requested()))
        .when(|request| approve(request, yes(bob.clone(), &[], 100)))
        .refused(Rejection::NotEntitled);
    // Bob agreed, then left, then Carol agrees: two are needed, so Carol's yes is the first that counts.
    let two = plan(&[(2, &["approvers"])]);
    let story = [pending(with_plan(two.clone())), vec![endorsed(&bob, &["approvers"], 50)]].concat();
    let carol = Approve { current: two, ..yes_after(acting("carol"), &["approvers"], 100, &[(&bob, &[])]) };
    let RequestEvent::Endorsed(yes) = given(story).when(|request| approve(request, carol)).event() else {
        panic!("completed by someone who left");
    };
    assert_eq!(yes.endorsement.approver, human("carol"));
}

#[test]
fn a_yes_that_does_not_count_any_more_is_not_listed_as_one() {
    let (bob, carol) = (acting("bob"), acting("carol"));
    let two = plan(&[(2, &["approvers"])]);
    let story = [
        pending(with_plan(two.clone())),
        vec![endorsed(&bob, &["approvers"], 50), endorsed(&carol, &["approvers"], 60)],
    ]
    .concat();
    let before: &[(&Acting, &[&str])] = &[(&bob, &[]), (&carol, &["approvers"])];
    let dan = Approve { current: two, ..yes_after(acting("dan"), &["approvers"], 100, before) };
    let approved = given(story).when(|request| approve(request, dan)).approved();
    let names: Vec<_> = approved.approvers.iter().map(|yes| yes.approver.person.clone()).collect();
    assert_eq!(names, [person("carol"), person("dan")]);
}

#[test]
fn someone_unknown_now_does_not_count_any_more() {
    let bob = acting("bob");
    let two = plan(&[(2, &["approvers"])]);
    let story = || [pending(with_plan(two.clone())), vec![endorsed(&bob, &["approvers"], 50)]].concat();
    let missing = Approve { current: two.clone(), ..yes(acting("carol"), &["approvers"], 100) };
    given(story()).when(|request| approve(request, missing)).then_status(Status::Requested);
    let mut unknown =
        Approve { current: two.clone(), ..yes_after(acting("carol"), &["approvers"], 100, &[(&bob, &[])]) };
    let groups = Groups::Unknown("the directory is too old".into());
    unknown.endorsers.insert(person("bob"), Endorser { identities: bob.identities.clone(), groups });
    given(story()).when(|request| approve(request, unknown)).then_status(Status::Requested);
}

/// An identity that is linked after its yes is checked again when the plan completes.
#[test]
fn an_earlier_yes_of_the_requester_under_an_identity_linked_since_does_not_count() {
    let two = plan(&[(2, &["approvers"])]);
    for known_since in [linked("ada2", &["ada"]), as_user("ada2", "aaaa")] {
        let story =
            [pending(with_plan(two.clone())), vec![endorsed(&acting("ada2"), &["approvers"], 50)]].concat();
        let bob = Approve {
            current: two.clone(),
            ..yes_after(acting("bob"), &["approvers"], 100, &[(&known_since, &["approvers"])])
        };
        given(story).when(|request| approve(request, bob)).then_status(Status::Requested);
    }
}

#[test]
fn one_person_twice_in_a_quorum_counts_once() {
    let two = plan(&[(2, &["approvers"])]);
    let bob = acting("bob");
    let story = || [pending(with_plan(two.clone())), vec![endorsed(&bob, &["approvers"], 50)]].concat();
    let again = |who: Acting| {
        let command = yes_after(who, &["approvers"], 100, &[(&bob, &["approvers"])]);
        let command = Approve { current: two.clone(), ..command };
        given(story()).when(|request| approve(request, command))
    };
    again(bob.clone()).refused(Rejection::AlreadyEndorsed);
    again(linked("bob@guest", &["bob"])).refused(Rejection::AlreadyEndorsed);
    again(acting("carol")).then_status(Status::Approved);
}

#[test]
fn one_identity_center_user_twice_in_a_quorum_counts_once() {
    let two = plan(&[(2, &["approvers"])]);
    let bob = as_user("bob", "bbbb");
    let story = [pending(with_plan(two.clone())), vec![endorsed(&bob, &["approvers"], 50)]].concat();
    let command = Approve {
        current: two,
        ..yes_after(as_user("robert", "bbbb"), &["approvers"], 100, &[(&bob, &["approvers"])])
    };
    given(story).when(|request| approve(request, command)).refused(Rejection::AlreadyEndorsed);
}

#[test]
fn two_earlier_yeses_that_turn_out_to_be_one_persons_count_once() {
    let three = plan(&[(3, &["approvers"])]);
    let story = [
        pending(with_plan(three.clone())),
        vec![endorsed(&acting("bob"), &["approvers"], 50), endorsed(&acting("robert"), &["approvers"], 60)],
    ]
    .concat();
    let (bob, robert) = (linked("bob", &["robert"]), linked("robert", &["bob"]));
    let before: &[(&Acting, &[&str])] = &[(&bob, &["approvers"]), (&robert, &["approvers"])];
    let carol = Approve { current: three, ..yes_after(acting("carol"), &["approvers"], 100, before) };
    given(story).when(|request| approve(request, carol)).then_status(Status::Requested);
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
