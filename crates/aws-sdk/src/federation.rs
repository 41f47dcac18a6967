//! [`aws::Federation`] on AWS Sign-In, which no SDK has: one form is posted, one JSON object comes back.
//!
//! INVARIANT: no redirect is followed, for the form carries credentials; nothing of form or answer is in an error.

use aws::federation::FederationEndpoint;
use aws::{AwsError, ErrorKind, Federation, Secret, SessionCredentials};
use reqwest::StatusCode;
use serde::Deserialize;
use std::time::Duration;

/// Bytes of an answer. A token is about 1,000.
const ANSWER_MAX: usize = 64 * 1024;

/// AWS Sign-In.
#[derive(Clone, Debug)]
pub struct SdkFederation {
    http: reqwest::Client,
    endpoint: FederationEndpoint,
}

/// What comes back.
#[derive(Deserialize)]
struct Answer {
    #[serde(rename = "SigninToken")]
    token: String,
}

impl SdkFederation {
    /// AWS Sign-In at `endpoint`, which may take `call_timeout` to answer.
    pub fn new(endpoint: FederationEndpoint, call_timeout: Duration) -> Result<Self, AwsError> {
        let http = reqwest::Client::builder()
            .user_agent(concat!("daypass/", env!("CARGO_PKG_VERSION")))
            .redirect(reqwest::redirect::Policy::none())
            .timeout(call_timeout)
            .build()
            .map_err(|error| failure(&error))?;
        Ok(Self { http, endpoint })
    }
}

#[async_trait::async_trait]
impl Federation for SdkFederation {
    fn endpoint(&self) -> FederationEndpoint {
        self.endpoint.clone()
    }

    async fn sign_in_token(&self, credentials: &SessionCredentials) -> Result<Secret, AwsError> {
        let session = serde_json::json!({
            "sessionId": credentials.access_key_id,
            "sessionKey": credentials.secret_access_key.expose(),
            "sessionToken": credentials.session_token.expose(),
        });
        // Posted, not asked for by URL: URLs are logged on the way. No SessionDuration: see `aws::federation`.
        let form = [("Action", "getSigninToken"), ("Session", &session.to_string())];
        let url = self.endpoint.url().clone();
        let mut answer = self.http.post(url).form(&form).send().await.map_err(|error| failure(&error))?;
        refused(answer.status())?;
        let mut body = Vec::new();
        while let Some(chunk) = answer.chunk().await.map_err(|error| failure(&error))? {
            if body.len() + chunk.len() > ANSWER_MAX {
                return Err(AwsError::new(ErrorKind::Unavailable, "IncompleteAnswer", "a token without end"));
            }
            body.extend_from_slice(&chunk);
        }
        match serde_json::from_slice::<Answer>(&body) {
            Ok(answer) if !answer.token.is_empty() => Ok(Secret::new(answer.token)),
            Ok(_) | Err(_) => {
                Err(AwsError::new(ErrorKind::Unavailable, "IncompleteAnswer", "an answer without a token"))
            }
        }
    }
}

/// What a status says. A 400 is AWS's answer to credentials that it does not take.
fn refused(status: StatusCode) -> Result<(), AwsError> {
    let kind = match status.as_u16() {
        200 => return Ok(()),
        401 | 403 => ErrorKind::Denied,
        429 => ErrorKind::Throttled,
        400..=499 => ErrorKind::Invalid,
        _other => ErrorKind::Unavailable,
    };
    Err(AwsError::new(kind, "FederationRefused", &format!("AWS Sign-In answered {}", status.as_u16())))
}

/// No token was had. That changes nothing, whatever became of the call.
fn failure(error: &reqwest::Error) -> AwsError {
    let why = if error.is_timeout() { "no answer came" } else { "it cannot be reached" };
    AwsError::new(ErrorKind::Unavailable, "FederationUnreachable", why)
}
