//! The policy in force, read from its stream before every decision: a change that was acknowledged anywhere counts here, as soon as the
//! engine's reads show it.

use aws::Directory;
use command::Aggregate as _;
use command::aggregate::PolicyAggregate;
use domain::{EventId, RuleId};
use event_log::{EventLog, LogError, Revision, StreamName};
use futures::TryStreamExt as _;
use journal::{DecodeError, Stream};
use lifecycle::state::Identities;
use policy::{Compiled, PolicyState};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use tokio::sync::Mutex;

/// A policy that is in force, ready to be asked.
#[derive(Debug)]
pub struct InForce {
    /// The event that applied it; decisions record this.
    pub event: EventId,
    /// The compiled policy.
    pub compiled: Compiled,
    /// Everything that is known of how it came about.
    pub state: PolicyState,
}

impl InForce {
    /// Whether the human behind `identities` is who last changed what `rule` decides: under any of these identities, or one that
    /// `directory` knows to be the same user. Such a person needs another's approval to use it.
    pub fn wrote(&self, rule: &RuleId, identities: &Identities, directory: Option<&Directory>) -> bool {
        self.state.authors().get(rule).is_some_and(|author| {
            let looked_up = directory.and_then(|directory| {
                let (issuer, subject) = (author.person.issuer.as_str(), author.person.subject.as_str());
                directory.user_by_external_id(issuer, subject).ok()
            });
            identities.same_as(&author.person, author.principal.as_ref().or(looked_up))
        })
    }
}

/// Why there is no policy to decide by.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum PolicyUnknown {
    /// None was ever applied: nothing is allowed.
    #[error("no policy has been applied yet")]
    NeverApplied,
    /// The log could not be read.
    #[error(transparent)]
    Log(#[from] LogError),
    /// A policy event cannot be decoded: no new decisions until it can.
    #[error("a policy event cannot be read: {0}")]
    Undecodable(#[from] DecodeError),
    /// What was applied does not compile on this release.
    #[error("the policy cannot be used: {0}")]
    Unusable(String),
}

#[derive(Default)]
struct Seen {
    revision: Option<Revision>,
    state: Option<PolicyState>,
    in_force: Option<Arc<InForce>>,
    /// How many calls had begun when the log was last read to its end: what it held then is news enough for them.
    answers: u64,
}

/// Reads the policy stream, and keeps what it has read. Calls that wait for each other share one reading.
pub struct PolicyBook {
    log: Arc<dyn EventLog>,
    stream: StreamName,
    calls: AtomicU64,
    seen: Mutex<Seen>,
}

impl std::fmt::Debug for PolicyBook {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("PolicyBook").finish_non_exhaustive()
    }
}

impl PolicyBook {
    /// A book over the policy stream of `log`.
    pub fn new(log: Arc<dyn EventLog>) -> Result<Self, LogError> {
        let stream =
            Stream::Policy.to_string().parse().map_err(|_| LogError::Corrupt("policy stream name".into()))?;
        Ok(Self { log, stream, calls: AtomicU64::default(), seen: Mutex::default() })
    }

    /// The policy in force, having seen every change that was acknowledged before the call, as far as the engine's reads see what was
    /// acknowledged: on a JetStream cluster a leader that was just replaced may be two seconds behind (ADR 14). An append to a request
    /// does not notice that, for it names no revision of the policy.
    pub async fn current(&self) -> Result<Arc<InForce>, PolicyUnknown> {
        let call = self.calls.fetch_add(1, Ordering::SeqCst);
        let mut seen = self.seen.lock().await;
        if call >= seen.answers {
            let begun = self.calls.load(Ordering::SeqCst);
            self.read_on(&mut seen).await?;
            seen.answers = begun;
        }
        if let Some(in_force) = &seen.in_force {
            return Ok(Arc::clone(in_force));
        }
        let state = seen.state.clone().ok_or(PolicyUnknown::NeverApplied)?;
        let (event, policy) = state.applied().ok_or(PolicyUnknown::NeverApplied)?;
        let compiled =
            Compiled::new(policy.clone()).map_err(|error| PolicyUnknown::Unusable(error.to_string()))?;
        let in_force = Arc::new(InForce { event, compiled, state });
        seen.in_force = Some(Arc::clone(&in_force));
        Ok(in_force)
    }

    /// Takes up what the log holds beyond `seen`.
    async fn read_on(&self, seen: &mut Seen) -> Result<(), PolicyUnknown> {
        let mut news = self.log.read_stream(&self.stream, seen.revision);
        while let Some(recorded) = news.try_next().await? {
            let envelope = &recorded.envelope;
            let event = journal::decode_recorded(
                self.stream.as_str(),
                &envelope.event_id,
                envelope.writer.as_str(),
                &envelope.body,
            )?;
            let state = PolicyAggregate::evolve(seen.state.clone(), &event);
            seen.state = state;
            seen.revision = Some(recorded.revision);
            seen.in_force = None;
        }
        Ok(())
    }
}
