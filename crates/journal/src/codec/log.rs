//! The log's own story.

use super::values::read;
use super::{DecodeError, parse};
use crate::proto;
use lifecycle::log::LogEvent;
use prost::Message as _;

pub(super) fn store(event: &LogEvent) -> Vec<u8> {
    match event {
        LogEvent::Restored { backup, events } => {
            proto::LogRestoredV1 { backup_log_id: backup.to_string(), events: *events }.encode_to_vec()
        }
        LogEvent::Swept { unknown } => proto::LogSweptV1 { unknown: *unknown }.encode_to_vec(),
    }
}

pub(super) fn load(verb: &str, payload: &[u8]) -> Result<LogEvent, DecodeError> {
    Ok(match verb {
        "restored.v1" => {
            let message: proto::LogRestoredV1 = parse(payload)?;
            LogEvent::Restored {
                backup: read(&message.backup_log_id, "backup_log_id")?,
                events: message.events,
            }
        }
        "swept.v1" => LogEvent::Swept { unknown: parse::<proto::LogSweptV1>(payload)?.unknown },
        other => return Err(DecodeError::UnknownType(format!("log.{other}"))),
    })
}
