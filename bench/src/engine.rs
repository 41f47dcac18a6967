//! The limit of any append: bodies of the size of a request event, each to a stream of its own.

use crate::{Failed, Measured, hammer};
use bytes::Bytes;
use domain::EventId;
use event_log::{Envelope, EventLog, Expected, StreamName, Writer};
use std::sync::Arc;
use std::time::Duration;

/// A request event with its grounds and plan has about this many bytes.
pub(crate) const BODY_BYTES: usize = 900;

pub(crate) async fn run(
    log: Arc<dyn EventLog>,
    callers: usize,
    within: Duration,
    series: u64,
) -> Result<Measured, Failed> {
    let body = Bytes::from(vec![7u8; BODY_BYTES]);
    let writer = Writer::new("request")?;
    hammer(callers, within, |caller, number| {
        let (log, body, writer) = (log.clone(), body.clone(), writer.clone());
        async move {
            let parts = [series, caller as u64, number].map(u64::to_be_bytes);
            let id = *EventId::from_parts(parts.iter().map(<[u8; 8]>::as_slice)).as_uuid();
            let stream = StreamName::new("request", &id.to_string())?;
            log.append(&stream, Expected::NoStream, Envelope { event_id: id, writer, body }).await?;
            Ok(())
        }
    })
    .await
}
