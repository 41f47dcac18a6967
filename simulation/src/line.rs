//! AWS as one process calls it: by a clock of its own, over a line that tells it AWS's time, and with accounts that are lost.

use crate::people;
use crate::plant::{Plant, Planted};
use crate::seams::{LocalClock, SimClock};
use crate::tally::Tally;
use aws::simulated::SimulatedAws;
use aws::{
    AssignmentKey, Assignments, AssumeRole, Attempt, AwsError, CallerIdentity, Contents, Deletion,
    DirectorySource, ErrorKind, Limits, OperationId, OperationStatus, SessionCredentials, Sts,
};
use domain::ports::Clock as _;
use domain::ports::SharedClock;
use domain::{AccountId, Entitlement, PrincipalId, Sighting, TimeSource, Timestamp};
use std::collections::BTreeSet;
use std::future::Future;
use std::sync::{Arc, Mutex, PoisonError};

/// What is the same for all machines.
#[derive(Clone)]
pub(crate) struct Cloud {
    pub(crate) aws: Arc<SimulatedAws>,
    pub(crate) planted: Planted,
    /// An assignment that was there before.
    pub(crate) standing: AssignmentKey,
    /// Accounts from which nothing can be removed.
    pub(crate) lost: Arc<Mutex<BTreeSet<AccountId>>>,
    pub(crate) world: Arc<SimClock>,
    pub(crate) tally: Tally,
}

impl Cloud {
    /// Whether an account is out of reach.
    pub(crate) fn is_lost(&self, account: &AccountId) -> bool {
        self.lost.lock().unwrap_or_else(PoisonError::into_inner).contains(account)
    }
}

/// The line of one machine.
pub(crate) struct Line {
    pub(crate) cloud: Cloud,
    pub(crate) clock: Arc<LocalClock>,
    /// The same clock, as the process compares it with AWS's.
    pub(crate) watched: SharedClock,
    /// When AWS last answered, by the world's clock.
    pub(crate) told_at: Arc<Mutex<Option<Timestamp>>>,
}

impl Line {
    /// A call, and the date of its answer: AWS's clock is the world's, and an answer that is not known to have come has none.
    async fn dated<T>(&self, call: impl Future<Output = Result<T, AwsError>>) -> Result<T, AwsError> {
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
        attempt.check(self.clock.now())?;
        Ok(Attempt { start_before: Timestamp::MAX, ..attempt })
    }

    /// The attempt of a bug.
    fn unfounded(&self) -> Attempt {
        Attempt { signed_at: self.cloud.world.now(), start_before: Timestamp::MAX }
    }
}

#[async_trait::async_trait]
impl Assignments for Line {
    fn limits(&self) -> Limits {
        self.cloud.aws.limits()
    }

    async fn create(&self, key: &AssignmentKey, attempt: Attempt) -> Result<OperationId, AwsError> {
        self.dated(self.cloud.aws.create(key, self.started(attempt)?)).await
    }

    async fn creation_status(&self, operation: &OperationId) -> Result<OperationStatus, AwsError> {
        self.dated(self.cloud.aws.creation_status(operation)).await
    }

    async fn delete(&self, key: &AssignmentKey, attempt: Attempt) -> Result<Deletion, AwsError> {
        let attempt = self.started(attempt)?;
        if self.cloud.is_lost(key.account()) {
            self.cloud.tally.count("aws: removal from a lost account");
            return Err(AwsError::new(ErrorKind::Denied, "AccessDeniedException", "the account is closed"));
        }
        self.dated(self.cloud.aws.delete(key, attempt)).await
    }

    async fn deletion_status(&self, operation: &OperationId) -> Result<OperationStatus, AwsError> {
        self.dated(self.cloud.aws.deletion_status(operation)).await
    }

    async fn holders(
        &self,
        account: &AccountId,
        entitlement: &Entitlement,
    ) -> Result<BTreeSet<PrincipalId>, AwsError> {
        if self.cloud.planted.strikes(Plant::CreateWithoutAttempt) {
            let key = AssignmentKey::new(people::principal("eve"), account.clone(), entitlement.clone());
            self.cloud.aws.create(&key, self.unfounded()).await?;
        }
        if self.cloud.planted.strikes(Plant::DeleteStanding) {
            self.cloud.aws.delete(&self.cloud.standing, self.unfounded()).await?;
        }
        self.dated(self.cloud.aws.holders(account, entitlement)).await
    }
}

#[async_trait::async_trait]
impl Sts for Line {
    async fn assume_role(&self, call: &AssumeRole) -> Result<SessionCredentials, AwsError> {
        self.dated(self.cloud.aws.assume_role(call)).await
    }

    async fn caller_identity(&self) -> Result<CallerIdentity, AwsError> {
        self.dated(self.cloud.aws.caller_identity()).await
    }
}

#[async_trait::async_trait]
impl DirectorySource for Line {
    async fn fetch(&self) -> Result<Contents, AwsError> {
        self.dated(self.cloud.aws.fetch()).await
    }
}
