//! What people ask of a process with much history: reads, lists, what waits for them, what they may ask for.

use super::past::{self, DEVELOPERS, ISSUER};
use crate::daypass::{Bearer, Daypass, with};
use crate::{Failed, hammer_times, say, stories};
use api::approval::v1::ListPendingRequest;
use api::approval::v1::approval_service_client::ApprovalServiceClient;
use api::request::v1::request_service_client::RequestServiceClient;
use api::request::v1::{
    GetRequestRequest, ListEntitlementsRequest, ListRequestsRequest, RequestFilter, RequestScope,
};
use api::types::v1::{Person, RequestStatus};
use aws::simulated::sample;
use std::sync::Arc;
use std::time::Duration;
use tonic::transport::Channel;

/// At a time.
pub(super) const CALLERS: usize = 8;
/// Of each kind.
const CALLS: u64 = 4_000;
/// How many different lists of one kind are asked for in turn.
const LISTS: u32 = 64;
/// How many pages on a later page is.
const PAGES: usize = 3;

/// DESIGN §17: the 99th percentile of each.
const GET_BUDGET: Duration = Duration::from_millis(5);
const LIST_BUDGET: Duration = Duration::from_millis(20);
const PENDING_BUDGET: Duration = Duration::from_millis(20);
const ENTITLEMENTS_BUDGET: Duration = Duration::from_millis(50);

/// A call that gives a page. Its answer is the token of the next one.
#[derive(Clone, Debug)]
enum Page {
    Requests(ListRequestsRequest),
    Pending(ListPendingRequest),
    Entitlements(ListEntitlementsRequest),
}

pub(super) async fn run(daypass: &Daypass, channels: &[Channel], requests: u64) -> Result<(), Failed> {
    let (ada, bob, eve) = (daypass.bearer("ada")?, daypass.bearer("bob")?, daypass.bearer("eve")?);
    get(channels, &eve, requests).await?;
    let own = filter(RequestScope::Own);
    list(channels, &ada, "own requests", LIST_BUDGET, vec![requests_of(own)]).await?;
    let decidable = filter(RequestScope::Decidable);
    list(channels, &bob, "requests to decide, or decided", LIST_BUDGET, vec![requests_of(decidable)]).await?;
    let all = filter(RequestScope::All);
    list(channels, &eve, "all requests", LIST_BUDGET, vec![requests_of(all)]).await?;
    list(channels, &eve, "requests of a requester", LIST_BUDGET, of_requesters()?).await?;
    list(channels, &eve, "requests of an account", LIST_BUDGET, of_accounts()?).await?;
    for (what, status) in [("approved", RequestStatus::Approved), ("rejected", RequestStatus::Rejected)] {
        let statuses = vec![status.into()];
        let of_status = RequestFilter { statuses, ..filter(RequestScope::All) };
        list(channels, &eve, &format!("requests that are {what}"), LIST_BUDGET, vec![requests_of(of_status)])
            .await?;
    }
    let pending = vec![Page::Pending(ListPendingRequest::default())];
    list(channels, &bob, "pending, for an approver", PENDING_BUDGET, pending).await?;
    let everything = vec![Page::Entitlements(ListEntitlementsRequest::default())];
    list(channels, &ada, "entitlements", ENTITLEMENTS_BUDGET, everything).await?;
    list(channels, &ada, "entitlements in an account", ENTITLEMENTS_BUDGET, in_accounts()?).await?;
    list(channels, &ada, "entitlements that are searched for", ENTITLEMENTS_BUDGET, searched()).await
}

/// Any of all requests, each as likely as any other.
async fn get(channels: &[Channel], bearer: &Bearer, requests: u64) -> Result<(), Failed> {
    measure("GetRequest", GET_BUDGET, |number| {
        let channel = channel(channels, number);
        let (bearer, id) = (bearer.clone(), stories::request_id(far(number, requests)));
        async move {
            let message = GetRequestRequest { request_id: id.to_string(), ..GetRequestRequest::default() };
            RequestServiceClient::new(channel?).get_request(with(&bearer, message)).await?;
            Ok(())
        }
    })
    .await
}

/// The first page of each of `lists`, in turn, and a later one.
async fn list(
    channels: &[Channel],
    bearer: &Bearer,
    what: &str,
    budget: Duration,
    lists: Vec<Page>,
) -> Result<(), Failed> {
    let mut later = Vec::new();
    for page in &lists {
        later.extend(page.clone().later(channel(channels, 0)?, bearer).await?);
    }
    for (which, pages) in [("first page", lists), ("later page", later)] {
        if pages.is_empty() {
            say(&format!("{what}: there is one page alone"));
            continue;
        }
        let pages = Arc::new(pages);
        measure(&format!("{what}, {which}"), budget, |number| {
            let (channel, bearer, pages) = (channel(channels, number), bearer.clone(), Arc::clone(&pages));
            async move {
                let place = usize::try_from(number)? % pages.len();
                let page = pages.get(place).ok_or("no page")?;
                page.ask(channel?, &bearer).await?;
                Ok(())
            }
        })
        .await?;
    }
    Ok(())
}

async fn measure<F>(what: &str, budget: Duration, call: impl Fn(u64) -> F) -> Result<(), Failed>
where
    F: Future<Output = Result<(), Failed>> + Send + 'static,
{
    let callers = u64::try_from(CALLERS)?;
    let measured = hammer_times(CALLERS, CALLS, |caller, number| {
        // Callers take turns.
        call(number.saturating_mul(callers).saturating_add(u64::try_from(caller).unwrap_or_default()))
    })
    .await?;
    measured.say(&format!("{what} (p99 ≤ {budget:?})"));
    Ok(())
}

impl Page {
    /// Asks for it; says after which token the next one is. A list with nothing on it is not what is measured.
    async fn ask(&self, channel: Channel, bearer: &Bearer) -> Result<String, Failed> {
        let (is_empty, next) = match self.clone() {
            Self::Requests(message) => {
                let page = RequestServiceClient::new(channel).list_requests(with(bearer, message)).await?;
                let page = page.into_inner();
                (page.requests.is_empty(), page.next_page_token)
            }
            Self::Pending(message) => {
                let page = ApprovalServiceClient::new(channel).list_pending(with(bearer, message)).await?;
                let page = page.into_inner();
                (page.pending.is_empty(), page.next_page_token)
            }
            Self::Entitlements(message) => {
                let page =
                    RequestServiceClient::new(channel).list_entitlements(with(bearer, message)).await?;
                let page = page.into_inner();
                (page.entitlements.is_empty(), page.next_page_token)
            }
        };
        if is_empty { Err(format!("nothing is listed: {self:?}").into()) } else { Ok(next) }
    }

    /// The page that is some pages on, or the last before that; `None`: there is one page alone.
    async fn later(self, channel: Channel, bearer: &Bearer) -> Result<Option<Self>, Failed> {
        let mut later = None;
        let mut page = self;
        for _ in 0..PAGES {
            let next = page.ask(channel.clone(), bearer).await?;
            if next.is_empty() {
                break;
            }
            page = page.after(next);
            later = Some(page.clone());
        }
        Ok(later)
    }

    fn after(self, page_token: String) -> Self {
        match self {
            Self::Requests(message) => Self::Requests(ListRequestsRequest { page_token, ..message }),
            Self::Pending(message) => Self::Pending(ListPendingRequest { page_token, ..message }),
            Self::Entitlements(message) => {
                Self::Entitlements(ListEntitlementsRequest { page_token, ..message })
            }
        }
    }
}

fn filter(scope: RequestScope) -> RequestFilter {
    RequestFilter { scope: scope.into(), ..RequestFilter::default() }
}

fn requests_of(filter: RequestFilter) -> Page {
    Page::Requests(ListRequestsRequest { filter: Some(filter), ..ListRequestsRequest::default() })
}

fn of_requesters() -> Result<Vec<Page>, Failed> {
    let each = spread(DEVELOPERS).map(|number| {
        let (_, subject) = sample::added_developer(number)?;
        let requester = Some(Person { issuer: ISSUER.to_owned(), subject });
        Ok::<_, Failed>(requests_of(RequestFilter { requester, ..filter(RequestScope::All) }))
    });
    each.collect()
}

fn of_accounts() -> Result<Vec<Page>, Failed> {
    let each = spread(past::ACCOUNTS).map(|number| {
        let account_id = sample::added_account(number)?.to_string();
        Ok::<_, Failed>(requests_of(RequestFilter { account_id, ..filter(RequestScope::All) }))
    });
    each.collect()
}

fn in_accounts() -> Result<Vec<Page>, Failed> {
    let each = spread(past::ACCOUNTS).map(|number| {
        let account_id = sample::added_account(number)?.to_string();
        Ok::<_, Failed>(Page::Entitlements(ListEntitlementsRequest {
            account_id,
            ..ListEntitlementsRequest::default()
        }))
    });
    each.collect()
}

/// The last accounts of a list that is searched from its beginning to its end.
fn searched() -> Vec<Page> {
    let of = |number: u32| ListEntitlementsRequest {
        search: format!("account-{number}"),
        ..ListEntitlementsRequest::default()
    };
    spread(past::ACCOUNTS).map(|number| Page::Entitlements(of(number))).collect()
}

/// Some of the numbers from 1 to `last`, far from each other.
fn spread(last: u32) -> impl Iterator<Item = u32> {
    (0..LISTS).map(move |number| number * (last / LISTS) + 1)
}

/// The requests one after the other, but far from each other.
fn far(number: u64, requests: u64) -> u64 {
    number.wrapping_mul(7_919) % requests.max(1)
}

fn channel(channels: &[Channel], number: u64) -> Result<Channel, Failed> {
    let place = usize::try_from(number)? % channels.len().max(1);
    Ok(channels.get(place).ok_or("no channel")?.clone())
}
