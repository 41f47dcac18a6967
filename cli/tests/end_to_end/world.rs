//! What there is besides Daypass: an identity provider, AWS, people with tokens and a policy that suits them.

use crate::deployment::{Deployment, Service};
use crate::program::program;
use api::activation::v1::activation_service_client::ActivationServiceClient;
use api::approval::v1::approval_service_client::ApprovalServiceClient;
use api::audit::v1::audit_service_client::AuditServiceClient;
use api::request::v1::request_service_client::RequestServiceClient;
use domain::ports::Clock as _;
use domain::{SignedDuration, Timestamp};
use service_runtime::clock::SystemClock;
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::time::Duration;
use tempfile::TempDir;
use test_servers::aws_cli::AwsCli;
use test_servers::faults::FaultyProxy;
use test_servers::moto::Moto;
use test_servers::oidc::{OidcOptions, OidcProvider};
use test_servers::organisation::Organisation;
use tokio::time::{Instant, sleep, timeout};
use tonic::service::Interceptor;
use tonic::service::interceptor::InterceptedService;
use tonic::transport::Channel;
use tonic::{Request, Status};

/// How long anything may take that happens by itself: generous, because test machines are busy, and in bad weather it may take a
/// minute twice until an operation's outcome counts as unknown.
pub(crate) const PATIENCE: Duration = Duration::from_mins(3);
/// How often it is looked at.
pub(crate) const POLL: Duration = Duration::from_millis(200);

/// Everybody who signs in.
const PEOPLE: [&str; 5] = ["ada", "bob", "dave", "eve", "mallory"];

/// Everything but Daypass.
pub(crate) struct World {
    pub(crate) moto: Moto,
    pub(crate) organisation: Organisation,
    pub(crate) oidc: OidcProvider,
    /// What stands between Daypass and AWS, if anything does.
    pub(crate) faults: Option<FaultyProxy>,
    /// A client of AWS that knows nothing of Daypass.
    pub(crate) aws: AwsCli,
    tokens: BTreeMap<&'static str, String>,
    folder: TempDir,
}

impl World {
    pub(crate) async fn new() -> Self {
        let moto = Moto::start().await.unwrap();
        let organisation = Organisation::fill(moto.endpoint()).await.unwrap();
        let options = OidcOptions { directory_ids: organisation.users.clone(), ..OidcOptions::default() };
        let oidc = OidcProvider::start(options).await.unwrap();
        let aws = AwsCli::new(moto.endpoint()).unwrap();
        let mut tokens = BTreeMap::new();
        let folder = TempDir::new().unwrap();
        for name in PEOPLE {
            let token = oidc.sign_in(name).await.unwrap().access_token;
            std::fs::write(folder.path().join(format!("token-of-{name}")), &token).unwrap();
            tokens.insert(name, token);
        }
        let world = Self { moto, organisation, oidc, faults: None, aws, tokens, folder };
        std::fs::write(world.policy_file(), policy(&world.organisation)).unwrap();
        world
    }

    /// The same, where calls about assignments meet faults, and people may have whatever they ask for.
    pub(crate) async fn in_bad_weather(seed: u64) -> Self {
        let mut world = Self::new().await;
        let faults = FaultyProxy::start(world.moto.endpoint(), "AccountAssignment", seed).await.unwrap();
        world.faults = Some(faults);
        std::fs::write(world.policy_file(), generous_policy(&world.organisation)).unwrap();
        world
    }

    /// Where Daypass finds AWS.
    pub(crate) fn aws_endpoint(&self) -> String {
        self.faults.as_ref().map_or_else(|| self.moto.endpoint().to_owned(), FaultyProxy::endpoint)
    }

    pub(crate) fn folder(&self) -> &Path {
        self.folder.path()
    }

    pub(crate) fn policy_file(&self) -> PathBuf {
        self.folder().join("policy.toml")
    }

    /// A file with a secret in it.
    pub(crate) fn secret_file(&self, name: &str, secret: &str) -> PathBuf {
        let file = self.folder().join(format!("secret-of-{name}"));
        std::fs::write(&file, secret).unwrap();
        file
    }

    /// The access token that someone got at sign-in.
    pub(crate) fn token(&self, name: &str) -> &str {
        self.tokens.get(name).unwrap()
    }

    fn token_file(&self, name: &str) -> PathBuf {
        self.folder().join(format!("token-of-{name}"))
    }

    pub(crate) fn transport(&self, deployment: &Deployment, service: Service, name: &str) -> Transport {
        self.signed_in(name, deployment.endpoint(service).timeout(PATIENCE).connect_lazy())
    }

    /// A connection on which someone calls.
    pub(crate) fn signed_in(&self, name: &str, channel: Channel) -> Transport {
        InterceptedService::new(channel, Bearer(format!("Bearer {}", self.token(name))))
    }

    pub(crate) fn requests(&self, to: &Deployment, name: &str) -> RequestServiceClient<Transport> {
        RequestServiceClient::new(self.transport(to, Service::Request, name))
    }

    pub(crate) fn approvals(&self, to: &Deployment, name: &str) -> ApprovalServiceClient<Transport> {
        ApprovalServiceClient::new(self.transport(to, Service::Approval, name))
    }

    pub(crate) fn activations(&self, to: &Deployment, name: &str) -> ActivationServiceClient<Transport> {
        ActivationServiceClient::new(self.transport(to, Service::Activation, name))
    }

    pub(crate) fn audit(&self, to: &Deployment, name: &str) -> AuditServiceClient<Transport> {
        AuditServiceClient::new(self.transport(to, Service::Audit, name))
    }

    /// The way to the directory, as an auditor has it.
    pub(crate) fn directory(&self, to: &Deployment) -> Transport {
        self.transport(to, Service::Request, "eve")
    }

    /// Runs `daypass <arguments>` as someone, and gives back what it wrote to standard output.
    pub(crate) async fn daypass(
        &self,
        deployment: &Deployment,
        name: &str,
        arguments: &[&str],
    ) -> Result<String, String> {
        let mut words: Vec<String> = arguments.iter().map(|word| (*word).to_owned()).collect();
        words.extend(deployment.servers());
        words.extend(["--token-file".to_owned(), self.token_file(name).display().to_string()]);
        run(&words).await
    }
}

/// Runs `daypass` without a token.
pub(crate) async fn run(arguments: &[String]) -> Result<String, String> {
    let mut command = tokio::process::Command::new(program("daypass"));
    command.args(arguments).env_clear().kill_on_drop(true);
    let output = timeout(PATIENCE, command.output()).await.unwrap().unwrap();
    let (out, err) = (String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
    if output.status.success() { Ok(out.into_owned()) } else { Err(format!("{}: {out}{err}", output.status)) }
}

/// A connection that shows a token.
pub(crate) type Transport = InterceptedService<Channel, Bearer>;

/// Adds a token to every call.
#[derive(Clone)]
pub(crate) struct Bearer(String);

impl Interceptor for Bearer {
    fn call(&mut self, mut request: Request<()>) -> Result<Request<()>, Status> {
        request.metadata_mut().insert("authorization", self.0.parse().unwrap());
        Ok(request)
    }
}

/// Now, as everyone's clock says.
pub(crate) fn now() -> Timestamp {
    SystemClock.now()
}

/// Lets time pass until `instant`.
pub(crate) async fn until_time(instant: Timestamp) {
    let left = instant.duration_since(now()).max(SignedDuration::ZERO);
    sleep(left.unsigned_abs()).await;
}

/// Looks until there is something to see.
pub(crate) async fn until<T>(what: &str, deployment: &Deployment, look: impl AsyncFn() -> Option<T>) -> T {
    let deadline = Instant::now() + PATIENCE;
    loop {
        if let Some(seen) = look().await {
            return seen;
        }
        assert!(Instant::now() < deadline, "{what} did not happen:\n{}", deployment.log_tail());
        sleep(POLL).await;
    }
}

/// Everything that the job needs: accounts by units at any depth and by tags, groups of the directory and of tokens, plans by
/// account, of the rule's own, and none.
fn policy(organisation: &Organisation) -> String {
    let Organisation { units, accounts, permission_sets, groups, .. } = organisation;
    format!(
        r#"
[settings]
duration_min = "1s"

[[rules]]
id = "read-production"
requesters = {{ groups = ["identity-store:{developers}"] }}
targets = {{ ous = [{workloads:?}], permission_sets = [{read_only:?}] }}
duration_max = "1h"
provider = "identity_center"
plan = "by_approval_policies"

[[rules]]
id = "deploy-payments"
requesters = {{ groups = ["idp:developers"] }}
targets = {{ account_tags = {{ team = ["payments"] }}, roles = ["Deployer"] }}
duration_max = "1h"
provider = "sts"
credential_duration_max = "30m"
plan = [{{ count = 1, groups = ["idp:approvers"] }}]

[[rules]]
id = "play"
requesters = {{ groups = ["identity-store:{developers}"] }}
targets = {{ accounts = [{playground:?}], permission_sets = [{administrator:?}] }}
duration_max = "1h"
provider = "identity_center"
plan = "none"

[[approval_policies]]
id = "all-workloads"
ous = [{workloads:?}]
steps = [{{ count = 1, groups = ["identity-store:{approvers}"] }}]
"#,
        developers = groups.developers,
        approvers = groups.approvers,
        workloads = units.workloads,
        playground = accounts.playground,
        read_only = permission_sets.read_only,
        administrator = permission_sets.administrator,
    )
}

/// Everything to everyone, for an hour at most, without asking anybody; but for the playground, where an approver agrees. The role in
/// `payments-prod` is for developers.
fn generous_policy(organisation: &Organisation) -> String {
    let Organisation { accounts, permission_sets, groups, .. } = organisation;
    let open = [&accounts.payments_prod, &accounts.shop_prod, &accounts.shop_dev];
    format!(
        r#"
[settings]
duration_min = "1s"

[[rules]]
id = "generous"
requesters = {{ groups = ["identity-store:{developers}", "identity-store:{approvers}"] }}
targets = {{ accounts = {open:?}, permission_sets = [{read_only:?}, {administrator:?}] }}
duration_max = "1h"
provider = "identity_center"
plan = "none"

[[rules]]
id = "agreed"
requesters = {{ groups = ["identity-store:{developers}", "identity-store:{approvers}"] }}
targets = {{ accounts = [{playground:?}], permission_sets = [{read_only:?}, {administrator:?}] }}
duration_max = "1h"
provider = "identity_center"
plan = [{{ count = 1, groups = ["identity-store:{approvers}"] }}]

[[rules]]
id = "deploy"
requesters = {{ groups = ["idp:developers"] }}
targets = {{ accounts = [{payments:?}], roles = ["Deployer"] }}
duration_max = "1h"
provider = "sts"
credential_duration_max = "30m"
plan = "none"
"#,
        developers = groups.developers,
        approvers = groups.approvers,
        payments = accounts.payments_prod,
        playground = accounts.playground,
        read_only = permission_sets.read_only,
        administrator = permission_sets.administrator,
    )
}
