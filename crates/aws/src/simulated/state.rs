//! What the simulated AWS knows, and what it lets through.

use super::assigned::{Assigned, Service};
use super::behaviour::{Behaviour, Fault, Operation, lost_answer, refusal};
use super::sts::StsState;
use crate::{AssignmentKey, AssumeRole, Attempt, AwsError, Contents, ErrorKind, GroupId, OperationId};
use domain::{AccountId, Entitlement, SignedDuration, Timestamp};
use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::sync::Arc;

/// How many calls, changes, finished operations and sessions are kept: a demonstration can run for weeks.
pub const KEPT_MAX: usize = 50_000;

/// A call, as it arrived.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Call {
    /// `Sts::assume_role`.
    AssumeRole(Arc<AssumeRole>),
    /// `Sts::caller_identity`.
    CallerIdentity,
    /// `Assignments::create`.
    Create(AssignmentKey, Attempt),
    /// `Assignments::creation_status`.
    CreationStatus(OperationId),
    /// `Assignments::delete`.
    Delete(AssignmentKey, Attempt),
    /// `Assignments::deletion_status`.
    DeletionStatus(OperationId),
    /// `Assignments::holders` and `find`.
    Holders(AccountId, Entitlement),
    /// `Assignments::held_in`.
    HeldIn(AccountId),
    /// `DirectorySource::fetch`.
    FetchDirectory,
    /// `Federation::sign_in_token`.
    SignIn,
}

impl Call {
    /// Its kind.
    pub const fn operation(&self) -> Operation {
        match self {
            Self::AssumeRole(_) => Operation::AssumeRole,
            Self::CallerIdentity => Operation::CallerIdentity,
            Self::Create(..) => Operation::Create,
            Self::CreationStatus(_) => Operation::CreationStatus,
            Self::Delete(..) => Operation::Delete,
            Self::DeletionStatus(_) => Operation::DeletionStatus,
            Self::Holders(..) | Self::HeldIn(_) => Operation::Holders,
            Self::FetchDirectory => Operation::FetchDirectory,
            Self::SignIn => Operation::SignIn,
        }
    }
}

/// A call, when it arrived, and what it was answered.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CallRecord {
    /// When it arrived.
    pub at: Timestamp,
    /// What was asked.
    pub call: Call,
    /// The error that the caller got, if any.
    pub error: Option<AwsError>,
}

/// Who changed an assignment.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum ChangedBy {
    /// A call through the ports.
    Daypass,
    /// Somebody else ([`super::SimulatedAws::standing`], [`super::SimulatedAws::remove`]).
    Others,
}

/// An assignment came or went.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Change {
    /// When.
    pub at: Timestamp,
    /// Which.
    pub key: AssignmentKey,
    /// Whether it exists from then on.
    pub present: bool,
    /// Who did it.
    pub by: ChangedBy,
}

/// A call that limits and faults let through, with the fault that changes what it does.
pub(super) struct Admitted {
    pub(super) fault: Option<Fault>,
}

impl Admitted {
    /// Whether the caller shall not hear the answer.
    pub(super) fn answer_lost(&self) -> bool {
        matches!(self.fault, Some(Fault::AnswerLost | Fault::ArrivesLater(_)))
    }
}

/// Everything.
pub(super) struct State {
    pub(super) behaviour: Behaviour,
    /// How long operations take of which more is known than of all.
    pub(super) times: BTreeMap<AssignmentKey, SignedDuration>,
    pub(super) faults: BTreeMap<Operation, VecDeque<Fault>>,
    pub(super) calls: VecDeque<CallRecord>,
    pub(super) directory: Contents,
    pub(super) assigned: Assigned,
    pub(super) sts: StsState,
    /// What groups hold.
    pub(super) groups: BTreeMap<(AccountId, Entitlement), BTreeSet<GroupId>>,
    recent: BTreeMap<Service, VecDeque<Timestamp>>,
}

impl State {
    pub(super) fn new(behaviour: Behaviour) -> Self {
        Self {
            behaviour,
            times: BTreeMap::new(),
            faults: BTreeMap::new(),
            calls: VecDeque::new(),
            directory: Contents::default(),
            assigned: Assigned::default(),
            sts: StsState::default(),
            groups: BTreeMap::new(),
            recent: BTreeMap::new(),
        }
    }

    /// Lets everything happen that is due by `now`.
    pub(super) fn settle(&mut self, now: Timestamp) {
        self.assigned.settle(now);
    }

    /// Limits first, then faults, as AWS's front does it.
    pub(super) fn admit(
        &mut self,
        service: Option<Service>,
        call: &Call,
        now: Timestamp,
    ) -> Result<Admitted, AwsError> {
        let operation = call.operation();
        if let Some(service) = service
            && let Some(limit) = self.behaviour.calls_per_second
        {
            let recent = self.recent.entry(service).or_default();
            while recent.front().is_some_and(|at| now.duration_since(*at) >= SignedDuration::from_secs(1)) {
                recent.pop_front();
            }
            if recent.len() >= limit {
                return Err(refusal(ErrorKind::Throttled));
            }
            recent.push_back(now);
        }
        match self.faults.get_mut(&operation).and_then(VecDeque::pop_front) {
            Some(Fault::Refused(ErrorKind::Unknown)) => Err(lost_answer(operation)),
            Some(Fault::Refused(kind)) => Err(refusal(kind)),
            fault => Ok(Admitted { fault }),
        }
    }

    pub(super) fn record(&mut self, record: CallRecord) {
        keep(&mut self.calls, record);
    }
}

/// Appends, and forgets the oldest beyond [`KEPT_MAX`], which it answers.
pub(super) fn keep<T>(list: &mut VecDeque<T>, item: T) -> Option<T> {
    let forgotten = if list.len() >= KEPT_MAX { list.pop_front() } else { None };
    list.push_back(item);
    forgotten
}
