//! Connects to the AWS that the configuration names.

use crate::settings::AwsSection;
use aws::{Assignments, DirectorySource, Federation, RefreshPace, SessionDenials, Sts};
use aws_sdk::{Application, AwsConfig, ConnectError, StaticCredentials};
use domain::Partition;
use domain::ports::SharedClock;
use service_runtime::config::Secret;
use std::sync::Arc;
use std::time::Duration;

/// What is done in AWS, and what is read of it.
#[derive(Clone)]
pub struct Cloud {
    /// Credentials for roles.
    pub sts: Arc<dyn Sts>,
    /// The console.
    pub federation: Arc<dyn Federation>,
    /// Account assignments.
    pub assignments: Arc<dyn Assignments>,
    /// Roles given to users, where Account Access Manager is used.
    pub account_access: Option<Arc<dyn Assignments>>,
    /// The end of live sessions, where a role for it is configured.
    pub session_denials: Option<Arc<dyn SessionDenials>>,
    /// The organisation.
    pub directory: Arc<dyn DirectorySource>,
    /// Which AWS it is.
    pub partition: Partition,
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
        account_access: section.account_access.then(|| {
            section.account_access_application_arn.clone().map_or(Application::TheOnly, Application::Arn)
        }),
        federation_url: section.federation_url.clone(),
        session_denials_role: section.session_denials_role_arn.clone(),
        permission_set_calls_per_second: section.permission_set_calls_per_second,
        ..AwsConfig::new(section.region.clone())
    };
    let adapters = aws_sdk::connect(config, clock).await?;
    Ok(Cloud {
        sts: adapters.sts,
        federation: adapters.federation,
        assignments: adapters.assignments,
        account_access: adapters.account_access.map(|port| port as Arc<dyn Assignments>),
        session_denials: adapters.session_denials.map(|port| port as Arc<dyn SessionDenials>),
        directory: adapters.directory,
        partition: adapters.partition,
    })
}

/// How often the directory is read.
pub fn pace(section: &AwsSection) -> RefreshPace {
    RefreshPace { interval: Duration::from_secs(section.directory_refresh_seconds), ..RefreshPace::default() }
}
