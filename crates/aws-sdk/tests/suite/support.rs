//! What both kinds of server need.

use aws::Secret;
use aws_sdk::{AwsConfig, StaticCredentials};
use domain::Timestamp;
use domain::ports::Clock;

/// The machine's clock.
pub(crate) struct WallClock;

impl Clock for WallClock {
    #[expect(clippy::disallowed_methods, reason = "the port's implementation")]
    fn now(&self) -> Timestamp {
        Timestamp::now()
    }
}

/// A configuration for an emulator at `endpoint`.
pub(crate) fn config(endpoint: &str) -> AwsConfig {
    AwsConfig {
        endpoint_url: Some(endpoint.parse().unwrap()),
        credentials: Some(StaticCredentials {
            access_key_id: "AKIAEXAMPLE".to_owned(),
            secret_access_key: Secret::new("canary-secret-key"),
        }),
        directory_calls_per_second: 10_000,
        ..AwsConfig::new("us-east-1")
    }
}
