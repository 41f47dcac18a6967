//! Who may decide, and whose yes counts: never one's own, once each, as things stand now.

use crate::emergency::break_glass;
use crate::support::*;
use domain::Groups;
use lifecycle::Rejection;
use lifecycle::event::{RequestEvent, Requested, Verdict};
use lifecycle::review::{Approve, Endorser, approve, reject, review_after};
use lifecycle::state::{Acting, Status};

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

/// Groups of a token are known for a while. With three to agree, nobody would ever be the last one otherwise.
#[test]
fn a_yes_that_counts_no_more_can_be_given_again() {
    let (bob, carol) = (acting("bob"), acting("carol"));
    let three = plan(&[(3, &["approvers"])]);
    let story = [
        pending(with_plan(three.clone())),
        vec![endorsed(&bob, &["approvers"], 50), endorsed(&carol, &["approvers"], 60)],
    ]
    .concat();
    let before: &[(&Acting, &[&str])] = &[(&bob, &[]), (&carol, &["approvers"])];
    let again = Approve { current: three, ..yes_after(acting("bob"), &["approvers"], 100, before) };
    let RequestEvent::Endorsed(yes) = given(story.clone()).when(|request| approve(request, again)).event()
    else {
        panic!("not endorsed again");
    };
    let after = given(and(story, RequestEvent::Endorsed(yes), 100)).request();
    let agreed: Vec<_> = after.endorsements.iter().map(|yes| (yes.approver.person.clone(), yes.at)).collect();
    assert_eq!(agreed, [(person("carol"), at(60)), (person("bob"), at(100))]);
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
