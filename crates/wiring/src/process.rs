//! A process of Daypass: what it sees, who may call it, and what runs beside its server.

use crate::engine::OpenLog;
use crate::{readiness, time_watch};
use aws::{CachedDirectory, DirectorySource, RefreshPace, Sts};
use domain::ports::{SharedClock, SharedEntropy};
use domain::{Groups, LogId, Partition, Person, Sighting, SignedDuration};
use event_log::LogError;
use futures::future::BoxFuture;
use identity::{Authenticator, Caller};
use journal::key_store::{KeyStore, KeyStoreError};
use messaging::BusError;
use projection::{Follower, OpenError, Projection};
use service_runtime::auth::Gate;
use service_runtime::roles::{DirectoryGroups, Roles};
use service_runtime::server::{Bound, Readiness, ServeError, Server};
use service_runtime::trace;
use std::collections::BTreeSet;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::Arc;
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;
use tonic::service::Routes;
use views::{Authorities, PolicyBook, Requests, RequestsModel, Views, who};

/// How old a directory may be by which the gate tells an administrator or an auditor. Decisions use the policy's own limit.
const ROLE_AGE_MAX: SignedDuration = SignedDuration::from_mins(15);

/// What a process is made of.
pub struct Parts {
    /// The log.
    pub log: OpenLog,
    /// Where read models are kept.
    pub folder: PathBuf,
    /// The keys of sealed text.
    pub keys: Arc<dyn KeyStore>,
    /// Where the directory comes from.
    pub directory: Arc<dyn DirectorySource>,
    /// The partition of the organisation, where it is known.
    pub partition: Option<Partition>,
    /// How often it is read.
    pub pace: RefreshPace,
    /// Who is asked for AWS's time, where AWS is called at all.
    pub aws: Option<Arc<dyn Sts>>,
    /// Who recognises callers.
    pub authenticator: Arc<Authenticator>,
    /// Who is what.
    pub roles: Roles,
    /// Who may raise for others.
    pub raisers: BTreeSet<Person>,
    /// The time.
    pub clock: SharedClock,
    /// Chance.
    pub entropy: SharedEntropy,
}

/// What a process does: the calls it answers, and what goes on by itself. The latter ends when told to.
#[derive(Default)]
pub struct Work {
    /// The services.
    pub routes: Routes,
    /// Their full names, for health.
    pub services: Vec<&'static str>,
    /// Read models beside that of requests: while one does not follow the log, the process is not ready.
    pub read_models: Vec<Projection>,
    /// Whether it has something to do that needs no directory, and is ready without one if that does not come for a while.
    pub ready_without_directory: bool,
    /// What runs beside the server; each is made with the token that tells it to end.
    pub background: Vec<BoxFuture<'static, ()>>,
}

/// Why a process does not start, or ended badly.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    /// The log.
    #[error("the log cannot be opened: {0}")]
    Log(#[from] LogError),
    /// The key store.
    #[error(transparent)]
    Keys(#[from] KeyStoreError),
    /// The read models.
    #[error(transparent)]
    ReadModel(#[from] OpenError),
    /// The bus.
    #[error(transparent)]
    Bus(#[from] BusError),
    /// The server.
    #[error(transparent)]
    Serve(#[from] ServeError),
    /// A file or folder.
    #[error("{path}: {error}")]
    File {
        /// Which.
        path: String,
        /// What is wrong with it.
        error: std::io::Error,
    },
    /// Something that a process rests on is not there: waiting may help.
    #[error("{0}")]
    Unavailable(String),
    /// Anything that a program itself found.
    #[error("{0}")]
    Other(String),
}

impl StartError {
    /// Whether the same start may succeed later, with nothing about the process changed.
    pub fn may_pass(&self) -> bool {
        match self {
            Self::Log(LogError::Unavailable(_))
            | Self::Bus(BusError::Unavailable(_))
            | Self::Unavailable(_) => true,
            // Of a file it is not told what is gone from what is wrong.
            Self::Keys(KeyStoreError::Unavailable(_)) => true,
            Self::Keys(KeyStoreError::Unsafe(_) | KeyStoreError::Unusable { .. })
            | Self::Log(LogError::Corrupt(_) | LogError::Unsafe(_))
            | Self::Bus(BusError::Unsafe(_))
            | Self::ReadModel(_)
            | Self::Serve(_)
            | Self::File { .. }
            | Self::Other(_) => false,
        }
    }
}

/// A process that is put together and does not run yet.
pub struct Process {
    /// What its services see.
    pub views: Views,
    /// What every call passes.
    pub gate: Gate,
    log: OpenLog,
    follower: Follower<RequestsModel>,
    aws: Option<Arc<dyn Sts>>,
    authenticator: Arc<Authenticator>,
}

impl Process {
    /// Puts a process together. Reads the log's id, and nothing else of it.
    pub async fn new(parts: Parts) -> Result<Self, StartError> {
        std::fs::create_dir_all(&parts.folder)
            .map_err(|error| StartError::File { path: parts.folder.display().to_string(), error })?;
        let log = Arc::clone(&parts.log.log);
        let (projection, follower) =
            Projection::open(Some(&parts.folder), RequestsModel::default(), Arc::clone(&log))?;
        let clock = Arc::clone(&parts.clock);
        let follower = follower.hearing(move |event| {
            clock.compare(&Sighting::Written { at: event.at });
            // In the trace of the call that caused the event, it is seen when it came to each process.
            drop(trace::caused(journal::types::type_name(&event.fact), event.trace.as_deref()));
        });
        let (clock, entropy) = (parts.clock.clone(), parts.entropy.clone());
        let directory = CachedDirectory::new(parts.directory, clock, entropy, parts.pace);
        let directory = Arc::new(match parts.partition {
            Some(partition) => directory.in_partition(partition),
            None => directory,
        });
        let authorities = Authorities {
            administrators: parts.roles.administrators.clone(),
            auditors: parts.roles.auditors.clone(),
            raisers: parts.raisers,
        };
        let views = Views {
            log_id: LogId::from_uuid(log.id().await?),
            requests: Requests::new(projection),
            policy: Arc::new(PolicyBook::new(Arc::clone(&log))?),
            directory: Arc::clone(&directory),
            keys: parts.keys,
            authorities: Arc::new(authorities),
            clock: parts.clock.clone(),
            entropy: parts.entropy,
            log,
        };
        let groups = Arc::new(GroupsOfDirectory { directory, clock: parts.clock.clone() });
        let gate = Gate::new(parts.authenticator.clone(), parts.roles, parts.clock).with_directory(groups);
        let Parts { log, aws, authenticator, .. } = parts;
        Ok(Self { views, gate, log, follower, aws, authenticator })
    }

    /// Serves `work` at `bound` until `shutdown`; `listening` is told the address. Ready once history is read and, for most work, the
    /// directory known.
    pub async fn run(
        self,
        bound: Bound,
        work: Work,
        shutdown: CancellationToken,
        listening: impl FnOnce(SocketAddr),
    ) -> Result<(), StartError> {
        let readiness = Readiness::new(work.services).await;
        let mut beside = JoinSet::new();
        beside.spawn(self.follower.run(shutdown.clone().cancelled_owned()));
        beside.spawn(refresh(Arc::clone(&self.views.directory), shutdown.clone()));
        beside.spawn(until(shutdown.clone(), keep_keys(self.authenticator)));
        let (clock, log) = (Arc::clone(&self.views.clock), Arc::clone(&self.views.log));
        beside.spawn(until(shutdown.clone(), time_watch::watch(clock, log, self.aws)));
        beside.spawn(until(shutdown.clone(), self.log.watch()));
        let ready = readiness::keep(
            self.views.clone(),
            work.read_models,
            readiness.clone(),
            work.ready_without_directory,
        );
        beside.spawn(until(shutdown.clone(), ready));
        for task in work.background {
            beside.spawn(task);
        }
        listening(bound.address());
        let serving =
            bound.serve(Server { routes: work.routes, gate: self.gate, readiness }, shutdown.clone());
        let outcome = tokio::select! {
            outcome = serving => outcome,
            // A task that ends before it was asked to has failed: the process ends, and is started again from the log.
            () = ended_early(&mut beside, &shutdown) => {
                shutdown.cancel();
                return Err(StartError::Other("a background task ended by itself".into()));
            }
        };
        shutdown.cancel();
        while beside.join_next().await.is_some() {}
        self.log.close().await;
        Ok(outcome?)
    }
}

async fn ended_early(tasks: &mut JoinSet<()>, shutdown: &CancellationToken) {
    loop {
        match tasks.join_next().await {
            Some(Ok(())) if shutdown.is_cancelled() => {}
            // Some have nothing to watch, and are done.
            Some(Ok(())) => {}
            Some(Err(error)) => {
                tracing::error!(%error, "a background task failed");
                return;
            }
            None => std::future::pending::<()>().await,
        }
    }
}

async fn until(shutdown: CancellationToken, work: impl Future<Output = ()>) {
    tokio::select! {
        biased;
        () = shutdown.cancelled() => {}
        () = work => {}
    }
}

async fn refresh(directory: Arc<CachedDirectory>, shutdown: CancellationToken) {
    let warn = |error: &aws::AwsError| tracing::warn!(%error, "the directory could not be read");
    until(shutdown, directory.run(warn)).await;
}

async fn keep_keys(authenticator: Arc<Authenticator>) {
    authenticator.keep_keys_fresh().await;
}

/// Groups for the gate.
struct GroupsOfDirectory {
    directory: Arc<CachedDirectory>,
    clock: SharedClock,
}

impl DirectoryGroups for GroupsOfDirectory {
    fn groups_of(&self, caller: &Caller) -> Groups {
        who::groups_of_caller(&self.directory, caller, self.clock.now(), ROLE_AGE_MAX)
    }
}
