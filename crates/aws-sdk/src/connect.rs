//! Makes the adapters: region, endpoint, credentials, time-outs, and the Identity Center instance.

use crate::account_access::applications_of;
use crate::date::DateReader;
use crate::error::{Effect, incomplete, sorted};
use crate::{
    Application, SdkAccountAccess, SdkAssignments, SdkDirectory, SdkFederation, SdkSessionDenials, SdkSts,
    pages,
};
use aws::{AwsError, FederationEndpoint, Secret};
use aws_config::retry::RetryConfig;
use aws_config::sts::AssumeRoleProvider;
use aws_config::timeout::TimeoutConfig;
use aws_config::{BehaviorVersion, Region, SdkConfig};
use aws_credential_types::Credentials;
use aws_credential_types::provider::SharedCredentialsProvider;
use domain::ports::SharedClock;
use domain::{Partition, RoleArn};
use std::sync::Arc;
use std::time::Duration;
use url::Url;

/// Until a connection stands.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(3);

/// How long one try of a call may take, if nothing else is configured. AWS answers in well under a second.
pub const CALL_TIMEOUT: Duration = Duration::from_secs(10);

/// How often the SDK tries a call of which nobody counts the tries (at the start, and about session denials), and how many call
/// time-outs all tries and the waiting between may take together.
const READ_ATTEMPTS: u32 = 5;

/// Where and as whom AWS is called.
#[derive(Clone, Debug)]
pub struct AwsConfig {
    /// The region of the Identity Center instance; it also says the partition.
    pub region: String,
    /// Another endpoint for every service: an emulator, a proxy. `None`: AWS's own.
    pub endpoint_url: Option<Url>,
    /// `None`: the SDK's chain (environment, profile, web identity, container, instance). Fixed ones are for emulators.
    pub credentials: Option<StaticCredentials>,
    /// The Identity Center instance; found when there is only one.
    pub instance_arn: Option<String>,
    /// Its identity store; found with the instance.
    pub identity_store_id: Option<String>,
    /// The application of Account Access Manager that roles are given through; `None`: none are.
    pub account_access: Option<Application>,
    /// Another AWS Sign-In than the region's: an emulator. `endpoint_url` is none of it.
    pub federation_url: Option<Url>,
    /// The role under which service control policies are written that end live sessions early; `None`: none are.
    pub session_denials_role: Option<RoleArn>,
    /// How long one try of a call may take; afterwards the outcome of a change is unknown.
    pub call_timeout: Duration,
    /// How fast Organizations and Identity Store are read. AWS allows 20 calls/s of each, to all callers together.
    pub directory_calls_per_second: u32,
    /// How fast permission sets are read: out of the 20 calls/s of Identity Center that assignments are changed with as well.
    pub permission_set_calls_per_second: u32,
}

impl AwsConfig {
    /// AWS itself, in `region`, with everything found by itself.
    pub fn new(region: impl Into<String>) -> Self {
        Self {
            region: region.into(),
            endpoint_url: None,
            credentials: None,
            instance_arn: None,
            identity_store_id: None,
            account_access: None,
            federation_url: None,
            session_denials_role: None,
            call_timeout: CALL_TIMEOUT,
            directory_calls_per_second: 12,
            permission_set_calls_per_second: 4,
        }
    }
}

/// An access key that is given and not found.
#[derive(Clone, Debug)]
pub struct StaticCredentials {
    /// Its public half.
    pub access_key_id: String,
    /// Its secret half.
    pub secret_access_key: Secret,
}

/// The adapters of one AWS organisation.
#[derive(Clone, Debug)]
pub struct Adapters {
    /// Credentials for roles.
    pub sts: Arc<SdkSts>,
    /// The console.
    pub federation: Arc<SdkFederation>,
    /// Account assignments.
    pub assignments: Arc<SdkAssignments>,
    /// Roles given to users, where it is wanted.
    pub account_access: Option<Arc<SdkAccountAccess>>,
    /// The end of live sessions, where a role for it is given.
    pub session_denials: Option<Arc<SdkSessionDenials>>,
    /// The organisation.
    pub directory: Arc<SdkDirectory>,
    /// Which AWS this is.
    pub partition: Partition,
    /// The Identity Center instance.
    pub instance_arn: String,
}

/// Why there are no adapters.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ConnectError {
    /// AWS could not be asked for the instance.
    #[error("the Identity Center instance cannot be found: {0}")]
    Aws(#[from] AwsError),
    /// There is none (here).
    #[error("there is no such Identity Center instance in {region}")]
    NoInstance {
        /// Where it was looked for.
        region: String,
    },
    /// There are several.
    #[error("there are several Identity Center instances; configure one of {}", arns.join(", "))]
    SeveralInstances {
        /// All of them.
        arns: Vec<String>,
    },
    /// Account Access Manager has no active application for the instance.
    #[error("Account Access Manager has no active application for {instance}")]
    NoApplication {
        /// The instance.
        instance: String,
    },
    /// It has several.
    #[error("Account Access Manager has several applications; configure one of {}", arns.join(", "))]
    SeveralApplications {
        /// All of them.
        arns: Vec<String>,
    },
    /// An instance of another AWS than the region's.
    #[error("the Identity Center instance {arn} is not of the partition of {region}")]
    AnotherPartition {
        /// The instance.
        arn: String,
        /// The region.
        region: String,
    },
}

/// The partition that a region is in.
pub fn partition_of(region: &str) -> Partition {
    if region.starts_with("cn-") {
        Partition::AwsCn
    } else if region.starts_with("us-gov-") {
        Partition::AwsUsGov
    } else {
        Partition::Aws
    }
}

/// A client of one service, whose answers' dates the clock hears.
macro_rules! client {
    ($service:ident, $config:expr, $dates:expr) => {
        $service::Client::from_conf(
            $service::config::Builder::from($config).interceptor($dates.clone()).build(),
        )
    };
}

/// Makes the adapters. Calls AWS only when the instance or its identity store has to be found.
pub async fn connect(config: AwsConfig, clock: SharedClock) -> Result<Adapters, ConnectError> {
    let partition = partition_of(&config.region);
    let reading = sdk_config(&config).await;
    let once = reading
        .to_builder()
        .retry_config(RetryConfig::disabled())
        .timeout_config(timeouts(config.call_timeout, 1))
        .build();
    let dates = DateReader(Arc::clone(&clock));
    let federation = SdkFederation::new(federation_endpoint(&config, partition)?, config.call_timeout)?;
    let (instance_arn, identity_store_id) = match (config.instance_arn, config.identity_store_id) {
        (Some(arn), Some(store)) => (arn, store),
        (arn, store) => {
            let (arn, found) =
                find_instance(&client!(aws_sdk_ssoadmin, &reading, dates), arn, &config.region).await?;
            (arn, store.unwrap_or(found))
        }
    };
    if !instance_arn.starts_with(&format!("arn:{partition}:sso:")) {
        return Err(ConnectError::AnotherPartition { arn: instance_arn, region: config.region });
    }
    let account_access = match config.account_access {
        None => None,
        Some(wanted) => {
            let client = client!(aws_sdk_accountaccess, &reading, dates);
            let application_arn = find_application(&client, wanted, &instance_arn).await?;
            Some(Arc::new(SdkAccountAccess {
                client: client!(aws_sdk_accountaccess, &once, dates),
                application_arn,
                clock: Arc::clone(&clock),
            }))
        }
    };
    let session_denials = match &config.session_denials_role {
        None => None,
        Some(role) => {
            let own = identity_of(role, &reading).await;
            let under = |base: &SdkConfig| base.to_builder().credentials_provider(own.clone()).build();
            Some(Arc::new(SdkSessionDenials {
                reading: client!(aws_sdk_organizations, &under(&reading), dates),
                changing: client!(aws_sdk_organizations, &under(&once), dates),
                clock: Arc::clone(&clock),
            }))
        }
    };
    let sso = client!(aws_sdk_ssoadmin, &once, dates);
    let assignments = SdkAssignments { client: sso.clone(), instance_arn: instance_arn.clone(), clock };
    let directory = SdkDirectory {
        organizations: client!(aws_sdk_organizations, &once, dates),
        sso,
        identity_store: client!(aws_sdk_identitystore, &once, dates),
        instance_arn: instance_arn.clone(),
        identity_store_id,
        pace: pages::Pace::new(config.directory_calls_per_second),
        sso_pace: pages::Pace::new(config.permission_set_calls_per_second),
    };
    Ok(Adapters {
        federation: Arc::new(federation),
        sts: Arc::new(SdkSts { client: client!(aws_sdk_sts, &once, dates) }),
        assignments: Arc::new(assignments),
        account_access,
        session_denials,
        directory: Arc::new(directory),
        partition,
        instance_arn,
    })
}

fn federation_endpoint(config: &AwsConfig, partition: Partition) -> Result<FederationEndpoint, AwsError> {
    Ok(match &config.federation_url {
        Some(url) => FederationEndpoint::at(url.clone(), partition),
        None => FederationEndpoint::of_region(&config.region, partition)?,
    })
}

/// Credentials of a role, taken and renewed with ours.
async fn identity_of(role: &RoleArn, ours: &SdkConfig) -> SharedCredentialsProvider {
    let provider = AssumeRoleProvider::builder(role.as_str())
        .configure(ours)
        .session_name("daypass-session-denials")
        .build()
        .await;
    SharedCredentialsProvider::new(provider)
}

fn timeouts(call: Duration, tries: u32) -> TimeoutConfig {
    TimeoutConfig::builder()
        .connect_timeout(CONNECT_TIMEOUT.min(call))
        .operation_attempt_timeout(call)
        .operation_timeout(call.saturating_mul(tries))
        .build()
}

async fn sdk_config(config: &AwsConfig) -> SdkConfig {
    let mut loader = aws_config::defaults(BehaviorVersion::latest())
        .region(Region::new(config.region.clone()))
        .retry_config(RetryConfig::standard().with_max_attempts(READ_ATTEMPTS))
        .timeout_config(timeouts(config.call_timeout, READ_ATTEMPTS))
        .disable_clock_skew_correction(true);
    if let Some(url) = &config.endpoint_url {
        loader = loader.endpoint_url(url.as_str().trim_end_matches('/'));
    }
    if let Some(keys) = &config.credentials {
        let secret = keys.secret_access_key.expose();
        loader = loader.credentials_provider(Credentials::new(
            &keys.access_key_id,
            secret,
            None,
            None,
            "configuration",
        ));
    }
    loader.load().await
}

async fn find_application(
    client: &aws_sdk_accountaccess::Client,
    wanted: Application,
    instance: &str,
) -> Result<String, ConnectError> {
    if let Application::Arn(arn) = wanted {
        return Ok(arn);
    }
    let mut found = applications_of(client, instance).await?;
    match found.pop() {
        None => Err(ConnectError::NoApplication { instance: instance.to_owned() }),
        Some(arn) if found.is_empty() => Ok(arn),
        Some(arn) => {
            found.push(arn);
            Err(ConnectError::SeveralApplications { arns: found })
        }
    }
}

async fn find_instance(
    sso: &aws_sdk_ssoadmin::Client,
    wanted: Option<String>,
    region: &str,
) -> Result<(String, String), ConnectError> {
    let instances = pages::all(async |token| {
        let answer = sso
            .list_instances()
            .set_next_token(token)
            .send()
            .await
            .map_err(|error| sorted(Effect::Reads, &error))?;
        Ok((answer.instances.unwrap_or_default(), answer.next_token))
    })
    .await?;
    let mut found = Vec::new();
    for instance in instances {
        let arn =
            instance.instance_arn.ok_or_else(|| incomplete(Effect::Reads, "an instance without ARN"))?;
        let store = instance
            .identity_store_id
            .ok_or_else(|| incomplete(Effect::Reads, "an instance without store"))?;
        if wanted.as_ref().is_none_or(|wanted| *wanted == arn) {
            found.push((arn, store));
        }
    }
    match found.pop() {
        None => Err(ConnectError::NoInstance { region: region.to_owned() }),
        Some(instance) if found.is_empty() => Ok(instance),
        Some(instance) => {
            found.push(instance);
            Err(ConnectError::SeveralInstances { arns: found.into_iter().map(|(arn, _)| arn).collect() })
        }
    }
}
