//! A company with its directory, its policy and its people; requests that were raised; replicas of the service.

mod company;
mod others;

pub(crate) use company::{ISSUER, add_user, administrator, caller, hours, human, person, with_groups};

use api::approval::v1::approval_service_client::ApprovalServiceClient;
use api::approval::v1::policy_service_client::PolicyServiceClient;
use api::approval::v1::{ApproveRequest, ApproveResponse, RejectRequest, RejectResponse};
use approval::ApprovalService;
use aws::simulated::{Behaviour, SimulatedAws};
use aws::{CachedDirectory, Contents, RefreshPace};
use company::{Counting, Tokens, TokioClock, start};
use domain::{GroupRef, LogId, RequestId, Sighting, SignedDuration, TimeSource};
use event_log::memory::MemoryLog;
use identity::Caller;
use journal::key_store::MemoryKeyStore;
use lifecycle::state::Status;
use service_runtime::{Gate, Guarded, Roles};
use std::collections::BTreeSet;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;
use tonic::{Code, Response};
use tonic_types::StatusExt as _;
use views::clock_health::SKEW_MAX;
use views::{Authorities, PolicyBook, Requests, RequestsModel, Story, Views, WatchedClock};

/// One approver for reading in production, nobody for reading in development.
pub(crate) const POLICY: &str = r#"
[[rules]]
id = "prod-read"
duration_max = "8h"
provider = "identity_center"
plan = [{ count = 1, groups = ["identity-store:approvers"] }]
requesters = { groups = ["identity-store:developers", "identity-store:approvers"] }
targets = { ous = ["ou-dayp-production"], permission_sets = ["arn:aws:sso:::permissionSet/ssoins-1111111111111111/ps-1111111111111111"] }

[[rules]]
id = "dev-read"
duration_max = "8h"
provider = "identity_center"
plan = "none"
requesters = { groups = ["identity-store:developers"] }
targets = { ous = ["ou-dayp-development"], permission_sets = ["arn:aws:sso:::permissionSet/ssoins-1111111111111111/ps-1111111111111111"] }
"#;

/// What outlives a process.
#[derive(Clone)]
pub(crate) struct Outside {
    pub(crate) log: MemoryLog,
    pub(crate) aws: Arc<SimulatedAws>,
    clock: Arc<TokioClock>,
    keys: Arc<MemoryKeyStore>,
    entropy: Arc<Counting>,
    log_id: LogId,
}

/// One replica.
pub(crate) struct House {
    pub(crate) outside: Outside,
    pub(crate) views: Views,
    pub(crate) service: ApprovalService,
    tokens: Arc<Tokens>,
    guarded: Guarded,
    keys: AtomicU64,
    following: tokio_util::sync::DropGuard,
}

impl Outside {
    pub(crate) fn new() -> Self {
        let clock = Arc::new(TokioClock { from: start(), since: Instant::now() });
        let aws = SimulatedAws::with_sample_organisation(clock.clone(), Behaviour::default(), ISSUER);
        aws.change_directory(|contents| {
            add_user(contents, 1, "frank", &["approvers"]);
            add_user(contents, 2, "grace", &["security"]);
            add_user(contents, 3, "heidi", &["approvers", "security"]);
        });
        let entropy = Arc::new(Counting(AtomicU64::new(0)));
        let log_id = LogId::from_parts([b"test".as_slice()]);
        Self {
            log: MemoryLog::with_id(*log_id.as_uuid()),
            aws: Arc::new(aws),
            clock,
            keys: Arc::new(MemoryKeyStore::new(entropy.clone())),
            entropy,
            log_id,
        }
    }

    /// A replica that starts now.
    pub(crate) async fn start(&self) -> House {
        let log = Arc::new(self.log.clone());
        let (projection, follower) =
            projection::Projection::open(None, RequestsModel::default(), log.clone()).unwrap();
        let following = CancellationToken::new();
        tokio::spawn(follower.run(following.clone().cancelled_owned()));
        projection.caught_up().await;
        let directory = CachedDirectory::new(
            self.aws.clone(),
            self.clock.clone(),
            self.entropy.clone(),
            RefreshPace::default(),
        );
        directory.refresh().await.unwrap();
        let administrators = BTreeSet::from([GroupRef::new("corp", "admins").unwrap()]);
        let views = Views {
            log: log.clone(),
            log_id: self.log_id,
            requests: Requests::new(projection),
            policy: Arc::new(PolicyBook::new(log).unwrap()),
            directory: Arc::new(directory),
            keys: self.keys.clone(),
            authorities: Arc::new(Authorities {
                administrators: administrators.clone(),
                ..Authorities::default()
            }),
            clock: Arc::new(WatchedClock::new(self.clock.clone(), SKEW_MAX)),
            entropy: self.entropy.clone(),
        };
        let tokens = Arc::new(Tokens::default());
        let roles = Roles { administrators, ..Roles::default() };
        let gate = Gate::new(tokens.clone(), roles, self.clock.clone());
        let service = ApprovalService::new(views.clone());
        House {
            guarded: Guarded::new(service.routes(), &gate, Duration::from_mins(1)),
            outside: self.clone(),
            views,
            service,
            tokens,
            keys: AtomicU64::new(0),
            following: following.drop_guard(),
        }
    }
}

impl House {
    /// One replica, with [`POLICY`] in force.
    pub(crate) async fn new() -> Self {
        Self::with_policy(POLICY).await
    }

    pub(crate) async fn with_policy(policy: &str) -> Self {
        let house = Outside::new().start().await;
        house.service.seed(policy, human(person("root"))).await.unwrap();
        house
    }

    pub(crate) fn request<T>(&self, caller: &Caller, message: T) -> tonic::Request<T> {
        let mut request = tonic::Request::new(message);
        let token = format!("Bearer {}", self.tokens.give(caller.clone()));
        request.metadata_mut().insert("authorization", token.parse().unwrap());
        request
    }

    pub(crate) fn approvals(&self) -> ApprovalServiceClient<Guarded> {
        ApprovalServiceClient::new(self.guarded.clone())
    }

    pub(crate) fn policies(&self) -> PolicyServiceClient<Guarded> {
        PolicyServiceClient::new(self.guarded.clone())
    }

    /// A key that was not used before.
    pub(crate) fn key(&self) -> String {
        format!("key-{}", self.keys.fetch_add(1, Ordering::Relaxed))
    }

    pub(crate) async fn approve(
        &self,
        caller: &Caller,
        id: RequestId,
    ) -> Result<ApproveResponse, tonic::Status> {
        self.approve_with(caller, id, &self.key()).await
    }

    pub(crate) async fn approve_with(
        &self,
        caller: &Caller,
        id: RequestId,
        key: &str,
    ) -> Result<ApproveResponse, tonic::Status> {
        let message = ApproveRequest {
            idempotency_key: key.to_owned(),
            request_id: id.to_string(),
            comment: "looks fine".to_owned(),
        };
        self.approvals().approve(self.request(caller, message)).await.map(Response::into_inner)
    }

    pub(crate) async fn reject(
        &self,
        caller: &Caller,
        id: RequestId,
    ) -> Result<RejectResponse, tonic::Status> {
        let message = RejectRequest {
            idempotency_key: self.key(),
            request_id: id.to_string(),
            comment: "not today".to_owned(),
        };
        self.approvals().reject(self.request(caller, message)).await.map(Response::into_inner)
    }

    /// AWS answers at once, with a date that is so far ahead of our clock.
    pub(crate) fn aws_is_ahead(&self, by: SignedDuration) {
        let now = self.views.clock.now();
        self.views.clock.compare(&Sighting::http_date(TimeSource::Aws, now, now, now + by));
    }

    /// Changes the organisation, and reads it again.
    pub(crate) async fn reorganise(&self, change: impl FnOnce(&mut Contents)) {
        self.outside.aws.change_directory(change);
        self.views.directory.refresh().await.unwrap();
    }

    /// Waits until the read model shows everything.
    pub(crate) async fn seen(&self) {
        self.views.requests.projection().reach_head().await.unwrap();
    }

    pub(crate) async fn story(&self, id: RequestId) -> Story {
        self.seen().await;
        self.views.requests.get(&id).unwrap().unwrap()
    }

    pub(crate) async fn status(&self, id: RequestId) -> Status {
        self.story(id).await.request.status()
    }

    /// Runs the processes until the request has this status; at most for a simulated week.
    pub(crate) async fn run_until(&self, id: RequestId, status: Status) {
        let shutdown = CancellationToken::new();
        let reached = async {
            let mut changes = self.views.requests.projection().changes();
            while self.status(id).await != status {
                changes.changed().await.unwrap();
            }
        };
        tokio::select! {
            biased;
            () = self.service.run(shutdown.clone()) => panic!("the processes ended"),
            reached = tokio::time::timeout(Duration::from_hours(7 * 24), reached) => reached.unwrap(),
        }
    }

    /// Runs the processes for a while.
    pub(crate) async fn run_for(&self, duration: Duration) {
        let shutdown = CancellationToken::new();
        tokio::select! {
            biased;
            () = self.service.run(shutdown.clone()) => panic!("the processes ended"),
            () = tokio::time::sleep(duration) => {}
        }
    }

    /// The read model follows the log no more.
    pub(crate) async fn fall_behind(self) -> Self {
        let Self { outside, views, service, tokens, guarded, keys, following } = self;
        drop(following);
        tokio::task::yield_now().await;
        let following = CancellationToken::new().drop_guard();
        Self { outside, views, service, tokens, guarded, keys, following }
    }

    /// How many events there are.
    pub(crate) fn events(&self) -> usize {
        self.outside.log.recorded().len()
    }
}

/// Code and reason of a refusal.
pub(crate) fn refusal<T: std::fmt::Debug>(result: Result<T, tonic::Status>) -> (Code, String) {
    let status = result.unwrap_err();
    let reason = status.get_details_error_info().map(|info| info.reason).unwrap_or_default();
    (status.code(), reason)
}

pub(crate) fn because(code: Code, reason: &str) -> (Code, String) {
    (code, reason.to_owned())
}

/// Lets simulated time pass, beyond the age at which the directory counts as too old.
pub(crate) async fn directory_ages() {
    tokio::time::sleep(Duration::from_hours(1)).await;
}
