//! The service control policies of a simulated AWS.

use super::assignments::check_signature;
use crate::session_denials::{Merged, POLICIES_MAX, merged, policy_name, says_exactly, statements};
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

    /// Others write a policy of an account, of whatever name.
    pub fn write(&self, account: &AccountId, name: &str, document: &str) {
        let mut state = self.lock();
        state.attached.entry(account.clone()).or_default().insert(name.to_owned(), document.to_owned());
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
            let mut state = self.lock();
            check_refused(&state)?;
            let fault = state.faults.pop_front();
            if let Some(DenialFault::Refused(kind)) = fault {
                return Err(AwsError::new(kind, "Planted", "planted"));
            }
            check_signature(attempt.signed_at, now, self.signature_skew_max)?;
            let name = policy_name(account);
            let policies = state.attached.entry(account.clone()).or_default();
            let existing = policies.get(&name).cloned();
            let written = match merged(existing.as_deref(), &statements(account, sessions))? {
                Merged::Nothing => {
                    policies.remove(&name);
                    None
                }
                Merged::Document(_) if existing.is_none() && policies.len() >= POLICIES_MAX => {
                    return Err(AwsError::new(
                        ErrorKind::Invalid,
                        "TooManyPolicies",
                        "the account has as many policies as AWS allows",
                    ));
                }
                Merged::Document(document) => {
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
        says_exactly(self.document(account).as_deref(), &statements(account, sessions))
    }
}
