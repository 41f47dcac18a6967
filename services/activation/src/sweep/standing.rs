//! What others made and is there by its ledger: once it is surely gone, that is noted, so that it is told again when it comes back.
//!
//! Nobody looks at each of them, for there may be very many: what a whole list of their place lacks is gone.

use super::Followed;
use super::places::Place;
use crate::core::Core;
use crate::fault::Fault;
use domain::Timestamp;
use journal::{Event, Fact};
use lifecycle::assignment::{AssignmentEvent, AssignmentKey, Ledger, Presence};
use std::collections::BTreeSet;

/// What a look at one place of the organisation found.
pub(crate) struct Listed {
    /// What users hold there.
    pub(crate) held: Vec<AssignmentKey>,
    /// When that was asked for.
    pub(crate) looked_at: Timestamp,
    /// The place, if AWS told all that is held there: what is not in the list was not there.
    pub(super) whole: Option<Place>,
}

impl Listed {
    /// Nobody tells what is there.
    pub(super) const fn untold(looked_at: Timestamp) -> Self {
        Self { held: Vec::new(), looked_at, whole: None }
    }
}

impl Followed {
    pub(super) fn note_standing(&mut self, stream: &str, event: &Event, ledger: Option<&Ledger>) {
        match &event.fact {
            Fact::Assignment(AssignmentEvent::StandingFound { key }) => {
                if ledger.is_some_and(|ledger| ledger.presence == Presence::Standing) {
                    self.standing.insert(stream.to_owned(), key.clone());
                }
            }
            Fact::Assignment(
                AssignmentEvent::Adopted { .. }
                | AssignmentEvent::DriftFound { present: false }
                | AssignmentEvent::Attempted { .. }
                | AssignmentEvent::Confirmed { .. }
                | AssignmentEvent::Abandoned { .. },
            ) => {
                self.standing.remove(stream);
            }
            Fact::Assignment(
                AssignmentEvent::DriftFound { present: true }
                | AssignmentEvent::AttemptAbandoned { .. }
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
    /// What ledgers call others' at a place, and a list of it lacks. A list that may not be whole tells of none.
    pub(crate) async fn gone_from(&self, listed: &Listed) -> Result<Vec<AssignmentKey>, Fault> {
        let Some(place) = &listed.whole else { return Ok(Vec::new()) };
        let held: BTreeSet<&AssignmentKey> = listed.held.iter().collect();
        let followed = self.follow_ledgers().await?;
        let gone = followed.standing.values().filter(|key| place.has(&key.target) && !held.contains(*key));
        Ok(gone.cloned().collect())
    }

    /// Notes that it is gone, as far as the list proves it.
    pub(super) async fn note_gone(&self, listed: &Listed) -> Result<(), Fault> {
        for key in self.gone_from(listed).await? {
            if let Err(fault) = self.note_missing(&key, listed.looked_at).await {
                tracing::warn!(target = %key.target, principal = %key.principal, %fault, "what is gone cannot be noted");
            }
        }
        Ok(())
    }
}
