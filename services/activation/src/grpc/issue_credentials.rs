//! IssueCredentials: authenticated, eligible now, elevated now; then AssumeRole; then the event; then the answer.

use crate::core::Core;
use api::activation::v1 as wire;
use lifecycle::access;
use service_runtime::Call;
use tonic::Status;
use views::{refusal, wire as values};

impl Core {
    pub(super) async fn issue_credentials(
        &self,
        call: &Call,
        mut asked: wire::IssueCredentialsRequest,
    ) -> Result<wire::IssueCredentialsResponse, Status> {
        let key = std::mem::take(&mut asked.idempotency_key);
        let wanted = asked.duration.as_ref().map(values::read_duration).transpose();
        let wanted = wanted.map_err(refusal::invalid("duration"))?;
        let elevated = self.elevated(call, &asked.request_id, ("issue", &key), &asked).await?;
        let (issued, credentials) = self.assume(&elevated, wanted).await?;
        let position = self
            .record_issue(&elevated, |request, at| access::issue_credentials(request, issued.clone(), at))
            .await?;
        Ok(wire::IssueCredentialsResponse {
            issue_id: issued.issue.to_string(),
            access_key_id: credentials.access_key_id,
            secret_access_key: credentials.secret_access_key.expose().to_owned(),
            session_token: credentials.session_token.expose().to_owned(),
            expires_at: Some(values::time(credentials.expires_at)),
            usable_until: Some(values::time(elevated.usable_until(credentials.expires_at))),
            session_name: issued.session_name,
            source_identity: issued.source_identity,
            position: self.views.token(position),
        })
    }
}
