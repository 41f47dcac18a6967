//! A simulated AWS, in memory: every port of this crate with AWS's manners (asynchronous operations, conflicts, limits, refusal
//! of stale signatures) and with faults on demand.
//!
//! INVARIANT: deterministic. Time comes from the clock, waiting is tokio's, ids are counted, maps are ordered. Every call yields
//! before and after its effect, so that a caller can be dropped (crash) on either side of it.

mod account_access;
mod assigned;
mod assignments;
mod behaviour;
mod federation;
pub mod sample;
mod session_denials;
mod session_use;
mod state;
mod sts;

pub use account_access::SimulatedAccountAccess;
pub use behaviour::{Behaviour, Fault, Operation};
pub use session_denials::{DenialFault, SimulatedScps};
pub use session_use::{UnsupportedPolicy, policy_allows};
pub use state::{Call, CallRecord, Change, ChangedBy, KEPT_MAX};
pub use sts::{Session, SimulatedRole};

use crate::{AssignmentKey, AwsError, Contents, DirectorySource, GroupId};
use assigned::Service;
use domain::ports::{Clock, SharedClock};
use domain::{AccountId, Entitlement, RoleArn, Sighting, SignedDuration, TimeSource, Timestamp};
use state::{Admitted, State};
use std::collections::BTreeSet;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};

/// The simulated AWS. Shared by reference (`Arc`); what it holds outlives the callers, as AWS outlives a crashed Daypass.
pub struct SimulatedAws {
    clock: SharedClock,
    state: Mutex<State>,
    /// The clocks of callers, which hear the date of every answer.
    callers: Mutex<Vec<Weak<dyn Clock>>>,
}

impl std::fmt::Debug for SimulatedAws {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("SimulatedAws").field("assignments", &self.assignments()).finish_non_exhaustive()
    }
}

impl SimulatedAws {
    /// An AWS with an empty organisation. `clock` is AWS's own; callers may have others.
    pub fn new(clock: SharedClock, behaviour: Behaviour) -> Self {
        Self { clock, state: Mutex::new(State::new(behaviour)), callers: Mutex::default() }
    }

    /// An AWS with [`sample::organisation`], whose users `issuer` calls by their user names, and [`sample::roles`].
    pub fn with_sample_organisation(clock: SharedClock, behaviour: Behaviour, issuer: &str) -> Self {
        let aws = Self::new(clock, behaviour);
        aws.set_directory(sample::organisation(issuer));
        for (arn, role) in sample::roles() {
            aws.add_role(arn, role);
        }
        aws
    }

    /// Lets `clock` hear the date of every answer from now on, as a caller would, for as long as someone else holds it.
    pub fn tell_time_to(&self, clock: &SharedClock) {
        let mut callers = self.callers.lock().unwrap_or_else(PoisonError::into_inner);
        callers.retain(|caller| caller.strong_count() > 0);
        callers.push(Arc::downgrade(clock));
    }

    /// The clocks of callers, and what each shows now.
    fn asking(&self) -> Vec<(SharedClock, Timestamp)> {
        let callers = self.callers.lock().unwrap_or_else(PoisonError::into_inner);
        let alive = callers.iter().filter_map(Weak::upgrade);
        alive.map(|clock| (Arc::clone(&clock), clock.now())).collect()
    }

    /// Replaces the organisation, as if everything had been changed by its administrators.
    pub fn set_directory(&self, contents: Contents) {
        self.lock().directory = contents;
    }

    /// Changes the organisation.
    pub fn change_directory(&self, change: impl FnOnce(&mut Contents)) {
        change(&mut self.lock().directory);
    }

    /// Adds or replaces a role.
    pub fn add_role(&self, arn: RoleArn, role: SimulatedRole) {
        self.lock().sts.roles.insert(arn, role);
    }

    /// Changes how AWS behaves from now on.
    pub fn set_behaviour(&self, behaviour: Behaviour) {
        self.lock().behaviour = behaviour;
    }

    /// How AWS behaves now.
    pub fn behaviour(&self) -> Behaviour {
        self.lock().behaviour.clone()
    }

    /// From now on each operation on this assignment takes so long, whenever it is called for and however often.
    pub fn takes(&self, key: AssignmentKey, operation_time: SignedDuration) {
        self.lock().times.insert(key, operation_time);
    }

    /// Plants a fault: it strikes the next call of `operation` that no earlier fault strikes.
    pub fn fail_next(&self, operation: Operation, fault: Fault) {
        self.lock().faults.entry(operation).or_default().push_back(fault);
    }

    /// Throttles the next `calls` calls of `operation`.
    pub fn throttle_next(&self, operation: Operation, calls: usize) {
        for _ in 0..calls {
            self.fail_next(operation, Fault::Refused(crate::ErrorKind::Throttled));
        }
    }

    /// Removes all faults that have not struck yet.
    pub fn heal(&self) {
        self.lock().faults.clear();
    }

    /// Makes an assignment that Daypass did not make.
    pub fn standing(&self, key: AssignmentKey) {
        self.change(key, true);
    }

    /// Makes an assignment to a group: whoever is in it stands there.
    pub fn standing_of_group(&self, group: GroupId, account: AccountId, entitlement: Entitlement) {
        self.lock().groups.entry((account, entitlement)).or_default().insert(group);
    }

    /// Removes an assignment behind Daypass's back.
    pub fn remove(&self, key: AssignmentKey) {
        self.change(key, false);
    }

    fn change(&self, key: AssignmentKey, present: bool) {
        let now = self.clock.now();
        let mut state = self.lock();
        state.settle(now);
        state.assigned.change(now, key, present, ChangedBy::Others);
    }

    /// Every assignment that exists now. To an observer, unlike to a caller, nothing is stale and nothing fails.
    pub fn assignments(&self) -> BTreeSet<AssignmentKey> {
        let now = self.clock.now();
        let mut state = self.lock();
        state.settle(now);
        state.assigned.assignments()
    }

    /// Whether an assignment exists now.
    pub fn has(&self, key: &AssignmentKey) -> bool {
        let now = self.clock.now();
        let mut state = self.lock();
        state.settle(now);
        state.assigned.has(key)
    }

    /// Every session that STS has made, oldest first.
    pub fn sessions(&self) -> Vec<Session> {
        self.lock().sts.sessions.values().cloned().collect()
    }

    /// Whether AWS would let the holder of these credentials do `action` at `at`: they are known, have not expired, and their
    /// session policy allows it.
    pub fn session_may(
        &self,
        access_key_id: &str,
        action: &str,
        at: Timestamp,
    ) -> Result<bool, UnsupportedPolicy> {
        let state = self.lock();
        let Some(session) = state.sts.sessions.get(access_key_id) else { return Ok(false) };
        if at < session.issued_at || at >= session.expires_at {
            return Ok(false);
        }
        match session.call.policy() {
            None => Ok(true),
            Some(_) if !session.call.managed_policies().is_empty() => {
                Err(UnsupportedPolicy("what managed policies allow is not known"))
            }
            Some(policy) => policy_allows(policy, action, at),
        }
    }

    /// The calls that have arrived, oldest first; the last [`KEPT_MAX`] are kept.
    pub fn calls(&self) -> Vec<CallRecord> {
        self.lock().calls.iter().cloned().collect()
    }

    /// Takes the calls that have arrived since the last time.
    pub fn take_calls(&self) -> Vec<CallRecord> {
        self.lock().calls.drain(..).collect()
    }

    /// What has come and gone, oldest first, up to now; the last [`KEPT_MAX`] changes are kept.
    pub fn changes(&self) -> Vec<Change> {
        let now = self.clock.now();
        let mut state = self.lock();
        state.settle(now);
        state.assigned.changes.iter().cloned().collect()
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        // A panic of a test in another thread leaves the state as it was: each change is complete under one lock.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The way to AWS or back: half of the latency, and at least one point at which the caller can be interrupted.
    async fn travel(&self) {
        let latency = self.lock().behaviour.latency;
        if latency.is_zero() {
            tokio::task::yield_now().await;
        } else {
            tokio::time::sleep(latency / 2).await;
        }
    }

    /// One call: there, its effect under one lock, and back. `effect` is asked only when the limits of `service` and faults let
    /// the call through.
    async fn call<T>(
        &self,
        service: Option<Service>,
        call: Call,
        effect: impl FnOnce(&mut State, Timestamp, Admitted) -> Result<T, AwsError> + Send,
    ) -> Result<T, AwsError> {
        let asking = self.asking();
        self.travel().await;
        let now = self.clock.now();
        let outcome = {
            let operation = call.operation();
            let mut state = self.lock();
            state.settle(now);
            let outcome = state.admit(service, &call, now).and_then(|admitted| {
                let lost = admitted.answer_lost();
                let answer = effect(&mut state, now, admitted)?;
                if lost { Err(behaviour::lost_answer(operation)) } else { Ok(answer) }
            });
            state.record(CallRecord { at: now, call, error: outcome.as_ref().err().cloned() });
            outcome
        };
        self.travel().await;
        if !outcome.as_ref().is_err_and(AwsError::outcome_unknown) {
            let date = Timestamp::from_second(now.as_second()).unwrap_or(now);
            for (clock, asked_at) in asking {
                clock.compare(&Sighting::http_date(TimeSource::Aws, asked_at, clock.now(), date));
            }
        }
        outcome
    }
}

#[async_trait::async_trait]
impl DirectorySource for SimulatedAws {
    async fn fetch(&self) -> Result<Contents, AwsError> {
        self.call(None, Call::FetchDirectory, |state, _, _| Ok(state.directory.clone())).await
    }
}
