//! Raising requests, once and again.

use crate::world::*;
use api::request::v1::{CreateRequestsRequest, CreateRequestsResponse, ListEntitlementsRequest};
use api::types::v1::{Provider, RequestStatus};
use aws::simulated::sample::{APPROVERS, DEVELOPERS, PAYMENTS_PROD, WEB_DEV, WEB_PROD};
use event_log::EventLog as _;
use futures::TryStreamExt as _;
use journal::Fact;
use lifecycle::RequestEvent;
use tonic::Code;

async fn create_all(
    world: &World,
    name: &str,
    key: &str,
    asks: Vec<api::types::v1::Ask>,
) -> Result<CreateRequestsResponse, tonic::Status> {
    let message = CreateRequestsRequest { idempotency_key: key.to_owned(), asks };
    world.requests().create_requests(by(name, message)).await.map(tonic::Response::into_inner)
}

#[tokio::test(start_paused = true)]
async fn a_request_is_recorded_with_its_grounds() {
    let world = World::ordinary().await;
    world
        .change_directory(|contents| {
            let auditors = aws::GroupId::new("auditors").unwrap();
            contents.memberships.values_mut().for_each(|groups| {
                groups.insert(auditors.clone());
            });
        })
        .await;
    let answer = world.create("ada", "k", ask(PAYMENTS_PROD)).await.unwrap();
    let shown = answer.request.unwrap();
    assert_eq!(shown.status(), RequestStatus::Requested);
    assert_eq!(shown.account_name, "payments-prod");
    assert_eq!(shown.entitlement_name, "ReadOnly");
    assert_eq!(shown.requester.unwrap().display_name, "Ada Developer");
    assert_eq!(shown.justification, "the pager went off");
    assert_eq!((shown.rule_id.as_str(), shown.provider), ("read", Provider::IdentityCenter.into()));
    assert_eq!(shown.ou_path.last().map(String::as_str), Some("ou-dayp-payments"));
    assert_eq!(shown.plan.unwrap().steps[0].groups[0].id, APPROVERS);
    assert!(!answer.position.is_empty());

    let events: Vec<_> = world.log.read_all(event_log::Position::START).try_collect().await.unwrap();
    let event = journal::decode(&events.last().unwrap().envelope.body).unwrap();
    let Fact::Request(RequestEvent::Requested(raised)) = event.fact else { panic!("{event:?}") };
    assert_eq!(raised.grounds.groups, [of_store(DEVELOPERS)].into(), "only what the rule names");
    assert_eq!(raised.grounds.determining, ["rule/read"]);
    assert_eq!(raised.grounds.principal.unwrap().as_str(), aws::simulated::sample::ADA);
    assert_eq!(raised.justification.key_of, person("ada").id());
}

#[tokio::test(start_paused = true)]
async fn the_same_key_and_body_is_the_same_request_whatever_has_changed_since() {
    let world = World::ordinary().await;
    let first = world.created("ada", "k", ask(WEB_DEV)).await;
    let count = world.log.recorded().len();
    world.apply(policy([])).await;
    let again = world.create("ada", "k", ask(WEB_DEV)).await.unwrap().request.unwrap();
    assert_eq!(again, first);
    assert_eq!(world.log.recorded().len(), count + 1, "only the policy was written");
}

#[tokio::test(start_paused = true)]
async fn a_repeat_shows_what_has_become_of_the_request() {
    let world = World::ordinary().await;
    let first = world.created("ada", "k", ask(WEB_DEV)).await;
    world.approve(&first.request_id, "bob", &[APPROVERS]).await;
    let again = world.create("ada", "k", ask(WEB_DEV)).await.unwrap().request.unwrap();
    assert_eq!(again.status(), RequestStatus::Approved);
    assert_eq!(again.request_id, first.request_id);
}

#[tokio::test(start_paused = true)]
async fn the_same_key_with_another_body_is_refused_and_with_another_person_is_another_request() {
    let world = World::with(policy([{
        let mut rule = rule("read");
        rule.requesters.groups.insert(of_store("auditors"));
        rule
    }]))
    .await;
    let first = world.created("ada", "k", ask(WEB_DEV)).await;
    let other = api::types::v1::Ask { justification: "another reason".to_owned(), ..ask(WEB_DEV) };
    assert_eq!(no(world.create("ada", "k", other).await), (Code::AlreadyExists, "KEY_REUSED".to_owned()));
    let eves = world.created("eve", "k", ask(WEB_DEV)).await;
    assert_ne!(eves.request_id, first.request_id);
}

#[tokio::test(start_paused = true)]
async fn each_item_of_a_batch_stands_or_falls_by_itself() {
    let world = World::ordinary().await;
    let asks = vec![ask(WEB_DEV), ask("123456789012"), ask(WEB_PROD)];
    let first = create_all(&world, "ada", "b", asks.clone()).await.unwrap();
    let [one, two, three] = &first.results[..] else { panic!("{first:?}") };
    assert_eq!(one.request.as_ref().unwrap().batch_id, first.batch_id);
    assert_eq!(three.request.as_ref().unwrap().batch_id, first.batch_id);
    let problem = two.problem.as_ref().unwrap();
    assert_eq!((problem.code, problem.reason.as_str()), (Code::FailedPrecondition.into(), "NO_SUCH_ACCOUNT"));

    let count = world.log.recorded().len();
    let again = create_all(&world, "ada", "b", asks).await.unwrap();
    assert_eq!(again, first);
    assert_eq!(world.log.recorded().len(), count);
}

#[tokio::test(start_paused = true)]
async fn the_key_of_a_batch_with_other_asks_is_refused_before_anything_is_raised() {
    let world = World::ordinary().await;
    create_all(&world, "ada", "b", vec![ask("123456789012"), ask(WEB_DEV)]).await.unwrap();
    let count = world.log.recorded().len();
    let answer = create_all(&world, "ada", "b", vec![ask(WEB_PROD), ask(WEB_PROD)]).await;
    assert_eq!(no(answer), (Code::AlreadyExists, "KEY_REUSED".to_owned()));
    assert_eq!(world.log.recorded().len(), count);
}

#[tokio::test(start_paused = true)]
async fn a_batch_of_fifty_is_taken_and_one_more_is_not() {
    let world = World::ordinary().await;
    let answer = create_all(&world, "ada", "b", vec![ask(WEB_DEV); 50]).await.unwrap();
    assert!(answer.results.iter().all(|result| result.request.is_some()));
    assert_eq!(wrong_fields(create_all(&world, "ada", "c", vec![ask(WEB_DEV); 51]).await), ["asks"]);
}

#[tokio::test(start_paused = true)]
async fn a_program_that_may_raises_for_a_person_with_the_groups_of_the_directory() {
    let world = World::ordinary().await;
    let for_ada = api::types::v1::Ask { on_behalf_of: Some(wire_person("ada")), ..ask(WEB_DEV) };
    let shown = world.created("itsm", "k", for_ada.clone()).await;
    assert_eq!(shown.requester.unwrap().person, Some(wire_person("ada")));
    assert_eq!(shown.raiser.unwrap().person, Some(wire_person("itsm")));
    // Whatever the program's own token says.
    let shown = world.created("itsm+developers", "k2", for_ada).await;
    assert_eq!(shown.requester.unwrap().person, Some(wire_person("ada")));
}

#[tokio::test(start_paused = true)]
async fn naming_oneself_is_raising_for_oneself() {
    let world = World::ordinary().await;
    let own = api::types::v1::Ask { on_behalf_of: Some(wire_person("ada")), ..ask(WEB_DEV) };
    let shown = world.created("ada", "k", own).await;
    assert_eq!(shown.requester.unwrap().person, Some(wire_person("ada")));
}

/// FACTS.md: broker. Requester and decider come from one verified identity per call, never from a second token or a field.
#[tokio::test(start_paused = true)]
async fn broker_requester_from_one_token() {
    let world = World::ordinary().await;
    for name in ["bob", "robot", "dave"] {
        let for_ada = api::types::v1::Ask { on_behalf_of: Some(wire_person("ada")), ..ask(WEB_DEV) };
        let refused = (Code::PermissionDenied, "MAY_NOT_RAISE_FOR_OTHERS".to_owned());
        assert_eq!(no(world.create(name, "k", for_ada).await), refused, "{name}");
        let listing = ListEntitlementsRequest {
            on_behalf_of: Some(wire_person("ada")),
            ..ListEntitlementsRequest::default()
        };
        assert_eq!(no(world.requests().list_entitlements(by(name, listing)).await), refused, "{name}");
    }
    let mut two = by(
        "ada",
        api::request::v1::CreateRequestRequest { idempotency_key: "k".to_owned(), ask: Some(ask(WEB_DEV)) },
    );
    two.metadata_mut().append("authorization", "Bearer bob".parse().unwrap());
    assert_eq!(no(world.requests().create_request(two).await).0, Code::Unauthenticated);
}

/// FACTS.md: TEAM. The longest duration of any rule applied to every target; one rule without approval freed others.
#[tokio::test(start_paused = true)]
async fn team_maximum_duration_of_any_rule_applies_to_every_target() {
    let mut short = rule("short");
    short.duration_max = domain::SignedDuration::from_hours(1);
    short.targets.all_accounts = false;
    short.targets.accounts = [domain::AccountId::new(WEB_PROD).unwrap()].into();
    let mut long = rule("long");
    long.targets.all_accounts = false;
    long.targets.accounts = [domain::AccountId::new(WEB_DEV).unwrap()].into();
    long.plan = policy::PlanSource::None;
    let world = World::with(policy([short, long])).await;

    let too_long = api::types::v1::Ask { window: Some(hours(8)), ..ask(WEB_PROD) };
    let refused = (Code::FailedPrecondition, "WINDOW_TOO_LONG".to_owned());
    assert_eq!(no(world.create("ada", "k", too_long).await), refused);
    let shown = world.created("ada", "k2", ask(WEB_PROD)).await;
    assert_eq!((shown.rule_id.as_str(), shown.plan.unwrap().steps.len()), ("short", 1));
    let named = api::types::v1::Ask { rule_id: "long".to_owned(), ..ask(WEB_PROD) };
    let refused = (Code::PermissionDenied, "RULE_DOES_NOT_PERMIT".to_owned());
    assert_eq!(no(world.create("ada", "k3", named).await), refused);
}

/// FACTS.md: TEAM #41, #423. Nested units count at any depth, and an account that was moved is where it is now.
#[tokio::test(start_paused = true)]
async fn team_41_423_nested_units_and_moved_accounts() {
    let mut nested = rule("nested");
    nested.targets.all_accounts = false;
    nested.targets.ous = [policy::OuScope {
        ou: domain::OuId::new(aws::simulated::sample::PRODUCTION).unwrap(),
        direct: false,
    }]
    .into();
    let world = World::with(policy([nested])).await;
    world.created("ada", "k", ask(PAYMENTS_PROD)).await;
    assert_eq!(
        no(world.create("ada", "k2", ask(WEB_DEV)).await),
        (Code::PermissionDenied, "NO_RULE".to_owned())
    );

    world
        .change_directory(|contents| {
            let production = contents.accounts[&domain::AccountId::new(WEB_PROD).unwrap()].ou_path.clone();
            contents.accounts.get_mut(&domain::AccountId::new(WEB_DEV).unwrap()).unwrap().ou_path =
                production;
        })
        .await;
    world.created("ada", "k3", ask(WEB_DEV)).await;
}

#[tokio::test(start_paused = true)]
async fn without_a_named_rule_the_fewest_steps_win() {
    let mut free = rule("z-free");
    free.plan = policy::PlanSource::None;
    let world = World::with(policy([rule("a-asks"), free])).await;
    assert_eq!(world.created("ada", "k", ask(WEB_DEV)).await.rule_id, "z-free");
    let named = api::types::v1::Ask { rule_id: "a-asks".to_owned(), ..ask(WEB_DEV) };
    assert_eq!(world.created("ada", "k2", named).await.rule_id, "a-asks");
}

#[tokio::test(start_paused = true)]
async fn an_approved_request_can_be_extended_by_its_requester_for_its_target() {
    let world = World::ordinary().await;
    let first = world.created("ada", "k", ask(WEB_DEV)).await;
    let extending =
        |target| api::types::v1::Ask { extends_request_id: first.request_id.clone(), ..ask(target) };
    let pending = no(world.create("ada", "k1", extending(WEB_DEV)).await);
    assert_eq!(pending, (Code::FailedPrecondition, "EXTENDS_NOTHING".to_owned()));
    world.approve(&first.request_id, "bob", &[APPROVERS]).await;
    let second = world.created("ada", "k2", extending(WEB_DEV)).await;
    assert_eq!(second.extends_request_id, first.request_id);
    let elsewhere = no(world.create("ada", "k3", extending(WEB_PROD)).await);
    assert_eq!(elsewhere, (Code::FailedPrecondition, "EXTENDS_ANOTHER".to_owned()));
}
