//! OpenConsole: as for credentials; then a sign-in token for them; then the event; then the link. The credentials themselves stay
//! here.

use crate::core::{Core, later};
use crate::status;
use api::activation::v1 as wire;
use aws::federation::LINK_LIFETIME;
use aws::{AwsError, ConsoleUrl, ErrorKind};
use lifecycle::access;
use lifecycle::event::ConsoleOpened;
use service_runtime::Call;
use tonic::Status;
use views::{refusal, wire as values};

impl Core {
    pub(super) async fn open_console(
        &self,
        call: &Call,
        mut asked: wire::OpenConsoleRequest,
    ) -> Result<wire::OpenConsoleResponse, Status> {
        let federation = self.ports.federation.as_ref().ok_or_else(status::no_console)?;
        let endpoint = federation.endpoint();
        let destination = match asked.destination.as_str() {
            "" => ConsoleUrl::home(endpoint.partition()),
            page => ConsoleUrl::new(endpoint.partition(), page),
        };
        let destination = destination.map_err(refusal::invalid("destination"))?;
        let key = std::mem::take(&mut asked.idempotency_key);
        let elevated = self.elevated(call, &asked.request_id, ("console", &key), &asked).await?;
        let (issued, credentials) = self.assume(&elevated, None).await?;
        let link_expires_at = later(self.now(), LINK_LIFETIME);
        let token = tokio::time::timeout(self.settings.call_within, federation.sign_in_token(&credentials))
            .await
            .unwrap_or_else(|_| Err(AwsError::new(ErrorKind::Unavailable, "Timeout", "no answer came")))
            .map_err(|error| status::sign_in(&error))?;
        let opened = ConsoleOpened {
            issue: issued.issue,
            access_key_id: issued.access_key_id,
            session_name: issued.session_name,
            source_identity: issued.source_identity,
            expires_at: issued.expires_at,
        };
        let position = self
            .record_issue(&elevated, |request, at| access::open_console(request, opened.clone(), at))
            .await?;
        let link = endpoint.sign_in_link(&token, &destination, self.settings.console_issuer.as_ref());
        Ok(wire::OpenConsoleResponse {
            issue_id: opened.issue.to_string(),
            sign_in_url: link.expose().to_owned(),
            link_expires_at: Some(values::time(link_expires_at)),
            session_expires_at: Some(values::time(elevated.usable_until(opened.expires_at))),
            position: self.views.token(position),
        })
    }
}
