//! Position tokens: "your answer is true at, or after, here". Opaque to callers; bound to one log. And how long anybody waits
//! until a read model is there, with the one answer for when it is not.

use crate::refusal;
use domain::LogId;
use event_log::Position;
use projection::Projection;
use std::time::Duration;
use tonic::Status;

/// How long the answer to a command waits for the read model to show it: longer than it ever lags when it is well. After that
/// the answer is what is known.
pub const SHOWN_WITHIN: Duration = Duration::from_secs(2);

/// How long a query waits for the position that its caller names, and a decision for the head of the log. A caller with less
/// patience has a deadline.
pub const REACHED_WITHIN: Duration = Duration::from_secs(5);

/// Waits until `projection` has come to `position`; not for ever.
pub async fn reach(projection: &Projection, position: Position) -> Result<(), Status> {
    tokio::time::timeout(REACHED_WITHIN, projection.wait_for(position)).await.map_err(|_| not_reached())
}

/// The read model is not yet where it must be for an answer.
pub fn not_reached() -> Status {
    refusal::unavailable("POSITION_NOT_REACHED", "the read model has not come that far yet")
}

/// A place in one log, as text: 12 digits of the log's id, a dot, the position.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PositionToken {
    log: LogId,
    position: Position,
}

/// Why a token means nothing here.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum TokenError {
    /// It is not a token.
    #[error("must be a position that Daypass gave")]
    Malformed,
    /// It is of another log.
    #[error("is a position in another log")]
    OtherLog,
}

impl PositionToken {
    /// A token for a place in `log`.
    pub fn new(log: LogId, position: Position) -> Self {
        Self { log, position }
    }

    /// The place that `text` names, if it is one of `log`.
    pub fn read(text: &str, log: LogId) -> Result<Position, TokenError> {
        let (mark, position) = text.split_once('.').ok_or(TokenError::Malformed)?;
        let position = position.parse().map(Position).map_err(|_| TokenError::Malformed)?;
        if mark == Self::mark(log) { Ok(position) } else { Err(TokenError::OtherLog) }
    }

    fn mark(log: LogId) -> String {
        domain::hex(log.as_bytes()).chars().take(12).collect()
    }
}

impl std::fmt::Display for PositionToken {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}.{}", Self::mark(self.log), self.position.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_token_is_read_back_and_refused_by_another_log() {
        let log = LogId::from_parts([b"one".as_slice()]);
        let other = LogId::from_parts([b"two".as_slice()]);
        let text = PositionToken::new(log, Position(42)).to_string();
        assert_eq!(PositionToken::read(&text, log), Ok(Position(42)));
        assert_eq!(PositionToken::read(&text, other), Err(TokenError::OtherLog));
        for wrong in ["", "42", "x.", ".42", "abc.-1", "a.b.c"] {
            assert!(PositionToken::read(wrong, log).is_err(), "{wrong}");
        }
    }
}
