//! Yes and no.

use crate::house::{House, POLICY, because, caller, directory_ages, human, person, refusal, with_groups};
use api::types::v1::RequestStatus;
use aws::Contents;
use aws::simulated::sample;
use domain::{ActorKind, Groups, Person};
use identity::Caller;
use journal::Fact;
use lifecycle::RequestEvent;
use lifecycle::state::Status;
use tonic::Code;

fn two_teams() -> String {
    POLICY.replace(
        r#"plan = [{ count = 1, groups = ["identity-store:approvers"] }]"#,
        r#"plan = [{ count = 1, groups = ["identity-store:approvers"] }, { count = 1, groups = ["identity-store:security"] }]"#,
    )
}

#[tokio::test(start_paused = true)]
async fn the_yes_that_completes_the_plan_approves_and_the_clock_starts_at_it() {
    let house = House::new().await;
    let id = house.raised().await;
    let answer = house.approve(&caller("bob"), id).await.unwrap();
    let shown = answer.request.unwrap();
    assert_eq!(shown.status(), RequestStatus::Approved);
    assert_eq!(shown.justification, "the pager went off");
    let story = house.story(id).await;
    assert_eq!(story.request.window().unwrap().duration(), crate::house::hours(1));
    let Fact::Request(RequestEvent::Approved(approved)) = &story.events[1].fact else {
        panic!("not approved")
    };
    let place = views::resource::comment_place(&story.events[1].id);
    let comment =
        views::resource::open(house.views.keys.as_ref(), &place, approved.comment.as_ref().unwrap()).await;
    assert_eq!(comment.as_deref(), Some("looks fine"));
    assert_eq!(story.events[1].actor.as_ref().unwrap().person, person("bob"));
}

#[tokio::test(start_paused = true)]
async fn a_no_is_final() {
    let house = House::new().await;
    let id = house.raised().await;
    let answer = house.reject(&caller("bob"), id).await.unwrap();
    assert_eq!(answer.request.unwrap().status(), RequestStatus::Rejected);
    let late = refusal(house.approve(&caller("frank"), id).await);
    assert_eq!(late, because(Code::FailedPrecondition, "NOT_PENDING"));
}

#[tokio::test(start_paused = true)]
async fn glide_approvers_frozen_at_creation() {
    let house = House::new().await;
    let id = house.raised().await;
    // Bob leaves the group after the request was raised.
    house.reorganise(|contents| contents.memberships.clear()).await;
    let events = house.events();
    assert_eq!(refusal(house.approve(&caller("bob"), id).await), because(Code::NotFound, "NOT_FOUND"));
    assert_eq!(house.events(), events);
}

#[tokio::test(start_paused = true)]
async fn an_approver_whom_the_policy_names_no_longer_does_not_suffice() {
    let house = House::new().await;
    let id = house.raised().await;
    house
        .apply(&POLICY.replacen("[\"identity-store:approvers\"] }]", "[\"identity-store:security\"] }]", 1))
        .await;
    let answer = house.approve(&caller("bob"), id).await.unwrap();
    assert_eq!(answer.request.unwrap().status(), RequestStatus::Requested);
    let answer = house.approve(&caller("grace"), id).await.unwrap();
    assert_eq!(answer.request.unwrap().status(), RequestStatus::Approved);
}

#[tokio::test(start_paused = true)]
async fn an_endorser_who_left_does_not_count_when_another_agrees() {
    let house = House::with_policy(&two_teams()).await;
    let id = house.raised().await;
    house.approve(&caller("grace"), id).await.unwrap();
    house
        .reorganise(|contents| {
            let grace = contents.users.iter().find(|(_, user)| user.display_name == "grace");
            let grace = grace.unwrap().0.clone();
            contents.memberships.remove(&grace);
        })
        .await;
    let answer = house.approve(&caller("bob"), id).await.unwrap();
    assert_eq!(answer.request.unwrap().status(), RequestStatus::Requested);
}

#[tokio::test(start_paused = true)]
async fn team_self_approval_by_e_mail() {
    // An approver asks for themselves, and comes back with another account of the same human.
    let house = House::new().await;
    let id = house.raised_by("bob", sample::WEB_PROD, "prod-read").await;
    assert_eq!(
        refusal(house.approve(&caller("bob"), id).await),
        because(Code::PermissionDenied, "OWN_REQUEST")
    );
    let other_case = Caller { actor: human(person("Bob")), ..caller("bob") };
    assert_eq!(refusal(house.approve(&other_case, id).await), because(Code::PermissionDenied, "OWN_REQUEST"));
    let other_issuer = Person::new("https://guests.example", "bob@corp").unwrap();
    house.link(&other_issuer, &person("bob")).await;
    let linked = Caller {
        actor: human(other_issuer),
        directory_id: None,
        groups: Some(Groups::Known(["identity-store:approvers".parse().unwrap()].into())),
        ..caller("bob")
    };
    assert_eq!(refusal(house.approve(&linked, id).await), because(Code::PermissionDenied, "OWN_REQUEST"));
    assert_eq!(house.status(id).await, Status::Requested);
}

#[tokio::test(start_paused = true)]
async fn broker_reviewer_from_another_token() {
    // Whoever raised it for someone is involved as well, under whichever identity they come back.
    let house = House::new().await;
    let id = house.raised_as(human(person("bob")), "ada", sample::WEB_PROD, "prod-read").await;
    let second_token = Caller { actor: human(person("bob-admin")), ..caller("bob") };
    assert_eq!(
        refusal(house.approve(&second_token, id).await),
        because(Code::PermissionDenied, "OWN_REQUEST")
    );
    house.approve(&caller("frank"), id).await.unwrap();
}

#[tokio::test(start_paused = true)]
async fn teleport_13416() {
    // There is no way around the decider: administrators are nobody to it, and workloads do not get in.
    let house = House::new().await;
    let id = house.raised_by("bob", sample::WEB_PROD, "prod-read").await;
    let bob = with_groups("bob", &["admins"]);
    assert_eq!(refusal(house.approve(&bob, id).await), because(Code::PermissionDenied, "OWN_REQUEST"));
    let carol = with_groups("carol", &["admins"]);
    assert_eq!(refusal(house.approve(&carol, id).await), because(Code::PermissionDenied, "NOT_ENTITLED"));
    let mut robot = caller("bob");
    robot.actor.kind = ActorKind::Workload;
    assert_eq!(refusal(house.approve(&robot, id).await).0, Code::PermissionDenied);
    assert_eq!(house.status(id).await, Status::Requested);
}

#[tokio::test(start_paused = true)]
async fn a_quorum_of_two_teams_takes_two_people() {
    let house = House::with_policy(&two_teams()).await;
    let id = house.raised().await;
    // Heidi is in both teams.
    let answer = house.approve(&caller("heidi"), id).await.unwrap();
    assert_eq!(answer.request.unwrap().status(), RequestStatus::Requested);
    let twice = refusal(house.approve(&caller("heidi"), id).await);
    assert_eq!(twice, because(Code::FailedPrecondition, "ALREADY_ENDORSED"));
    // Under another identity, with the same user of Identity Center.
    let again = Caller { actor: human(person("heidi-laptop")), ..caller("heidi") };
    let twice = refusal(house.approve(&again, id).await);
    assert_eq!(twice, because(Code::FailedPrecondition, "ALREADY_ENDORSED"));
    let answer = house.approve(&caller("bob"), id).await.unwrap();
    let shown = answer.request.unwrap();
    assert_eq!((shown.status(), shown.endorsements.len()), (RequestStatus::Approved, 2));
}

#[tokio::test(start_paused = true)]
async fn linked_identities_are_one_person_in_a_quorum() {
    let two = POLICY.replace("count = 1", "count = 2");
    let house = House::with_policy(&two).await;
    let id = house.raised().await;
    house.link(&person("bob"), &person("frank")).await;
    house.approve(&caller("bob"), id).await.unwrap();
    let twice = refusal(house.approve(&caller("frank"), id).await);
    assert_eq!(twice, because(Code::FailedPrecondition, "ALREADY_ENDORSED"));
    assert_eq!(house.status(id).await, Status::Requested);
}

#[tokio::test(start_paused = true)]
async fn a_repeated_call_is_one_event_and_another_command_under_its_key_is_refused() {
    let house = House::new().await;
    let id = house.raised().await;
    house.approve_with(&caller("bob"), id, "once").await.unwrap();
    let events = house.events();
    let again = house.approve_with(&caller("bob"), id, "once").await.unwrap();
    assert_eq!(again.request.unwrap().status(), RequestStatus::Approved);
    assert_eq!(house.events(), events);
    let message = api::approval::v1::ApproveRequest {
        idempotency_key: "once".to_owned(),
        request_id: id.to_string(),
        comment: "something else".to_owned(),
    };
    let other = house.approvals().approve(house.request(&caller("bob"), message)).await;
    assert_eq!(refusal(other), because(Code::AlreadyExists, "KEY_REUSED"));
}

#[tokio::test(start_paused = true)]
async fn a_vanished_rule_refuses_and_the_approver_writes_nothing() {
    let house = House::new().await;
    let id = house.raised().await;
    house.apply(&POLICY.replace("prod-read", "prod-look")).await;
    let events = house.events();
    for answer in
        [house.approve(&caller("bob"), id).await.map(drop), house.reject(&caller("bob"), id).await.map(drop)]
    {
        assert_eq!(refusal(answer), because(Code::FailedPrecondition, "RULE_VANISHED"));
    }
    assert_eq!(house.events(), events);
}

/// Ada was put into the group, and asked, since the directory was read here.
#[tokio::test(start_paused = true)]
async fn by_a_directory_from_before_the_request_its_rule_is_not_gone() {
    let house = House::new().await;
    let ada = domain::PrincipalId::new(sample::ADA).unwrap();
    tokio::time::advance(std::time::Duration::from_secs(5)).await;
    let read_at = house.views.clock.now();
    tokio::time::advance(std::time::Duration::from_secs(5)).await;
    let id = house.raised().await;
    let mut groups = None;
    let before = |contents: &mut Contents| {
        contents.as_of = Some(read_at);
        groups = contents.memberships.remove(&ada);
    };
    house.reorganise(before).await;
    let events = house.events();
    assert_eq!(refusal(house.approve(&caller("bob"), id).await), because(Code::Unavailable, "UNPROVABLE"));
    assert_eq!(house.events(), events);
    let since = |contents: &mut Contents| {
        contents.as_of = None;
        contents.memberships.extend(groups.map(|groups| (ada, groups)));
    };
    house.reorganise(since).await;
    house.approve(&caller("bob"), id).await.unwrap();
}

#[tokio::test(start_paused = true)]
async fn what_cannot_be_proved_is_refused_and_nothing_is_written() {
    let house = House::new().await;
    let id = house.raised().await;
    let events = house.events();
    let unknown = Caller { groups: Some(Groups::Unknown("the claim was cut short".into())), ..caller("bob") };
    let elsewhere = domain::RequestId::from_parts([b"no such request".as_slice()]);
    for id in [id, elsewhere] {
        assert_eq!(refusal(house.approve(&unknown, id).await), because(Code::Unavailable, "UNPROVABLE"));
    }
    directory_ages().await;
    assert_eq!(refusal(house.approve(&caller("bob"), id).await), because(Code::Unavailable, "UNPROVABLE"));
    assert_eq!(refusal(house.reject(&caller("bob"), id).await), because(Code::Unavailable, "UNPROVABLE"));
    assert_eq!(house.events(), events);
    house.reorganise(|_| {}).await;
    house.approve(&caller("bob"), id).await.unwrap();
}

#[tokio::test(start_paused = true)]
async fn the_requesters_groups_are_looked_at_again() {
    let house = House::new().await;
    let id = house.raised().await;
    house
        .reorganise(|contents| {
            let ada = contents.users.iter().find(|(_, user)| user.user_name.as_str() == "ada").unwrap();
            let ada = ada.0.clone();
            contents.users.remove(&ada);
        })
        .await;
    // Gone from the directory: whether a rule permits them cannot be told any more.
    assert_eq!(refusal(house.approve(&caller("bob"), id).await), because(Code::Unavailable, "UNPROVABLE"));
}

#[tokio::test(start_paused = true)]
async fn who_may_not_know_of_a_request_is_told_that_there_is_none() {
    let house = House::new().await;
    let id = house.raised().await;
    assert_eq!(refusal(house.approve(&caller("grace"), id).await), because(Code::NotFound, "NOT_FOUND"));
    assert_eq!(refusal(house.reject(&caller("grace"), id).await), because(Code::NotFound, "NOT_FOUND"));
}

#[tokio::test(start_paused = true)]
async fn an_emergencys_review_is_not_served_yet() {
    let house = House::new().await;
    let id = house.raised().await;
    let message = api::approval::v1::ReviewAfterTheFactRequest {
        idempotency_key: house.key(),
        request_id: id.to_string(),
        verdict: api::types::v1::Verdict::Justified.into(),
        comment: String::new(),
    };
    let answer = house.approvals().review_after_the_fact(house.request(&caller("bob"), message)).await;
    assert_eq!(answer.unwrap_err().code(), Code::Unimplemented);
}

#[tokio::test(start_paused = true)]
async fn while_it_cannot_be_told_who_is_linked_with_whom_nothing_is_decided() {
    let house = House::with_policy(&POLICY.replace("count = 1", "count = 2")).await;
    let id = house.raised().await;
    house.approve(&caller("bob"), id).await.unwrap();
    house.seen().await;
    let house = house.fall_behind().await;
    house.link(&person("bob"), &person("frank")).await;
    let answer = refusal(house.approve(&caller("frank"), id).await);
    assert_eq!(answer, because(Code::Unavailable, "POSITION_NOT_REACHED"));
}

/// Whether the read model has heard of it is for the service to see to.
#[tokio::test(start_paused = true)]
async fn whoever_left_decides_nothing_and_gets_nothing() {
    let house = House::with_policy(&two_teams()).await;
    let (first, second) = (house.raised().await, house.raised().await);
    house.approve(&caller("bob"), first).await.unwrap();
    house.left("bob").await;
    let has_left = || because(Code::PermissionDenied, "HAS_LEFT");
    assert_eq!(refusal(house.approve(&caller("bob"), second).await), has_left());
    assert_eq!(refusal(house.reject(&caller("bob"), second).await), has_left());
    // Nor does what he said before he left count any more: grace's is the first yes now.
    house.approve(&caller("grace"), first).await.unwrap();
    assert_eq!(house.status(first).await, Status::Requested);
    house.approve(&caller("frank"), first).await.unwrap();
    assert_eq!(house.status(first).await, Status::Approved);
    house.left("ada").await;
    assert_eq!(refusal(house.approve(&caller("frank"), second).await), has_left());
    let by_rule = house.status(second).await;
    assert_eq!(by_rule, Status::Requested);
}
