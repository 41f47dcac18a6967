//! AWS as one process calls it: by a clock of its own, over a line that tells it AWS's time, and with accounts that are lost.
//!
//! [`assigner`]: the services that assign, and the bugs at that seam.

pub(crate) mod assigner;

use crate::plant::{Plant, Planted};
use crate::seams::{LocalClock, SimClock};
use crate::tally::Tally;
use aws::federation::FederationEndpoint;
use aws::simulated::{SimulatedAws, SimulatedScps};
use aws::{
    AssignmentKey, Assignments, AssumeRole, Attempt, AwsError, CallerIdentity, Contents, DeniedSessions,
    DirectorySource, ErrorKind, Federation, Secret, SessionCredentials, SessionDenials, SessionPolicy, Sts,
};
use domain::ports::Clock as _;
use domain::ports::SharedClock;
use domain::{AccountId, Sighting, SignedDuration, TimeSource, Timestamp};
use serde_json::Value;
use std::borrow::Cow;
use std::collections::BTreeSet;
use std::future::Future;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

/// What is the same for all machines.
#[derive(Clone)]
pub(crate) struct Cloud {
    pub(crate) aws: Arc<SimulatedAws>,
    /// The service control policies, where the deployment lets Daypass write any.
    pub(crate) scps: Option<Arc<SimulatedScps>>,
    pub(crate) planted: Planted,
    /// An assignment that was there before.
    pub(crate) standing: AssignmentKey,
    /// Accounts from which nothing can be removed, and which have left the organisation for whoever asks about control policies.
    pub(crate) lost: Arc<Mutex<BTreeSet<AccountId>>>,
    /// Calls of a bug.
    pub(crate) zombies: Arc<Mutex<Vec<Zombie>>>,
    pub(crate) world: Arc<SimClock>,
    pub(crate) tally: Tally,
}

impl Cloud {
    /// Whether an account is out of reach.
    pub(crate) fn is_lost(&self, account: &AccountId) -> bool {
        self.lost.lock().unwrap_or_else(PoisonError::into_inner).contains(account)
    }
}

/// A call that is still on its way although its caller has given it up.
pub(crate) struct Zombie {
    pub(crate) arrives_at: Timestamp,
    pub(crate) service: Arc<dyn Assignments>,
    pub(crate) key: AssignmentKey,
    pub(crate) attempt: Attempt,
}

/// The line of one machine.
pub(crate) struct Line {
    pub(crate) cloud: Cloud,
    pub(crate) clock: Arc<LocalClock>,
    /// The same clock, as the process compares it with AWS's.
    pub(crate) watched: SharedClock,
    /// When AWS last answered, by the world's clock.
    pub(crate) told_at: Arc<Mutex<Option<Timestamp>>>,
    /// Whether this machine's calls do not reach AWS.
    pub(crate) cut: Arc<AtomicBool>,
}

impl Line {
    /// A call, and the date of its answer: AWS's clock is the world's, and an answer that is not known to have come has none.
    async fn dated<T>(&self, call: impl Future<Output = Result<T, AwsError>>) -> Result<T, AwsError> {
        if self.cut.load(Ordering::Relaxed) {
            tokio::task::yield_now().await;
            return Err(AwsError::new(ErrorKind::Unavailable, "CredentialsError", "no credentials"));
        }
        let (asked_at, way) = (self.watched.now(), self.cloud.aws.behaviour().latency / 2);
        let arrives_at = self.cloud.world.now() + way;
        let answer = call.await;
        if !answer.as_ref().is_err_and(AwsError::outcome_unknown) {
            let date = Timestamp::from_second(arrives_at.as_second()).unwrap_or(arrives_at);
            let heard_at = self.watched.now();
            self.watched.compare(&Sighting::http_date(TimeSource::Aws, asked_at, heard_at, date));
            *self.told_at.lock().unwrap_or_else(PoisonError::into_inner) = Some(self.cloud.world.now());
        }
        answer
    }

    /// The call is started by the caller's clock; AWS has only the signature to go by.
    fn started(&self, attempt: Attempt) -> Result<Attempt, AwsError> {
        if !self.cloud.planted.is(Plant::ZombieCreate) {
            attempt.check(self.clock.now())?;
        }
        Ok(Attempt { start_before: Timestamp::MAX, ..attempt })
    }

    /// The attempt of a bug.
    fn unfounded(&self) -> Attempt {
        Attempt { signed_at: self.cloud.world.now(), start_before: Timestamp::MAX }
    }
}

#[async_trait::async_trait]
impl Sts for Line {
    async fn assume_role(&self, call: &AssumeRole) -> Result<SessionCredentials, AwsError> {
        if self.cloud.planted.is(Plant::UnboundCredentials) {
            return self.dated(self.cloud.aws.assume_role(&unbound(call)?)).await;
        }
        if self.cloud.planted.is(Plant::LongCredentials) {
            return self.dated(self.cloud.aws.assume_role(&for_an_hour(call)?)).await;
        }
        if self.cloud.planted.is(Plant::UntoldChaining) {
            return self.dated(self.cloud.aws.assume_role(&chaining(call)?)).await;
        }
        self.dated(self.cloud.aws.assume_role(call)).await
    }

    async fn caller_identity(&self) -> Result<CallerIdentity, AwsError> {
        self.dated(self.cloud.aws.caller_identity()).await
    }
}

#[async_trait::async_trait]
impl DirectorySource for Line {
    async fn fetch(&self) -> Result<Contents, AwsError> {
        self.dated(self.cloud.aws.fetch()).await.map(|contents| self.cloud.planted.believed(contents))
    }
}

#[async_trait::async_trait]
impl Federation for Line {
    fn endpoint(&self) -> FederationEndpoint {
        self.cloud.aws.endpoint()
    }

    async fn sign_in_token(&self, credentials: &SessionCredentials) -> Result<Secret, AwsError> {
        self.dated(self.cloud.aws.sign_in_token(credentials)).await
    }
}

/// The same credentials, for an hour.
fn for_an_hour(call: &AssumeRole) -> Result<AssumeRole, AwsError> {
    let longer =
        AssumeRole::new(call.role().clone(), call.session_name().clone(), SignedDuration::from_hours(1))?;
    let bound = call.policy().cloned().into_iter().fold(longer, AssumeRole::with_policy);
    let mut tags = call.tags().iter();
    Ok(tags.try_fold(bound, |call, (key, value)| call.with_tag(key, value, true))?)
}

/// The same credentials, whose policy says nothing against chaining: of what the simulation's policies say, that alone has a list of
/// actions.
fn chaining(call: &AssumeRole) -> Result<AssumeRole, AwsError> {
    let Some(policy) = call.policy() else { return Ok(call.clone()) };
    let mut document: Value = serde_json::from_str(policy.as_str())
        .map_err(|_| AwsError::new(ErrorKind::Invalid, "Planted", "the policy is not JSON"))?;
    if let Some(statements) = document.get_mut("Statement").and_then(Value::as_array_mut) {
        statements.retain(|statement| !statement.get("Action").is_some_and(Value::is_array));
    }
    Ok(call.clone().with_policy(SessionPolicy::new(document.to_string())?))
}

/// The same credentials, bound to nothing.
fn unbound(call: &AssumeRole) -> Result<AssumeRole, AwsError> {
    let bare = AssumeRole::new(call.role().clone(), call.session_name().clone(), call.duration())?;
    let mut tags = call.tags().iter();
    Ok(tags.try_fold(bare, |call, (key, value)| call.with_tag(key, value, true))?)
}

/// The service control policies, over a line.
pub(crate) struct Denier {
    pub(crate) line: Arc<Line>,
    pub(crate) scps: Arc<SimulatedScps>,
}

impl Denier {
    /// What is denied: exactly that, unless a bug takes every session of those people.
    fn widened<'a>(&self, sessions: &'a BTreeSet<DeniedSessions>) -> Cow<'a, BTreeSet<DeniedSessions>> {
        if !self.line.cloud.planted.is(Plant::DenyEverything) {
            return Cow::Borrowed(sessions);
        }
        let all = sessions.iter().cloned().map(|denied| match denied {
            DeniedSessions::OfPermissionSet { request, user, .. } => DeniedSessions::OfPermissionSet {
                request,
                user,
                permission_set: "*".to_owned(),
                begun_before: Timestamp::MAX,
            },
            of_request @ DeniedSessions::OfRequest(_) => of_request,
        });
        Cow::Owned(all.collect())
    }
}

#[async_trait::async_trait]
impl SessionDenials for Denier {
    async fn deny(
        &self,
        account: &AccountId,
        sessions: &BTreeSet<DeniedSessions>,
        attempt: Attempt,
    ) -> Result<(), AwsError> {
        if self.line.cloud.planted.is(Plant::DenyForEver) && sessions.is_empty() {
            return Ok(());
        }
        let sessions = self.widened(sessions);
        self.line.dated(self.scps.deny(account, &sessions, self.line.started(attempt)?)).await
    }

    async fn denies_exactly(
        &self,
        account: &AccountId,
        sessions: &BTreeSet<DeniedSessions>,
    ) -> Result<bool, AwsError> {
        if self.line.cloud.planted.is(Plant::DenyForEver) && sessions.is_empty() {
            return Ok(true);
        }
        if self.line.cloud.planted.is(Plant::DenyTheGone)
            && sessions.is_empty()
            && self.scps.has_left(account)
        {
            return Err(AwsError::new(ErrorKind::Denied, "AccessDeniedException", "the account has left"));
        }
        self.line.dated(self.scps.denies_exactly(account, &self.widened(sessions))).await
    }
}
