//! From what people type to what the services take: beginnings of ids, names of entitlements and accounts; and lists of many pages.

use crate::arguments::{IdPrefix, is_account_id};
use crate::client::{Client, Service};
use crate::error::Error;
use crate::output::text::visible;
use api::approval::v1::{ListPoliciesRequest, policy_service_client::PolicyServiceClient};
use api::request::v1::request_service_client::RequestServiceClient;
use api::request::v1::{
    Entitlement, ListEntitlementsRequest, ListRequestsRequest, RequestFilter, RequestScope,
};
use api::types::v1::Target;
use std::collections::{BTreeMap, BTreeSet};
use tonic::Code;

/// Asked of a service at once.
const PAGE_SIZE: u16 = 200;
/// Requests that are looked through for the beginning of an id, newest first.
const SEARCHED_MAX: usize = 5_000;
/// Entitlements that are looked through for a name.
const ENTITLEMENTS_MAX: usize = 5_000;
/// Named in an error, at most.
const NAMED_MAX: usize = 10;
/// What a search field takes.
const SEARCH_CHARS_MAX: usize = 128;

/// The first `limit` items of a list, and whether there are more. `page` asks for so many behind a token.
pub(crate) async fn pages<T>(
    limit: usize,
    page: impl AsyncFn(i32, String) -> Result<(Vec<T>, String), Error>,
) -> Result<(Vec<T>, bool), Error> {
    let mut all = Vec::new();
    let mut token = String::new();
    let mut seen = BTreeSet::new();
    loop {
        let size = limit.saturating_sub(all.len()).clamp(1, usize::from(PAGE_SIZE));
        let (items, next) = page(i32::try_from(size).unwrap_or(i32::from(PAGE_SIZE)), token).await?;
        all.extend(items);
        if next.is_empty() || all.len() >= limit {
            let more = !next.is_empty() || all.len() > limit;
            all.truncate(limit);
            return Ok((all, more));
        }
        if !seen.insert(next.clone()) {
            return Err(Error::Failed("the server's pages go round in circles".to_owned()));
        }
        token = next;
    }
}

/// The request whose id begins so, among those that the caller can see.
pub(crate) async fn request_id(client: &Client, prefix: &IdPrefix) -> Result<String, Error> {
    if prefix.is_whole() {
        return Ok(prefix.as_str().to_owned());
    }
    let mut found = BTreeSet::new();
    for scope in [RequestScope::Own, RequestScope::Decidable, RequestScope::All] {
        match ids(client, scope).await {
            Ok(ids) => found.extend(ids.into_iter().filter(|id| id.starts_with(prefix.as_str()))),
            // Not everyone may look at everything.
            Err(error) if error.code() == Some(Code::PermissionDenied) => {}
            Err(error) => return Err(error),
        }
    }
    the_only("request that you can see", prefix, found)
}

async fn ids(client: &Client, scope: RequestScope) -> Result<Vec<String>, Error> {
    let filter = RequestFilter { scope: scope.into(), ..RequestFilter::default() };
    let page = async |page_size, page_token| {
        let request = ListRequestsRequest {
            filter: Some(filter.clone()),
            page_size,
            page_token,
            wait_for_position: String::new(),
        };
        let answer = client
            .call(Service::Request, request, async |transport, request| {
                RequestServiceClient::new(transport).list_requests(request).await
            })
            .await?;
        Ok((answer.requests.into_iter().map(|r| r.request_id).collect(), answer.next_page_token))
    };
    Ok(pages(SEARCHED_MAX, page).await?.0)
}

/// The policy, or the proposal of one, whose id begins so.
pub(crate) async fn policy_id(client: &Client, prefix: &IdPrefix) -> Result<String, Error> {
    if prefix.is_whole() {
        return Ok(prefix.as_str().to_owned());
    }
    let page = async |page_size, page_token| {
        let request = ListPoliciesRequest { page_size, page_token, ..ListPoliciesRequest::default() };
        let answer = client
            .call(Service::Approval, request, async |transport, request| {
                PolicyServiceClient::new(transport).list_policies(request).await
            })
            .await?;
        let ids = answer.records.into_iter().flat_map(|r| [r.proposal_event_id, r.policy_event_id]);
        Ok((ids.collect(), answer.next_page_token))
    };
    let (ids, _): (Vec<String>, _) = pages(SEARCHED_MAX, page).await?;
    let found = ids.into_iter().filter(|id| id.starts_with(prefix.as_str())).collect();
    the_only("policy", prefix, found)
}

fn the_only(what: &str, prefix: &IdPrefix, found: BTreeSet<String>) -> Result<String, Error> {
    let count = found.len();
    let mut ids = found.into_iter();
    match (ids.next(), count) {
        (Some(id), 1) => Ok(id),
        (None, _) => {
            Err(Error::Failed(format!("there is no {what} whose id begins with {}", prefix.as_str())))
        }
        (Some(first), _) => {
            let ids: Vec<String> = std::iter::once(first).chain(ids).take(NAMED_MAX).collect();
            let text = format!("{count} ids begin with {}; type more of the one:\n  ", prefix.as_str());
            Err(Error::Failed(text + &ids.join("\n  ")))
        }
    }
}

/// What the caller may ask for that has to do with `search`.
pub(crate) async fn entitlements(
    client: &Client,
    account_id: &str,
    search: &str,
    limit: usize,
    wait_for_position: &str,
) -> Result<(Vec<Entitlement>, bool), Error> {
    let page = async |page_size, page_token| {
        let request = ListEntitlementsRequest {
            account_id: account_id.to_owned(),
            search: search.chars().take(SEARCH_CHARS_MAX).collect(),
            page_size,
            page_token,
            wait_for_position: wait_for_position.to_owned(),
            ..ListEntitlementsRequest::default()
        };
        let answer = client
            .call(Service::Request, request, async |transport, request| {
                RequestServiceClient::new(transport).list_entitlements(request).await
            })
            .await?;
        Ok((answer.entitlements, answer.next_page_token))
    };
    pages(limit, page).await
}

/// The target that an account (id or name) and an entitlement (ARN or name) mean.
pub(crate) async fn target(client: &Client, account: &str, entitlement: &str) -> Result<Target, Error> {
    let is_arn = entitlement.starts_with("arn:");
    let is_id = is_account_id(account);
    if is_arn && is_id {
        return Ok(Target { account_id: account.to_owned(), entitlement_arn: entitlement.to_owned() });
    }
    let search = if is_arn { account } else { entitlement };
    let (offered, _) =
        entitlements(client, if is_id { account } else { "" }, search, ENTITLEMENTS_MAX, "").await?;
    match choose(&offered, account, entitlement) {
        Ok(target) => Ok(target),
        Err(Ambiguity::Several(several)) => {
            let text = format!(
                "{} targets are called so; give the account's id and the ARN of the one:",
                several.len()
            );
            Err(Error::Failed(
                several.iter().take(NAMED_MAX).fold(text, |text, target| text + "\n  " + target),
            ))
        }
        Err(Ambiguity::None) => {
            let text =
                "you may not ask for anything of this name; what you may ask for: daypass entitlements";
            Err(Error::Failed(text.to_owned()))
        }
    }
}

#[derive(Debug, PartialEq, Eq)]
enum Ambiguity {
    None,
    Several(Vec<String>),
}

/// Names are compared exactly, and where none is the same, without regard to letter case.
fn choose(offered: &[Entitlement], account: &str, entitlement: &str) -> Result<Target, Ambiguity> {
    let exactly: fn(&str, &str) -> bool = |name, wanted| name == wanted;
    let loosely: fn(&str, &str) -> bool = |name, wanted| name.to_lowercase() == wanted.to_lowercase();
    for same in [exactly, loosely] {
        let mut found = BTreeMap::new();
        for offer in offered {
            let Some(target) = &offer.target else { continue };
            let here = target.account_id == account || same(&offer.account_name, account);
            let this = target.entitlement_arn == entitlement || same(&offer.entitlement_name, entitlement);
            if here && this {
                let words = format!(
                    "{} ({})  {}",
                    visible(&target.account_id),
                    visible(&offer.account_name),
                    visible(&target.entitlement_arn)
                );
                found.insert((&target.account_id, &target.entitlement_arn), (target, words));
            }
        }
        let mut all = found.into_values();
        match (all.next(), all.next()) {
            (None, _) => {}
            (Some((target, _)), None) => return Ok(target.clone()),
            (Some((_, one)), Some((_, two))) => {
                return Err(Ambiguity::Several(
                    [one, two].into_iter().chain(all.map(|(_, words)| words)).collect(),
                ));
            }
        }
    }
    Err(Ambiguity::None)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn offer(account: &str, account_name: &str, arn: &str, name: &str) -> Entitlement {
        Entitlement {
            target: Some(Target { account_id: account.to_owned(), entitlement_arn: arn.to_owned() }),
            account_name: account_name.to_owned(),
            entitlement_name: name.to_owned(),
            ..Entitlement::default()
        }
    }

    fn offered() -> Vec<Entitlement> {
        vec![
            offer("111122223333", "payments", "arn:1", "Deployer"),
            offer("111122223333", "payments", "arn:2", "DeployerReadOnly"),
            offer("444455556666", "search", "arn:3", "Deployer"),
            offer("444455556666", "search", "arn:4", "Reader"),
            offer("444455556666", "search", "arn:5", "Reader"),
        ]
    }

    fn chosen(account: &str, entitlement: &str) -> Result<String, Ambiguity> {
        choose(&offered(), account, entitlement).map(|target| target.entitlement_arn)
    }

    #[test]
    fn a_name_means_the_one_that_is_called_so() {
        assert_eq!(chosen("111122223333", "Deployer"), Ok("arn:1".to_owned()));
        assert_eq!(chosen("search", "Deployer"), Ok("arn:3".to_owned()));
        assert_eq!(chosen("Search", "deployer"), Ok("arn:3".to_owned()));
        assert_eq!(chosen("payments", "arn:2"), Ok("arn:2".to_owned()));
    }

    #[test]
    fn a_name_of_two_things_means_neither() {
        let Err(Ambiguity::Several(words)) = chosen("search", "Reader") else { panic!("it is ambiguous") };
        assert_eq!(words.len(), 2);
    }

    #[test]
    fn a_part_of_a_name_means_nothing() {
        assert_eq!(chosen("search", "Deploy"), Err(Ambiguity::None));
    }

    #[tokio::test]
    async fn pages_that_go_round_in_circles_are_noticed() {
        let page = async |_, token: String| Ok((vec![1], if token == "a" { "b" } else { "a" }.to_owned()));
        assert!(pages(100, page).await.is_err());
    }

    #[tokio::test]
    async fn empty_pages_with_a_token_are_not_the_end() {
        let page = async |_, token: String| {
            Ok(match token.as_str() {
                "" => (vec![], "a".to_owned()),
                "a" => (vec![1, 2], "b".to_owned()),
                _ => (vec![3], String::new()),
            })
        };
        assert_eq!(pages(100, page).await.unwrap(), (vec![1, 2, 3], false));
        assert_eq!(pages(2, page).await.unwrap(), (vec![1, 2], true));
    }
}
