//! Where to go on: after the event that the last message of the bus is about.

use super::{Fault, Relay};
use event_log::Position;
use messaging::Stored;

/// Messages that are looked at, from the last one back. What is strange there is a few strays, or everything: a log that was restored
/// has another id, and none of its events is there under that. Then it begins at the beginning, which repeats what it has told, if
/// strays without end hide it.
const LOOKED_AT_MAX: usize = 10_000;

/// The end of the bus, and the event of the log that it has reached.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Place {
    /// The sequence of the bus's last message, whoever wrote it.
    pub(super) last: u64,
    /// The event that the last message of ours is about; the beginning, when there is none.
    pub(super) position: Position,
}

impl Relay {
    /// Looks at the bus. What others wrote there is passed over; what is there of another log counts as others'.
    pub(super) async fn look(&self) -> Result<Place, Fault> {
        let extent = self.bus.extent().await?;
        let mut strange = 0_u64;
        let mut found = Position::START;
        // While it looks, events wait; where it is not known since when, since now.
        let waiting = self.waiting_since();
        self.note_waiting(waiting.or(Some(self.clock.now())));
        for sequence in (extent.first.max(1)..=extent.last).rev().take(LOOKED_AT_MAX) {
            let Some(message) = self.bus.message(sequence).await? else { continue };
            if let Some(position) = self.position_of(&message).await? {
                found = position;
                break;
            }
            strange += 1;
            self.tell_lag();
        }
        self.note_waiting(waiting);
        if strange > 0 {
            tracing::warn!(strange, "messages on the bus that no relay of this log wrote are passed over");
        }
        Ok(Place { last: extent.last, position: found })
    }

    /// Where the log has the event that a message is about, if the log has it there.
    async fn position_of(&self, message: &Stored) -> Result<Option<Position>, Fault> {
        let Some(origin) = message.origin.filter(|origin| origin.log_id == *self.log_id.as_uuid()) else {
            return Ok(None);
        };
        let position = Position(origin.position);
        let there = self.log.event_at(position).await?;
        Ok(there.filter(|event| event.envelope.event_id == origin.event_id).map(|_| position))
    }
}
