//! JSON Lines: one event per line, as it is stored, with the stored bytes in base64 so that the file can be checked.
//!
//! | member | value |
//! | --- | --- |
//! | `position`, `revision` | its place in the log (opaque), its ordinal in the stream |
//! | `event_id`, `stream`, `type`, `time`, `writer`, `actor`, `previous_event_id`, `trace_parent`, `command_digest` | the envelope's fields, in protobuf's JSON; absent when empty |
//! | `payload` | what the event says; base64 when its type is not known. Sealed text stays sealed |
//! | `undecodable` | why the event cannot be decoded; absent when it can |
//! | `envelope` | the stored bytes, in base64: every other member but the first two follows from these |

use crate::stored::Stored;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD as BASE64;
use serde_json::{Map, Value};

/// The line of an event, with its end.
pub(crate) fn line(stored: &Stored, position: &str) -> String {
    let recorded = &stored.recorded;
    let mut object = match journal::json::view(&recorded.envelope.body) {
        Some(Value::Object(object)) => object,
        _ => Map::new(),
    };
    // Where the log gave the event back; the same as the envelope says, or else the event is undecodable.
    object.insert("stream".to_owned(), recorded.stream.to_string().into());
    object.insert("event_id".to_owned(), recorded.envelope.event_id.to_string().into());
    object.insert("writer".to_owned(), recorded.envelope.writer.to_string().into());
    object.insert("position".to_owned(), position.into());
    object.insert("revision".to_owned(), recorded.revision.0.into());
    object.insert("envelope".to_owned(), BASE64.encode(&recorded.envelope.body).into());
    let undecodable = stored.undecodable();
    if !undecodable.is_empty() {
        object.insert("undecodable".to_owned(), undecodable.into());
    }
    // JSON escapes every line end inside of a text.
    let mut line = Value::Object(object).to_string();
    line.push('\n');
    line
}
