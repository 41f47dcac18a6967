//! What both kinds of server need.

use aws::{Secret, Turns};
use aws_sdk::{AwsConfig, StaticCredentials};
use domain::Timestamp;
use domain::ports::Clock;
use std::sync::atomic::{AtomicUsize, Ordering};

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
        permission_set_calls_per_second: 10_000,
        ..AwsConfig::new("us-east-1")
    }
}

/// Counts the turns that were waited for.
#[derive(Default)]
pub(crate) struct Counted(AtomicUsize);

#[async_trait::async_trait]
impl Turns for Counted {
    async fn next(&self) {
        self.0.fetch_add(1, Ordering::Relaxed);
    }
}

impl Counted {
    pub(crate) fn turns(&self) -> usize {
        self.0.load(Ordering::Relaxed)
    }
}
