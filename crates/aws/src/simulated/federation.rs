//! The simulated AWS Sign-In. Its links lead nowhere: there is no simulated console.

use super::SimulatedAws;
use super::state::Call;
use crate::federation::FederationEndpoint;
use crate::{AwsError, ErrorKind, Federation, Secret, SessionCredentials};
use domain::{Partition, canonical_digest, hex};
use url::Url;

impl SimulatedAws {
    /// Where links lead. The name is one that never exists (RFC 2606).
    const SIGN_IN: &str = "https://signin.aws.invalid/federation";
}

#[async_trait::async_trait]
impl Federation for SimulatedAws {
    fn endpoint(&self) -> FederationEndpoint {
        #[expect(clippy::expect_used, reason = "a constant that every test of this passes by")]
        let url = Url::parse(Self::SIGN_IN).expect("a constant is a URL");
        FederationEndpoint::at(url, Partition::Aws)
    }

    async fn sign_in_token(&self, credentials: &SessionCredentials) -> Result<Secret, AwsError> {
        self.call(None, Call::SignIn, |state, now, _| {
            let session = state.sts.sessions.get(&credentials.access_key_id);
            if !session.is_some_and(|session| (session.issued_at..session.expires_at).contains(&now)) {
                return Err(AwsError::new(ErrorKind::Denied, "FederationRefused", "no such credentials"));
            }
            let secret = credentials.secret_access_key.expose();
            Ok(Secret::new(hex(&canonical_digest([b"simulated sign-in".as_slice(), secret.as_bytes()]))))
        })
        .await
    }
}
