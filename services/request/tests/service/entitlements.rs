//! What someone may ask for.

use crate::world::*;
use api::request::v1::{ListEntitlementsRequest, ListEntitlementsResponse};
use aws::simulated::sample::{APPROVERS, MANAGEMENT, WEB_DEV};
use aws::{Account, Contents};
use domain::{AccountId, OuPath};
use std::collections::{BTreeMap, BTreeSet};

async fn page(world: &World, name: &str, message: ListEntitlementsRequest) -> ListEntitlementsResponse {
    world.requests().list_entitlements(by(name, message)).await.unwrap().into_inner()
}

async fn all(
    world: &World,
    name: &str,
    message: ListEntitlementsRequest,
) -> Vec<api::request::v1::Entitlement> {
    let (mut found, mut token) = (Vec::new(), String::new());
    loop {
        let answer =
            page(world, name, ListEntitlementsRequest { page_token: token, ..message.clone() }).await;
        found.extend(answer.entitlements);
        token = answer.next_page_token;
        if token.is_empty() {
            return found;
        }
    }
}

fn names(found: &[api::request::v1::Entitlement]) -> Vec<&str> {
    found.iter().map(|entitlement| entitlement.account_name.as_str()).collect()
}

#[tokio::test(start_paused = true)]
async fn what_can_be_asked_for_is_listed_by_the_names_of_accounts() {
    let world = World::ordinary().await;
    let found = all(&world, "ada", ListEntitlementsRequest { page_size: 2, ..Default::default() }).await;
    // Without the management account: nothing can be assigned there.
    assert_eq!(names(&found), ["log-archive", "payments-dev", "payments-prod", "web-dev", "web-prod"]);
    assert_eq!(found[2].ou_names, ["Root", "Workloads", "Production", "Payments"]);
    let option = &found[0].options[0];
    assert_eq!((option.rule_id.as_str(), option.decidable), ("read", true));
    assert_eq!(option.plan.as_ref().unwrap().steps[0].groups[0].id, APPROVERS);
    assert!(all(&world, "eve", ListEntitlementsRequest::default()).await.is_empty());
}

#[tokio::test(start_paused = true)]
async fn what_is_listed_can_be_raised_and_nothing_else() {
    let world = World::ordinary().await;
    let listed: BTreeSet<String> = all(&world, "ada", ListEntitlementsRequest::default())
        .await
        .into_iter()
        .map(|entitlement| entitlement.target.unwrap().account_id)
        .collect();
    for account in world.views.directory.snapshot().unwrap().contents().accounts.keys() {
        let raised = world.create("ada", account.as_str(), ask(account.as_str())).await;
        assert_eq!(raised.is_ok(), listed.contains(account.as_str()), "{account}");
    }
    assert!(!listed.contains(MANAGEMENT));
}

#[tokio::test(start_paused = true)]
async fn a_list_is_searched_and_narrowed_to_an_account() {
    let world = World::ordinary().await;
    let searching =
        |search: &str| ListEntitlementsRequest { search: search.to_owned(), ..Default::default() };
    assert_eq!(names(&all(&world, "ada", searching("PAY")).await), ["payments-dev", "payments-prod"]);
    assert_eq!(names(&all(&world, "ada", searching("3333")).await), ["web-dev"]);
    assert_eq!(all(&world, "ada", searching("readonly")).await.len(), 5);
    assert!(all(&world, "ada", searching("admin")).await.is_empty());
    let one = ListEntitlementsRequest { account_id: WEB_DEV.to_owned(), ..Default::default() };
    assert_eq!(names(&all(&world, "ada", one).await), ["web-dev"]);
}

/// Searching is decided once for all accounts where it can be; what it finds is what reading the whole list would.
#[tokio::test(start_paused = true)]
async fn a_search_finds_what_reading_the_whole_list_finds() {
    let mut roles = rule("roles");
    roles.provider = domain::Provider::Sts;
    roles.targets.permission_sets.clear();
    roles.targets.roles =
        ["deploy/Operator".parse().unwrap(), format!("arn:aws:iam::{WEB_DEV}:role/Auditor").parse().unwrap()]
            .into();
    let world = World::with(policy([rule("read"), roles])).await;
    let whole = all(&world, "ada", ListEntitlementsRequest::default()).await;
    let mut sizes = BTreeSet::new();
    let web_role = format!("arn:aws:iam::{WEB_DEV}:role/");
    for search in
        ["OPER", "auditor", "readonly", "web", "3333", "a", "arn", "arn:aws:sso", &web_role, "nothing"]
    {
        let text = search.to_lowercase();
        let is_found = |found: &&api::request::v1::Entitlement| {
            let target = found.target.as_ref().unwrap();
            let arn = &target.entitlement_arn;
            [&found.account_name, &found.entitlement_name]
                .iter()
                .any(|name| name.to_lowercase().contains(&text))
                || target.account_id.starts_with(&text)
                || arn.to_lowercase().starts_with(&text)
        };
        let expected: Vec<_> = whole.iter().filter(is_found).cloned().collect();
        let message =
            ListEntitlementsRequest { search: search.to_owned(), page_size: 2, ..Default::default() };
        assert_eq!(all(&world, "ada", message).await, expected, "{search}");
        sizes.insert(expected.len());
    }
    assert!(sizes.len() > 4 && sizes.contains(&0), "{sizes:?}");
}

#[tokio::test(start_paused = true)]
async fn options_come_best_first_and_say_whether_anybody_could_decide() {
    let mut free = rule("z-free");
    free.plan = policy::PlanSource::None;
    let mut two = rule("a-two");
    two.plan = policy::PlanSource::Steps(domain::Plan { steps: vec![step(2, &[of_store(APPROVERS)])] });
    two.requesters.groups.insert(of_store("admins"));
    free.requesters.groups.insert(of_store("admins"));
    let world = World::with(policy([two, free])).await;
    let options = |found: Vec<api::request::v1::Entitlement>| {
        found[0].options.iter().map(|option| (option.rule_id.clone(), option.decidable)).collect::<Vec<_>>()
    };
    let adas = options(all(&world, "ada", ListEntitlementsRequest::default()).await);
    assert_eq!(adas, [("z-free".to_owned(), true), ("a-two".to_owned(), false)]);
    // Carol wrote it: without another person's yes it is not for her.
    let carols = options(all(&world, "carol", ListEntitlementsRequest::default()).await);
    assert_eq!(carols, [("z-free".to_owned(), false), ("a-two".to_owned(), false)]);
    assert_eq!(world.created("ada", "k", ask(WEB_DEV)).await.rule_id, adas[0].0);
}

#[tokio::test(start_paused = true)]
async fn a_page_token_of_another_search_is_refused() {
    let world = World::ordinary().await;
    let first = ListEntitlementsRequest { page_size: 1, ..Default::default() };
    let token = page(&world, "ada", first).await.next_page_token;
    let other = ListEntitlementsRequest { search: "web".to_owned(), page_token: token, ..Default::default() };
    let answer = world.requests().list_entitlements(by("ada", other)).await;
    assert_eq!(wrong_fields(answer), ["page_token"]);
}

/// Five thousand more accounts, several of one name.
pub(crate) fn enlarge(contents: &mut Contents) {
    for number in 0..5_000_u64 {
        let account = Account {
            name: format!("account-{}", number / 3),
            ou_path: OuPath(Vec::new()),
            tags: BTreeMap::new(),
            active: true,
            management: false,
        };
        contents
            .accounts
            .insert(AccountId::new(format!("{:012}", 600_000_000_000 + number)).unwrap(), account);
    }
}

/// FACTS.md: TEAM #162, #217, #443. Five thousand accounts are listed, each once.
#[tokio::test(start_paused = true)]
async fn team_162_five_thousand_accounts_listed() {
    let world = World::ordinary().await;
    world.change_directory(enlarge).await;
    let found = all(&world, "ada", ListEntitlementsRequest { page_size: 1_000, ..Default::default() }).await;
    let accounts: BTreeSet<_> =
        found.iter().map(|entitlement| &entitlement.target.as_ref().unwrap().account_id).collect();
    assert_eq!((found.len(), accounts.len()), (5_005, 5_005));
    let in_order = found
        .is_sorted_by_key(|found| (found.account_name.clone(), found.target.clone().unwrap().account_id));
    assert!(in_order);
}
