//! ListActive: the approved requests that are not over, the first to end first.

use crate::core::Core;
use api::activation::v1 as wire;
use domain::{AccountId, RequestId, Timestamp};
use lifecycle::Request;
use service_runtime::Call;
use tonic::{Code, Status};
use views::policy_book::InForce;
use views::{Who, page, refusal};

/// Whose.
#[derive(Clone, Copy, Debug)]
pub(super) enum Scope {
    Own,
    Decidable,
    All,
}

impl Core {
    pub(super) async fn list_active(
        &self,
        call: &Call,
        asked: wire::ListActiveRequest,
    ) -> Result<wire::ListActiveResponse, Status> {
        self.wait_for(&asked.wait_for_position).await?;
        let in_force = self.policy().await?;
        let who = self.who(call, in_force.as_deref())?;
        let scope = Scope::read(asked.scope, &who)?;
        let account = match asked.account_id.as_str() {
            "" => None,
            text => Some(AccountId::new(text).map_err(refusal::invalid("account_id"))?),
        };
        let wanted = |request: &Request| {
            account.as_ref().is_none_or(|account| request.raised.target.account() == account)
                && self.is_in(scope, &who, request, in_force.as_deref())
        };
        let question: [&[u8]; 3] = [b"list_active", &asked.scope.to_be_bytes(), asked.account_id.as_bytes()];
        let after = page::place(&question, &asked.page_token, read_key)?;
        let size = page::size(asked.page_size);
        // One more tells that there is another page.
        let mut chosen = self.agenda.approved(after, size.saturating_add(1), wanted).await;
        let is_last = chosen.len() <= size;
        chosen.truncate(size);
        let next = chosen.last().filter(|_| !is_last);
        let next_page_token =
            next.map(|(end, id)| page::token(&question, &format!("{}/{id}", end.as_millisecond())));
        let mut stories = Vec::with_capacity(chosen.len());
        for (_, id) in &chosen {
            let story = self.views.requests.get(id).map_err(|error| refusal::status(&error))?;
            stories.extend(story);
        }
        let requests = self.views.show_all(&stories).await;
        Ok(wire::ListActiveResponse { requests, next_page_token: next_page_token.unwrap_or_default() })
    }

    /// Whether a request is among those that the caller asks for.
    pub(super) fn is_in(
        &self,
        scope: Scope,
        who: &Who,
        request: &Request,
        in_force: Option<&InForce>,
    ) -> bool {
        match scope {
            Scope::Own => {
                let raised = &request.raised;
                who.acting.identities.same_as(&raised.requester, raised.grounds.principal.as_ref())
            }
            Scope::Decidable => in_force.is_some_and(|policy| self.decides_on(who, request, policy)),
            Scope::All => true,
        }
    }
}

impl Scope {
    /// What `scope` says, if the caller may ask for it.
    pub(super) fn read(scope: i32, who: &Who) -> Result<Self, Status> {
        match wire::ActiveScope::try_from(scope).unwrap_or_default() {
            wire::ActiveScope::Own => Ok(Self::Own),
            wire::ActiveScope::Decidable => Ok(Self::Decidable),
            wire::ActiveScope::All if who.is_administrator || who.is_auditor => Ok(Self::All),
            wire::ActiveScope::All => Err(refusal::with_reason(
                Code::PermissionDenied,
                "NOT_ENTITLED",
                "only administrators and auditors may list everyone's",
            )),
            wire::ActiveScope::Unspecified => Err(refusal::field("scope", "must be given")),
        }
    }
}

fn read_key(key: &str) -> Option<(Timestamp, RequestId)> {
    let (end, id) = key.split_once('/')?;
    Some((Timestamp::from_millisecond(end.parse().ok()?).ok()?, id.parse().ok()?))
}
