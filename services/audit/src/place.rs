//! Places in history: a position, or an instant, to a position of this log.

use crate::AuditService;
use api::audit::v1::{Place, place};
use event_log::{LogError, Position};
use projection::ReadError;
use tonic::{Code, Status};
use views::refusal;

/// The positions `(after, to]` of the log.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Range {
    pub(crate) after: Position,
    pub(crate) to: Position,
}

impl AuditService {
    /// Waits for the place that the caller has seen elsewhere, if there is one.
    pub(crate) async fn wait_for_position(&self, token: &str) -> Result<(), Status> {
        match self.views.awaited(token)? {
            Some(position) => self.wait_for(position).await,
            None => Ok(()),
        }
    }

    async fn wait_for(&self, position: Position) -> Result<(), Status> {
        views::position::reach(self.events.projection(), position).await
    }

    /// What the log holds now, and the index as well.
    pub(crate) async fn reach_head(&self) -> Result<Position, Status> {
        let head = self.head().await?;
        self.wait_for(head).await?;
        Ok(head)
    }

    /// The last position of the log now.
    pub(crate) async fn head(&self) -> Result<Position, Status> {
        self.views.log.head().await.map_err(log_status)
    }

    /// From just behind `from` up to and with the event at `to`, as things are now.
    pub(crate) async fn range(&self, from: Option<&Place>, to: Option<&Place>) -> Result<Range, Status> {
        let head = self.head().await?;
        let to = match to {
            None => head,
            Some(to) => self.place("to", to, head).await?,
        };
        let after = match from {
            None => Position::START,
            Some(from) => self.place("from", from, head).await?,
        };
        if after > to {
            return Err(refusal::field("from", "must not be after `to`"));
        }
        Ok(Range { after, to })
    }

    /// The position of one place. `head` is the log's.
    pub(crate) async fn place(&self, name: &str, place: &Place, head: Position) -> Result<Position, Status> {
        match &place.place {
            Some(place::Place::Position(token)) => {
                let position = self.views.position(&format!("{name}.position"), token)?;
                if position > head {
                    return Err(refusal::field(format!("{name}.position"), "is not in the log"));
                }
                Ok(position)
            }
            Some(place::Place::Time(time)) => {
                // An event of before that instant may be the newest of the log.
                self.wait_for(head).await?;
                let found = self.events.place_before(milliseconds(&format!("{name}.time"), time)?);
                Ok(found.map_err(|error| read_status(&error))?.min(head))
            }
            None => Err(refusal::field(name, "must say a position or a time")),
        }
    }
}

/// The first whole millisecond at or after an instant: events have whole ones, so the same are before both.
pub(crate) fn milliseconds(name: &str, time: &prost_types::Timestamp) -> Result<i64, Status> {
    let up = i64::from(time.nanos % 1_000_000 > 0);
    let at = views::wire::read_time(time).map_err(refusal::invalid(name))?;
    Ok(at.as_millisecond() + up)
}

/// Why the index has no answer.
pub(crate) fn read_status(error: &ReadError) -> Status {
    tracing::warn!(%error, "the index of events cannot be read");
    refusal::unavailable("READ_MODEL_UNAVAILABLE", "the index of events cannot be read")
}

/// Why the log has no answer.
pub(crate) fn log_status(error: LogError) -> Status {
    match error {
        LogError::Unavailable(why) | LogError::Unsafe(why) => {
            tracing::warn!(why, "the log cannot be read");
            refusal::unavailable("LOG_UNAVAILABLE", "the log cannot be read now")
        }
        LogError::Corrupt(why) => {
            tracing::error!(why, "the log is damaged");
            refusal::with_reason(Code::DataLoss, "HISTORY_DAMAGED", "the log is damaged")
        }
    }
}
