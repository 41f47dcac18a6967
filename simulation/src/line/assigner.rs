//! A service that assigns (Identity Center, Account Access Manager), over the line of one machine.

use super::{Line, Zombie};
use crate::people;
use crate::plant::Plant;
use aws::{
    AssignmentKey, Assignments, Attempt, AwsError, Deletion, ErrorKind, Limits, OperationId, OperationStatus,
    Turns, Uncounted,
};
use domain::ports::Clock as _;
use domain::{AccountId, Entitlement, PrincipalId, SignedDuration};
use std::collections::BTreeSet;
use std::sync::{Arc, PoisonError};

/// When a call arrives whose caller was paused: long after every fence.
const ZOMBIE_ARRIVES_AFTER: SignedDuration = SignedDuration::from_mins(15);

/// The removal that a bug takes for done without it.
const GIVEN_UP: &str = "given-up";

/// One of them.
pub(crate) struct Assigner {
    pub(crate) line: Arc<Line>,
    pub(crate) service: Arc<dyn Assignments>,
}

impl Assigner {
    async fn deleted(
        &self,
        key: &AssignmentKey,
        attempt: Attempt,
        turns: &dyn Turns,
    ) -> Result<Deletion, AwsError> {
        if self.line.cloud.is_lost(key.account()) {
            self.line.cloud.tally.count("aws: removal from a lost account");
            return Err(AwsError::new(ErrorKind::Denied, "AccessDeniedException", "the account is closed"));
        }
        self.line.dated(self.service.delete(key, attempt, turns)).await
    }
}

#[async_trait::async_trait]
impl Assignments for Assigner {
    fn limits(&self) -> Limits {
        self.service.limits()
    }

    async fn create(&self, key: &AssignmentKey, attempt: Attempt) -> Result<OperationId, AwsError> {
        let attempt = self.line.started(attempt)?;
        let cloud = &self.line.cloud;
        if cloud.planted.strikes(Plant::ZombieCreate) {
            let arrives_at = cloud.world.now() + ZOMBIE_ARRIVES_AFTER;
            let zombie = Zombie { arrives_at, service: Arc::clone(&self.service), key: key.clone(), attempt };
            cloud.zombies.lock().unwrap_or_else(PoisonError::into_inner).push(zombie);
            return Err(AwsError::new(ErrorKind::Unknown, "Timeout", "no answer came"));
        }
        let answer = self.line.dated(self.service.create(key, attempt)).await;
        if cloud.planted.is(Plant::BlindRetry) && answer.as_ref().is_err_and(AwsError::outcome_unknown) {
            return self.line.dated(self.service.create(key, attempt)).await;
        }
        answer
    }

    async fn creation_status(&self, operation: &OperationId) -> Result<OperationStatus, AwsError> {
        if self.line.cloud.planted.is(Plant::NoFinalStatus) {
            return Ok(OperationStatus::Succeeded);
        }
        match self.line.dated(self.service.creation_status(operation)).await {
            Ok(OperationStatus::Failed { .. }) if self.line.cloud.planted.is(Plant::SilentFailure) => {
                Ok(OperationStatus::Succeeded)
            }
            answer => answer,
        }
    }

    async fn delete(
        &self,
        key: &AssignmentKey,
        attempt: Attempt,
        turns: &dyn Turns,
    ) -> Result<Deletion, AwsError> {
        let planted = &self.line.cloud.planted;
        if planted.is(Plant::HourlySweep) && self.line.cloud.world.now().as_second().rem_euclid(3_600) >= 60 {
            return Err(AwsError::new(ErrorKind::Unavailable, "Later", "the hour is not full"));
        }
        planted.removes(key);
        match self.deleted(key, self.line.started(attempt)?, turns).await {
            Err(_) if planted.gives_up(key) => Ok(Deletion::Started(OperationId::new(GIVEN_UP)?)),
            answer => answer,
        }
    }

    async fn deletion_status(&self, operation: &OperationId) -> Result<OperationStatus, AwsError> {
        if self.line.cloud.planted.is(Plant::NoFinalStatus) || operation.as_str() == GIVEN_UP {
            return Ok(OperationStatus::Succeeded);
        }
        self.line.dated(self.service.deletion_status(operation)).await
    }

    async fn holders(
        &self,
        account: &AccountId,
        entitlement: &Entitlement,
        turns: &dyn Turns,
    ) -> Result<BTreeSet<PrincipalId>, AwsError> {
        let cloud = &self.line.cloud;
        if cloud.planted.strikes(Plant::EffectiveBeforeRecorded) {
            let key = AssignmentKey::new(people::principal("eve"), account.clone(), entitlement.clone());
            self.service.create(&key, self.line.unfounded()).await?;
        }
        if cloud.planted.strikes(Plant::DeleteStanding) {
            cloud.aws.delete(&cloud.standing, self.line.unfounded(), &Uncounted).await?;
        }
        let holders = self.line.dated(self.service.holders(account, entitlement, turns)).await?;
        Ok(cloud.planted.listed(holders, account, entitlement))
    }
}
