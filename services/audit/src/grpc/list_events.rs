//! Events, newest first: where they are comes from the index, what they say from the log.

use crate::AuditService;
use crate::filter::Filter;
use crate::page::Budget;
use crate::place::{log_status, milliseconds, read_status};
use crate::read_model::events::{Listing, Row};
use crate::stored::Stored;
use api::audit::v1::{ListEventsRequest, ListEventsResponse};
use event_log::{EventLog, Position, Recorded};
use futures::{StreamExt as _, TryStreamExt as _};
use prost::Message as _;
use std::sync::Arc;
use tonic::{Code, Status};
use views::{page, refusal};

/// Reads of the log at the same time: an engine behind a network answers each in a few milliseconds.
const READS_MAX: usize = 16;

pub(super) async fn list_events(
    service: &AuditService,
    request: &ListEventsRequest,
) -> Result<ListEventsResponse, Status> {
    let question = question(request);
    let question = [b"list events".as_slice(), &question];
    let before = page::place(&question, &request.page_token, |key| key.parse().ok().map(Position))?;
    let time = |name: &str, time: &Option<_>| time.as_ref().map(|time| milliseconds(name, time)).transpose();
    let size = page::size(request.page_size);
    let listing = Listing {
        filter: Filter::read(request.filter.as_ref())?,
        from_ms: time("from", &request.from)?,
        to_ms: time("to", &request.to)?,
        before,
        // One more tells whether there is another page.
        limit: size + 1,
    };
    service.wait_for_position(&request.wait_for_position).await?;
    let mut rows = service.events.newest(&listing).map_err(|error| read_status(&error))?;
    let mut more = rows.len() > size;
    rows.truncate(size);
    let mut bodies =
        futures::stream::iter(rows).map(|row| read(Arc::clone(&service.views.log), row)).buffered(READS_MAX);
    let (mut events, mut budget, mut last) = (Vec::new(), Budget::default(), None);
    while let Some(recorded) = bodies.try_next().await? {
        let position = recorded.position;
        let event = service.show(&Stored::new(recorded), request.with_envelope).await;
        if !budget.takes(&event) {
            more = true;
            break;
        }
        events.push(event);
        last = Some(position);
    }
    let next = last.filter(|_| more).map(|last| page::token(&question, &last.0.to_string()));
    Ok(ListEventsResponse { events, next_page_token: next.unwrap_or_default() })
}

/// Everything that decides which events are on which page.
fn question(request: &ListEventsRequest) -> Vec<u8> {
    ListEventsRequest {
        page_size: 0,
        page_token: String::new(),
        wait_for_position: String::new(),
        ..request.clone()
    }
    .encode_to_vec()
}

/// The event of a row; that the log no longer has it is a loss, not a gap.
async fn read(log: Arc<dyn EventLog>, row: Row) -> Result<Recorded, Status> {
    let found = log.event_at(row.position).await.map_err(log_status)?;
    found
        .filter(|found| found.envelope.event_id == *row.id.as_uuid() && found.revision == row.revision)
        .ok_or_else(|| {
            tracing::error!(position = row.position.0, "the log does not have an event that the index has");
            refusal::with_reason(Code::DataLoss, "HISTORY_DAMAGED", "the log has lost an event")
        })
}
