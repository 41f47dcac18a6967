//! The service control policies of a simulated AWS.

use super::assignments::check_signature;
use crate::session_denials::{IN_USE, Merged, POLICIES_MAX, merged, policy_name, says_exactly, statements};
use crate::{Attempt, AwsError, DeniedSessions, ErrorKind, SessionDenials};
use domain::ports::SharedClock;
use domain::{AccountId, SignedDuration, Timestamp};
use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::sync::{Mutex, MutexGuard, PoisonError};

/// What goes wrong with a call.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum DenialFault {
    /// It is refused.
    Refused(ErrorKind),
    /// It takes effect, and its answer is lost.
    AnswerLost,
}

#[derive(Default)]
struct State {
    /// By account: policies by name.
    attached: BTreeMap<AccountId, BTreeMap<String, String>>,
    /// Policies by name that are attached to no account of this organisation, or only where others have attached them.
    detached: BTreeMap<String, String>,
    /// Names of policies that others have attached to something else as well.
    elsewhere: BTreeSet<String>,
    /// Accounts that are not in the organisation any more.
    left: BTreeSet<AccountId>,
    faults: VecDeque<DenialFault>,
    /// How every call is refused.
    refused: Option<ErrorKind>,
    writes: Vec<(Timestamp, AccountId, Option<String>)>,
}

/// Service control policies, in memory. INVARIANT: deterministic.
pub struct SimulatedScps {
    clock: SharedClock,
    signature_skew_max: SignedDuration,
    state: Mutex<State>,
}

impl std::fmt::Debug for SimulatedScps {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("SimulatedScps").finish_non_exhaustive()
    }
}

impl SimulatedScps {
    /// An organisation without such policies. `clock` is AWS's own.
    pub fn new(clock: SharedClock, signature_skew_max: SignedDuration) -> Self {
        Self { clock, signature_skew_max, state: Mutex::default() }
    }

    /// Plants a fault for the next change.
    pub fn fail_next(&self, fault: DenialFault) {
        self.lock().faults.push_back(fault);
    }

    /// Refuses every call from now on, reading ones as well.
    pub fn refuse(&self, kind: ErrorKind) {
        self.lock().refused = Some(kind);
    }

    /// Removes all faults that have not struck yet, and refuses nothing any more.
    pub fn heal(&self) {
        let mut state = self.lock();
        state.refused = None;
        state.faults.clear();
    }

    /// Others write a policy of an account, of whatever name; not of one that has left.
    pub fn write(&self, account: &AccountId, name: &str, document: &str) {
        let mut state = self.lock();
        if state.left.contains(account) {
            return;
        }
        state.attached.entry(account.clone()).or_default().insert(name.to_owned(), document.to_owned());
    }

    /// An account leaves the organisation: its policies stay there, and are not attached to it any more.
    pub fn leave(&self, account: &AccountId) {
        let mut state = self.lock();
        let policies = state.attached.remove(account).unwrap_or_default();
        state.detached.extend(policies);
        state.left.insert(account.clone());
    }

    /// An account that has left comes back, without the policies that it had.
    pub fn join(&self, account: &AccountId) {
        self.lock().left.remove(account);
    }

    /// Whether an account has left the organisation.
    pub fn has_left(&self, account: &AccountId) -> bool {
        self.lock().left.contains(account)
    }

    /// Others attach Daypass's policy of an account to something else as well.
    pub fn attach_elsewhere(&self, account: &AccountId) {
        self.lock().elsewhere.insert(policy_name(account));
    }

    /// What Daypass's policy of an account says that is there, and not attached to the account.
    pub fn detached(&self, account: &AccountId) -> Option<String> {
        self.lock().detached.get(&policy_name(account)).cloned()
    }

    /// What Daypass's policy of an account says now.
    pub fn document(&self, account: &AccountId) -> Option<String> {
        self.lock().attached.get(account)?.get(&policy_name(account)).cloned()
    }

    /// Every change that took effect: when, where, and what the policy said from then on.
    pub fn writes(&self) -> Vec<(Timestamp, AccountId, Option<String>)> {
        self.lock().writes.clone()
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn not_in_organisation() -> AwsError {
    AwsError::new(ErrorKind::NotFound, "TargetNotFoundException", "the account is not in the organisation")
}

fn check_refused(state: &State) -> Result<(), AwsError> {
    state.refused.map_or(Ok(()), |kind| Err(AwsError::new(kind, "Planted", "planted")))
}

#[async_trait::async_trait]
impl SessionDenials for SimulatedScps {
    async fn deny(
        &self,
        account: &AccountId,
        sessions: &BTreeSet<DeniedSessions>,
        attempt: Attempt,
    ) -> Result<(), AwsError> {
        attempt.check(self.clock.now())?;
        tokio::task::yield_now().await;
        let now = self.clock.now();
        let answer = {
            let mut locked = self.lock();
            let state = &mut *locked;
            check_refused(state)?;
            let fault = state.faults.pop_front();
            if let Some(DenialFault::Refused(kind)) = fault {
                return Err(AwsError::new(kind, "Planted", "planted"));
            }
            check_signature(attempt.signed_at, now, self.signature_skew_max)?;
            let name = policy_name(account);
            if state.left.contains(account) && !sessions.is_empty() {
                return Err(not_in_organisation());
            }
            let policies = state.attached.entry(account.clone()).or_default();
            let attached = policies.contains_key(&name);
            let existing = policies.get(&name).or_else(|| state.detached.get(&name)).cloned();
            let written = match merged(existing.as_deref(), &statements(account, sessions))? {
                Merged::Nothing if state.elsewhere.contains(&name) => {
                    if let Some(document) = policies.remove(&name) {
                        state.detached.insert(name, document);
                        state.writes.push((now, account.clone(), None));
                    }
                    return Err(AwsError::new(
                        ErrorKind::Invalid,
                        IN_USE,
                        "the policy is attached to r-0001 as well",
                    ));
                }
                Merged::Nothing => {
                    policies.remove(&name);
                    state.detached.remove(&name);
                    None
                }
                // It is of others alone, and they do not want it to be in force.
                Merged::Document(_) if sessions.is_empty() && !attached => return Ok(()),
                Merged::Document(_) if !attached && policies.len() >= POLICIES_MAX => {
                    return Err(AwsError::new(
                        ErrorKind::Invalid,
                        "TooManyPolicies",
                        "the account has as many policies as AWS allows",
                    ));
                }
                Merged::Document(document) => {
                    state.detached.remove(&name);
                    policies.insert(name, document.clone());
                    Some(document)
                }
            };
            state.writes.push((now, account.clone(), written));
            match fault {
                Some(DenialFault::AnswerLost) => {
                    Err(AwsError::new(ErrorKind::Unknown, "Timeout", "no answer came"))
                }
                Some(DenialFault::Refused(_)) | None => Ok(()),
            }
        };
        tokio::task::yield_now().await;
        answer
    }

    async fn denies_exactly(
        &self,
        account: &AccountId,
        sessions: &BTreeSet<DeniedSessions>,
    ) -> Result<bool, AwsError> {
        tokio::task::yield_now().await;
        check_refused(&self.lock())?;
        if self.has_left(account) {
            return Err(not_in_organisation());
        }
        says_exactly(self.document(account).as_deref(), &statements(account, sessions))
    }
}
