//! Connects to the AWS that the configuration names.

use crate::settings::AwsSection;
use aws::{Assignments, DirectorySource, RefreshPace, Sts};
use aws_sdk::{AwsConfig, ConnectError, StaticCredentials};
use domain::ports::SharedClock;
use service_runtime::config::Secret;
use std::sync::Arc;
use std::time::Duration;

/// What is done in AWS, and what is read of it.
#[derive(Clone)]
pub struct Cloud {
    /// Credentials for roles.
    pub sts: Arc<dyn Sts>,
    /// Account assignments.
    pub assignments: Arc<dyn Assignments>,
    /// The organisation.
    pub directory: Arc<dyn DirectorySource>,
}

/// The adapters on the AWS SDK.
pub async fn connect(
    section: &AwsSection,
    secret: Option<&Secret>,
    clock: SharedClock,
) -> Result<Cloud, ConnectError> {
    let credentials = section.access_key_id.clone().zip(secret).map(|(access_key_id, secret)| {
        StaticCredentials { access_key_id, secret_access_key: secret.clone() }
    });
    let config = AwsConfig {
        endpoint_url: section.endpoint_url.clone(),
        credentials,
        instance_arn: section.instance_arn.clone(),
        identity_store_id: section.identity_store_id.clone(),
        ..AwsConfig::new(section.region.clone())
    };
    let adapters = aws_sdk::connect(config, clock).await?;
    Ok(Cloud { sts: adapters.sts, assignments: adapters.assignments, directory: adapters.directory })
}

/// How often the directory is read.
pub fn pace(section: &AwsSection) -> RefreshPace {
    RefreshPace { interval: Duration::from_secs(section.directory_refresh_seconds), ..RefreshPace::default() }
}
