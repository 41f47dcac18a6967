//! What was found in AWS that a restored log did not know, and is neither adopted nor seen to be gone: told, and looked at again.

use super::Followed;
use super::places::Place;
use crate::core::Core;
use crate::fault::Fault;
use journal::{Event, Fact};
use lifecycle::assignment::{AssignmentEvent, AssignmentKey, Ledger, Presence};
use std::collections::BTreeSet;

impl Followed {
    pub(super) fn note_unknown(&mut self, stream: &str, event: &Event, ledger: Option<&Ledger>) {
        match &event.fact {
            Fact::Assignment(AssignmentEvent::StandingFound { key }) => {
                if self.unswept && ledger.is_some_and(|ledger| ledger.presence == Presence::Standing) {
                    self.unknown.insert(stream.to_owned(), key.clone());
                }
            }
            Fact::Assignment(
                AssignmentEvent::Adopted { .. }
                | AssignmentEvent::DriftFound { .. }
                | AssignmentEvent::Attempted { .. }
                | AssignmentEvent::Confirmed { .. }
                | AssignmentEvent::Abandoned { .. },
            ) => {
                self.unknown.remove(stream);
            }
            Fact::Assignment(
                AssignmentEvent::AttemptAbandoned { .. }
                | AssignmentEvent::Failed { .. }
                | AssignmentEvent::AbandonAsked { .. },
            )
            | Fact::Request(_)
            | Fact::Denial(_)
            | Fact::Policy(_)
            | Fact::Duty(_)
            | Fact::Signal(_)
            | Fact::Person(_)
            | Fact::Log(_) => {}
        }
    }
}

impl Core {
    /// Tells how much that is. Every replica knows it from the log, so it is told also after whoever found it is gone.
    pub(crate) async fn tell_unknown(&self) -> Result<(), Fault> {
        let unknown = self.follow_ledgers().await?.unknown.len();
        self.meters.unknown(u64::try_from(unknown).unwrap_or(u64::MAX));
        Ok(())
    }

    /// Looks again at what of it is not among what is held at its place: somebody may have removed it, and where AWS lists no place
    /// as a whole nobody else looks at it.
    pub(super) async fn inspect_unknown(
        &self,
        place: &Place,
        held: &BTreeSet<AssignmentKey>,
    ) -> Result<(), Fault> {
        let unknown: Vec<AssignmentKey> = self.follow_ledgers().await?.unknown.values().cloned().collect();
        for key in unknown.iter().filter(|key| place.has(&key.target) && !held.contains(*key)) {
            if let Err(fault) = self.inspect(key).await {
                tracing::warn!(target = %key.target, principal = %key.principal, %fault, "whether what is unknown is gone cannot be told");
            }
        }
        Ok(())
    }
}
