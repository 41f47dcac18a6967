//! [`aws::SessionDenials`] on service control policies of AWS Organizations, through an identity of its own.
//!
//! One policy for each account, found by its name; what others write into it stays. Organizations answers at once and knows no
//! revision, so the caller reads back what it wrote.

use crate::error::{Effect, incomplete, sorted};
use crate::pages;
use aws::session_denials::{IN_USE, Merged, POLICIES_MAX, merged, policy_name, says_exactly, statements};
use aws::{Attempt, AwsError, DeniedSessions, ErrorKind, SessionDenials};
use aws_sdk_organizations::config::Builder as ConfigBuilder;
use aws_sdk_organizations::types::{PolicySummary, PolicyType};
use aws_smithy_async::time::StaticTimeSource;
use domain::AccountId;
use domain::ports::SharedClock;
use std::collections::BTreeSet;

const KIND: PolicyType = PolicyType::ServiceControlPolicy;

/// AWS's word for a policy whose name there is already.
const TAKEN: &str = "DuplicatePolicyException";

/// For whoever finds the policy in the console.
const DESCRIPTION: &str = "Daypass: sessions of access that ended early, denied until they have expired";

/// The service control policies of one organisation.
#[derive(Clone)]
pub struct SdkSessionDenials {
    pub(crate) reading: aws_sdk_organizations::Client,
    pub(crate) changing: aws_sdk_organizations::Client,
    pub(crate) clock: SharedClock,
}

impl std::fmt::Debug for SdkSessionDenials {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("SdkSessionDenials").finish_non_exhaustive()
    }
}

/// The policy of an account, as far as it exists.
#[derive(Default)]
struct Found {
    id: Option<String>,
    document: Option<String>,
    attached: bool,
    /// How many policies the account has.
    of_account: usize,
}

fn named(policies: &[PolicySummary], name: &str) -> Option<String> {
    policies.iter().find(|policy| policy.name() == Some(name)).and_then(|policy| policy.id.clone())
}

/// Signs with the attempt's time, so that AWS refuses the request when it arrives long after.
fn signed_by(attempt: Attempt) -> ConfigBuilder {
    ConfigBuilder::new().time_source(StaticTimeSource::new(attempt.signed_at.into()))
}

/// Makes one change, signed with the attempt's time, unless it is too late to begin; gives its answer.
macro_rules! changed {
    ($self:ident, $attempt:ident, $call:expr) => {{
        let call = $call.customize().config_override(signed_by($attempt));
        $attempt.check($self.clock.now())?;
        call.send().await.map_err(|error| sorted(Effect::Changes, &error))?
    }};
}

impl SdkSessionDenials {
    /// The policy of an account, if it is attached.
    async fn attached(&self, account: &AccountId) -> Result<Found, AwsError> {
        let name = policy_name(account);
        let of_account = pages::all(async |token| {
            let answer = self
                .reading
                .list_policies_for_target()
                .target_id(account.as_str())
                .filter(KIND)
                .set_next_token(token)
                .send()
                .await
                .map_err(|error| sorted(Effect::Reads, &error))?;
            Ok((answer.policies.unwrap_or_default(), answer.next_token))
        })
        .await?;
        let id = named(&of_account, &name);
        let (attached, of_account) = (id.is_some(), of_account.len());
        Ok(Found { document: self.document(id.as_deref()).await?, id, attached, of_account })
    }

    /// The same if it is not: whoever made it or detached it died in between. Lists all policies of the organisation, which may be
    /// thousands; so only what cannot be told otherwise asks for this.
    async fn detached(&self, account: &AccountId, of_account: usize) -> Result<Found, AwsError> {
        let id = named(&self.all().await?, &policy_name(account));
        Ok(Found { document: self.document(id.as_deref()).await?, id, attached: false, of_account })
    }

    async fn document(&self, id: Option<&str>) -> Result<Option<String>, AwsError> {
        match id {
            Some(id) => Ok(Some(self.read(id).await?)),
            None => Ok(None),
        }
    }

    async fn all(&self) -> Result<Vec<PolicySummary>, AwsError> {
        pages::all(async |token| {
            let answer = self
                .reading
                .list_policies()
                .filter(KIND)
                .set_next_token(token)
                .send()
                .await
                .map_err(|error| sorted(Effect::Reads, &error))?;
            Ok((answer.policies.unwrap_or_default(), answer.next_token))
        })
        .await
    }

    async fn read(&self, id: &str) -> Result<String, AwsError> {
        let call = self.reading.describe_policy().policy_id(id).send();
        let answer = call.await.map_err(|error| sorted(Effect::Reads, &error))?;
        let content = answer.policy.and_then(|policy| policy.content);
        content.ok_or_else(|| incomplete(Effect::Reads, "a policy without content"))
    }

    async fn create(&self, name: &str, document: &str, attempt: Attempt) -> Result<String, AwsError> {
        let call = self.changing.create_policy().name(name).description(DESCRIPTION).r#type(KIND);
        let answer = changed!(self, attempt, call.content(document));
        let id = answer.policy.and_then(|policy| policy.policy_summary).and_then(|summary| summary.id);
        id.ok_or_else(|| incomplete(Effect::Changes, "a policy without id"))
    }

    async fn change(
        &self,
        found: &Found,
        account: &AccountId,
        sessions: &BTreeSet<DeniedSessions>,
        attempt: Attempt,
    ) -> Result<(), AwsError> {
        match merged(found.document.as_deref(), &statements(account, sessions))? {
            Merged::Nothing => self.remove(found, account, attempt).await,
            // It is of others alone, and they do not want it to be in force.
            Merged::Document(_) if sessions.is_empty() && !found.attached => Ok(()),
            Merged::Document(document) => self.write(found, account, &document, attempt).await,
        }
    }

    async fn remove(&self, found: &Found, account: &AccountId, attempt: Attempt) -> Result<(), AwsError> {
        let Some(id) = &found.id else { return Ok(()) };
        if found.attached {
            let call = self.changing.detach_policy().policy_id(id).target_id(account.as_str());
            changed!(self, attempt, call);
        }
        match self.delete(id, attempt).await {
            Err(error) if error.code == IN_USE => Err(self.in_use(id, account, error).await),
            deleted => deleted,
        }
    }

    async fn delete(&self, id: &str, attempt: Attempt) -> Result<(), AwsError> {
        changed!(self, attempt, self.changing.delete_policy().policy_id(id));
        Ok(())
    }

    /// What AWS says of a policy that it does not delete, and to what it is attached, if AWS tells that.
    async fn in_use(&self, id: &str, account: &AccountId, error: AwsError) -> AwsError {
        let targets = pages::all(async |token| {
            let answer = self
                .reading
                .list_targets_for_policy()
                .policy_id(id)
                .set_next_token(token)
                .send()
                .await
                .map_err(|error| sorted(Effect::Reads, &error))?;
            Ok((answer.targets.unwrap_or_default(), answer.next_token))
        })
        .await;
        let places = match targets {
            Ok(targets) => {
                let ids = targets.into_iter().filter_map(|target| target.target_id);
                let others: Vec<String> = ids.filter(|target| target != account.as_str()).collect();
                if others.is_empty() {
                    let why = format!("the policy {id} counts as attached still");
                    return AwsError::new(ErrorKind::Conflict, "NotDetachedYet", &why);
                }
                others.join(", ")
            }
            // Where it is attached is told another time: until then nothing is left to others.
            Err(untold) if untold.retriable() => return untold,
            Err(untold) => format!("something that AWS does not tell ({})", untold.code),
        };
        AwsError::new(error.kind, error.code, &format!("the policy {id} is attached to {places} as well"))
    }

    async fn write(
        &self,
        found: &Found,
        account: &AccountId,
        document: &str,
        attempt: Attempt,
    ) -> Result<(), AwsError> {
        if !found.attached && found.of_account >= POLICIES_MAX {
            let why = format!("the account has {POLICIES_MAX} policies, as many as AWS allows");
            return Err(AwsError::new(ErrorKind::Invalid, "TooManyPolicies", &why));
        }
        let id = match &found.id {
            Some(id) => {
                changed!(self, attempt, self.changing.update_policy().policy_id(id).content(document));
                id.clone()
            }
            None => self.create(&policy_name(account), document, attempt).await?,
        };
        if !found.attached {
            let call = self.changing.attach_policy().policy_id(id).target_id(account.as_str());
            changed!(self, attempt, call);
        }
        Ok(())
    }
}

#[async_trait::async_trait]
impl SessionDenials for SdkSessionDenials {
    async fn deny(
        &self,
        account: &AccountId,
        sessions: &BTreeSet<DeniedSessions>,
        attempt: Attempt,
    ) -> Result<(), AwsError> {
        let mut found = match self.attached(account).await {
            // An account that has left took no policy along: what is left of it is found by its name.
            Err(error) if error.kind == ErrorKind::NotFound && sessions.is_empty() => Found::default(),
            found => found?,
        };
        if sessions.is_empty() && !found.attached {
            found = self.detached(account, found.of_account).await?;
        }
        match self.change(&found, account, sessions, attempt).await {
            Err(error) if error.code == TAKEN => {
                let found = self.detached(account, found.of_account).await?;
                self.change(&found, account, sessions, attempt).await
            }
            changed => changed,
        }
    }

    async fn denies_exactly(
        &self,
        account: &AccountId,
        sessions: &BTreeSet<DeniedSessions>,
    ) -> Result<bool, AwsError> {
        let found = self.attached(account).await?;
        says_exactly(found.document.as_deref(), &statements(account, sessions))
    }
}
