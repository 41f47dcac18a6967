//! Who may know of a request, and what they are shown.

use crate::world::*;
use api::types::v1::RequestStatus;
use aws::simulated::sample::{APPROVERS, WEB_DEV};
use tonic::Code;

#[tokio::test(start_paused = true)]
async fn a_request_is_there_for_those_who_may_know_of_it_alone() {
    let world = World::with(policy([{
        let mut rule = rule("read");
        rule.requesters.groups.insert(of_store("auditors"));
        rule
    }]))
    .await;
    let for_ada = api::types::v1::Ask { on_behalf_of: Some(wire_person("ada")), ..ask(WEB_DEV) };
    let id = world.created("itsm", "k", for_ada).await.request_id;
    for (name, sees) in [
        ("ada", true),
        ("itsm", true),
        ("bob", true),
        ("carol", true),
        ("eve", true),
        ("robot", false),
        ("mallory", false),
        ("mallory+approvers", false),
        ("bob+unknown", false),
        ("ADA", false),
    ] {
        let answer = world.get(name, &id).await;
        if sees {
            assert_eq!(answer.unwrap().request.unwrap().justification, "the pager went off", "{name}");
        } else {
            assert_eq!(no(answer), (Code::NotFound, "NOT_FOUND".to_owned()), "{name}");
        }
    }
    let nothing = world.get("mallory", "00000000-0000-4000-8000-000000000000").await.unwrap_err();
    let hidden = world.get("mallory", &id).await.unwrap_err();
    assert_eq!(
        (nothing.code(), nothing.message(), nothing.details()),
        (hidden.code(), hidden.message(), hidden.details())
    );
}

#[tokio::test(start_paused = true)]
async fn who_decides_now_sees_it_and_who_decided_still_does() {
    let world = World::ordinary().await;
    let id = world.created("ada", "k", ask(WEB_DEV)).await.request_id;
    world.approve(&id, "bob", &[APPROVERS]).await;
    assert_eq!(no(world.get("mallory+leads", &id).await).0, Code::NotFound);
    let mut changed = rule("read");
    let leads = domain::GroupRef::new("corp", "leads").unwrap();
    changed.plan = policy::PlanSource::Steps(domain::Plan { steps: vec![step(1, &[leads])] });
    world.apply(policy([changed])).await;
    world.get("mallory+leads", &id).await.unwrap();
    world
        .change_directory(|contents| {
            contents.memberships.clear();
        })
        .await;
    assert_eq!(world.get("bob", &id).await.unwrap().request.unwrap().status(), RequestStatus::Approved);
}

#[tokio::test(start_paused = true)]
async fn the_timeline_tells_the_story_without_what_is_sealed() {
    let world = World::ordinary().await;
    let id = world.created("ada", "k", ask(WEB_DEV)).await.request_id;
    world.approve(&id, "bob", &[APPROVERS]).await;
    let timeline = world.get("eve", &id).await.unwrap().timeline;
    let told: Vec<_> = timeline.iter().map(|entry| (entry.revision, entry.event_type.as_str())).collect();
    assert_eq!(told, [(0, "request.requested.v1"), (1, "request.approved.v1")]);
    assert_eq!(timeline[1].actor.as_ref().unwrap().display_name, "Bob Approver");
    let details = timeline[0].details.clone().unwrap();
    assert!(details.fields.contains_key("grounds") && !details.fields.contains_key("justification"));
    assert!(!format!("{timeline:?}").contains("ciphertext"));
}

#[tokio::test(start_paused = true)]
async fn positions_are_waited_for_and_those_of_another_log_refused() {
    let world = World::ordinary().await;
    let answer = world.create("ada", "k", ask(WEB_DEV)).await.unwrap();
    let id = answer.request.unwrap().request_id;
    let waiting = |position: String| {
        let message = api::request::v1::GetRequestRequest {
            request_id: id.clone(),
            with_timeline: false,
            wait_for_position: position,
        };
        let mut client = world.requests();
        async move { client.get_request(by("ada", message)).await }
    };
    waiting(answer.position.clone()).await.unwrap();
    let other =
        views::PositionToken::new(domain::LogId::from_parts([b"x".as_slice()]), event_log::Position(1));
    assert_eq!(wrong_fields(waiting(other.to_string()).await), ["wait_for_position"]);
    assert_eq!(wrong_fields(waiting("nonsense".to_owned()).await), ["wait_for_position"]);
    let beyond = views::PositionToken::new(world.views.log_id, event_log::Position(1_000));
    let late = waiting(beyond.to_string()).await;
    assert_eq!(no(late), (Code::Unavailable, "POSITION_NOT_REACHED".to_owned()));
}

#[tokio::test(start_paused = true)]
async fn one_human_under_two_identities_is_one() {
    let world = World::ordinary().await;
    let id = world.created("ada", "k", ask(WEB_DEV)).await.request_id;
    assert_eq!(no(world.get("ada-at-home", &id).await).0, Code::NotFound);
    world.link("ada", "ada-at-home").await;
    world.get("ada-at-home", &id).await.unwrap();
    let own = scope(api::request::v1::RequestScope::Own);
    assert_eq!(world.listed("ada-at-home", &own, 10).await, [id.as_str()]);
    assert_eq!(world.listed("ada", &own, 1).await, [id.as_str()]);
    // The only approver turns out to be Ada as well.
    world.link("bob", "ada").await;
    let refused = world.create("ada", "k2", ask(WEB_DEV)).await;
    assert_eq!(no(refused), (Code::FailedPrecondition, "NOBODY_CAN_DECIDE".to_owned()));
}
