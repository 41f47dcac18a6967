//! Lists of requests.

use crate::world::*;
use api::request::v1::{ListRequestsRequest, RequestFilter, RequestScope};
use api::types::v1::RequestStatus;
use aws::simulated::sample::{APPROVERS, WEB_DEV, WEB_PROD};
use std::collections::BTreeSet;
use tonic::Code;

async fn several(world: &World, name: &str, count: usize) -> Vec<String> {
    let mut ids = Vec::new();
    for index in 0..count {
        ids.push(world.created(name, &format!("k{index}"), ask(WEB_DEV)).await.request_id);
    }
    ids.reverse();
    ids
}

fn everyone_may_ask() -> policy::Policy {
    let mut rule = rule("read");
    rule.requesters.groups.extend(["auditors", "admins", APPROVERS].map(of_store));
    rule.plan = policy::PlanSource::Steps(domain::Plan {
        steps: vec![step(1, &[of_store(APPROVERS), of_store("admins")])],
    });
    policy([rule])
}

#[tokio::test(start_paused = true)]
async fn pages_cover_everything_exactly_once_newest_first() {
    let world = World::ordinary().await;
    let ids = several(&world, "ada", 23).await;
    for size in [1, 2, 7, 22, 23, 24, 1000] {
        for (name, of) in
            [("ada", RequestScope::Own), ("bob", RequestScope::Decidable), ("eve", RequestScope::All)]
        {
            assert_eq!(world.listed(name, &scope(of), size).await, ids, "{name} {size}");
        }
    }
}

#[tokio::test(start_paused = true)]
async fn short_pages_of_what_is_mine_to_decide_still_lead_to_everything() {
    // Bob's own requests are between Ada's; they are not his to decide.
    let world = World::with(everyone_may_ask()).await;
    let mut expected = BTreeSet::new();
    for index in 0..30 {
        let name = if index % 10 == 0 { "ada" } else { "bob" };
        let id = world.created(name, &format!("k{index}"), ask(WEB_DEV)).await.request_id;
        if name == "ada" {
            expected.insert(id);
        }
    }
    let found = world.listed("bob", &scope(RequestScope::Decidable), 2).await;
    assert_eq!(found.len(), 3);
    assert_eq!(found.into_iter().collect::<BTreeSet<_>>(), expected);
}

#[tokio::test(start_paused = true)]
async fn everyone_sees_their_own_and_what_they_may_decide() {
    let world = World::with(everyone_may_ask()).await;
    let adas = world.created("ada", "k", ask(WEB_DEV)).await.request_id;
    let bobs = world.created("bob", "k", ask(WEB_PROD)).await.request_id;
    assert_eq!(world.listed("ada", &scope(RequestScope::Own), 10).await, [adas.as_str()]);
    assert_eq!(world.listed("bob", &scope(RequestScope::Own), 10).await, [bobs.as_str()]);
    assert_eq!(world.listed("bob", &scope(RequestScope::Decidable), 10).await, [adas.as_str()]);
    assert_eq!(world.listed("carol", &scope(RequestScope::Decidable), 10).await, [bobs.as_str(), &adas]);
    assert_eq!(world.listed("ada", &scope(RequestScope::Decidable), 10).await, [] as [&str; 0]);
    world.approve(&adas, "bob", &[APPROVERS]).await;
    // Decided: still Bob's, who decided, and no longer Carol's.
    assert_eq!(world.listed("bob", &scope(RequestScope::Decidable), 10).await, [adas.as_str()]);
    assert_eq!(world.listed("carol", &scope(RequestScope::Decidable), 10).await, [bobs.as_str()]);
}

#[tokio::test(start_paused = true)]
async fn all_requests_are_for_administrators_and_auditors() {
    let world = World::ordinary().await;
    for (name, may) in [("carol", true), ("eve", true), ("ada", false), ("bob", false), ("itsm", false)] {
        let message =
            ListRequestsRequest { filter: Some(scope(RequestScope::All)), ..ListRequestsRequest::default() };
        let answer = world.requests().list_requests(by(name, message)).await;
        if may {
            answer.unwrap();
        } else {
            let refused = (Code::PermissionDenied, "NOT_FOR_ALL_REQUESTS".to_owned());
            assert_eq!(no(answer), refused, "{name}");
        }
    }
}

#[tokio::test(start_paused = true)]
async fn filters_narrow_a_list() {
    let world = World::with(everyone_may_ask()).await;
    let one = world.created("ada", "1", ask(WEB_DEV)).await.request_id;
    let two = world.created("ada", "2", ask(WEB_PROD)).await.request_id;
    let three = world.created("bob", "3", ask(WEB_DEV)).await.request_id;
    world.approve(&one, "bob", &[APPROVERS]).await;
    let all = || scope(RequestScope::All);
    let of_account = RequestFilter { account_id: WEB_DEV.to_owned(), ..all() };
    assert_eq!(world.listed("eve", &of_account, 10).await, [three.as_str(), &one]);
    let of_person = RequestFilter { requester: Some(wire_person("ada")), ..all() };
    assert_eq!(world.listed("eve", &of_person, 10).await, [two.as_str(), &one]);
    let approved = RequestFilter { statuses: vec![RequestStatus::Approved.into()], ..all() };
    assert_eq!(world.listed("eve", &approved, 10).await, [one.as_str()]);
    let batch = RequestFilter { batch_id: "00000000-0000-4000-8000-000000000000".to_owned(), ..all() };
    assert_eq!(world.listed("eve", &batch, 10).await, [] as [&str; 0]);
}

#[tokio::test(start_paused = true)]
async fn a_page_token_of_another_list_or_person_is_refused() {
    let world = World::ordinary().await;
    several(&world, "ada", 3).await;
    let page = |name: &'static str, of: RequestScope, token: String| {
        let message = ListRequestsRequest {
            filter: Some(scope(of)),
            page_size: 1,
            page_token: token,
            wait_for_position: String::new(),
        };
        let mut client = world.requests();
        async move { client.list_requests(by(name, message)).await.map(tonic::Response::into_inner) }
    };
    let token = page("ada", RequestScope::Own, String::new()).await.unwrap().next_page_token;
    page("ada", RequestScope::Own, token.clone()).await.unwrap();
    assert_eq!(wrong_fields(page("ada", RequestScope::Decidable, token.clone()).await), ["page_token"]);
    assert_eq!(wrong_fields(page("bob", RequestScope::Own, token).await), ["page_token"]);
    assert_eq!(wrong_fields(page("ada", RequestScope::Own, "AAAA".to_owned()).await), ["page_token"]);
}
