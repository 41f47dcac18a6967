//! [`aws::Sts`] on AWS STS.

use crate::error::{Effect, incomplete, sorted};
use aws::{AssumeRole, AwsError, CallerIdentity, Secret, SessionCredentials, Sts};
use aws_sdk_sts::types::{PolicyDescriptorType, Tag};
use domain::{AccountId, Timestamp};

/// AWS STS. Every call is tried once, and signed when it is sent.
#[derive(Clone, Debug)]
pub struct SdkSts {
    pub(crate) client: aws_sdk_sts::Client,
}

#[async_trait::async_trait]
impl Sts for SdkSts {
    async fn assume_role(&self, call: &AssumeRole) -> Result<SessionCredentials, AwsError> {
        let seconds = i32::try_from(call.duration().as_secs())
            .map_err(|_| domain::Invalid::new("session duration", "must be at most 12 hours"))?;
        let mut request = self
            .client
            .assume_role()
            .role_arn(call.role().as_str())
            .role_session_name(call.session_name().as_str())
            .duration_seconds(seconds)
            .set_policy(call.policy().map(ToString::to_string))
            .set_source_identity(call.source_identity().map(ToString::to_string))
            .set_external_id(call.external_id().map(ToString::to_string));
        for arn in call.managed_policies() {
            request = request.policy_arns(PolicyDescriptorType::builder().arn(arn.as_str()).build());
        }
        for (key, value) in call.tags() {
            let tag = Tag::builder().key(key).value(value).build();
            request = request
                .tags(tag.map_err(|_| domain::Invalid::new("session tag", "must have key and value"))?);
        }
        for key in call.transitive_tag_keys() {
            request = request.transitive_tag_keys(key);
        }
        let answer = request.send().await.map_err(|error| sorted(Effect::Changes, &error))?;
        let credentials =
            answer.credentials.ok_or_else(|| incomplete(Effect::Changes, "an answer without credentials"))?;
        let expires_at = Timestamp::from_second(credentials.expiration.secs())
            .map_err(|_| incomplete(Effect::Changes, "credentials that expire beyond the calendar"))?;
        Ok(SessionCredentials {
            access_key_id: credentials.access_key_id,
            secret_access_key: Secret::new(credentials.secret_access_key),
            session_token: Secret::new(credentials.session_token),
            expires_at,
        })
    }

    async fn caller_identity(&self) -> Result<CallerIdentity, AwsError> {
        let answer =
            self.client.get_caller_identity().send().await.map_err(|error| sorted(Effect::Reads, &error))?;
        let arn = answer.arn.ok_or_else(|| incomplete(Effect::Reads, "an identity without ARN"))?;
        let account =
            answer.account.ok_or_else(|| incomplete(Effect::Reads, "an identity without account"))?;
        Ok(CallerIdentity { account: AccountId::new(account)?, arn })
    }
}
