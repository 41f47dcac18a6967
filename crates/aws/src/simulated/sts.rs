//! The simulated STS: roles with a longest session, and the sessions made.

use super::SimulatedAws;
use super::state::{Call, KEPT_MAX};
use crate::sts::CHAINED_DURATION_MAX;
use crate::{
    AssumeRole, AwsError, CallerIdentity, ErrorKind, RoleExternalId, Secret, SessionCredentials, Sts,
};
use domain::{AccountId, RoleArn, SignedDuration, Timestamp, canonical_digest, hex};
use std::collections::BTreeMap;
use std::sync::Arc;

/// A role that trusts Daypass.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SimulatedRole {
    /// The longest session that the role allows.
    pub session_max: SignedDuration,
    /// What its trust policy asks for as `sts:ExternalId`.
    pub external_id: Option<RoleExternalId>,
}

/// A session that was made.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Session {
    /// Its access key.
    pub access_key_id: String,
    /// What was asked for.
    pub call: Arc<AssumeRole>,
    /// When it was made.
    pub issued_at: Timestamp,
    /// When it ends by itself.
    pub expires_at: Timestamp,
}

#[derive(Debug, Default)]
pub(super) struct StsState {
    pub(super) roles: BTreeMap<RoleArn, SimulatedRole>,
    pub(super) sessions: BTreeMap<String, Session>,
    counter: u64,
}

impl StsState {
    fn assume(
        &mut self,
        call: &Arc<AssumeRole>,
        now: Timestamp,
        chained: bool,
    ) -> Result<SessionCredentials, AwsError> {
        let role = self.roles.get(call.role());
        let Some(role) =
            role.filter(|role| role.external_id.as_ref().is_none_or(|id| call.external_id() == Some(id)))
        else {
            return Err(AwsError::new(
                ErrorKind::Denied,
                "AccessDenied",
                "not authorised to perform sts:AssumeRole",
            ));
        };
        if call.duration() > role.session_max {
            return Err(too_long("the requested duration exceeds the role's maximum"));
        }
        if chained && call.duration() > CHAINED_DURATION_MAX {
            return Err(too_long("the requested duration exceeds one hour, the maximum for role chaining"));
        }
        let expires_at = now
            .checked_add(call.duration())
            .map_err(|_| too_long("the session would end beyond the calendar"))?;

        self.counter += 1;
        // Fixed width, so that the keys' order is the order of issue.
        let access_key_id = format!("ASIA{:016}", self.counter);
        let session = Session {
            access_key_id: access_key_id.clone(),
            call: Arc::clone(call),
            issued_at: now,
            expires_at,
        };
        self.sessions.insert(access_key_id.clone(), session);
        if self.sessions.len() > KEPT_MAX {
            self.sessions.pop_first();
        }
        let secret = |what: &str| hex(&canonical_digest([what.as_bytes(), access_key_id.as_bytes()]));
        Ok(SessionCredentials {
            secret_access_key: Secret::new(secret("simulated secret")),
            session_token: Secret::new(secret("simulated token")),
            access_key_id,
            expires_at,
        })
    }
}

fn too_long(message: &str) -> AwsError {
    AwsError::new(ErrorKind::Invalid, "ValidationError", message)
}

#[async_trait::async_trait]
impl Sts for SimulatedAws {
    async fn assume_role(&self, call: &AssumeRole) -> Result<SessionCredentials, AwsError> {
        let call = Arc::new(call.clone());
        self.call(None, Call::AssumeRole(Arc::clone(&call)), |state, now, _| {
            state.sts.assume(&call, now, state.behaviour.caller_is_role_session)
        })
        .await
    }

    async fn caller_identity(&self) -> Result<CallerIdentity, AwsError> {
        self.call(None, Call::CallerIdentity, |state, _, _| {
            let arn = if state.behaviour.caller_is_role_session {
                "arn:aws:sts::555555555555:assumed-role/daypass/service"
            } else {
                "arn:aws:iam::555555555555:user/daypass"
            };
            Ok(CallerIdentity { account: AccountId::new("555555555555")?, arn: arn.to_owned() })
        })
        .await
    }
}
