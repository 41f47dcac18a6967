//! Requests as they stood at a place in history: the fold of their events up to there. Names of people, accounts and
//! entitlements are those of today; the log does not have them.
//!
//! A request whose history cannot be read is not on the list; the answer's metadata [`QUARANTINED`] names its stream, and asking
//! for it by its id says so.

use crate::AuditService;
use crate::page::Budget;
use crate::place::{log_status, milliseconds, read_status};
use api::audit::v1::{GetAsOfRequest, GetAsOfResponse, place};
use api::types::v1 as types;
use domain::{RequestId, Timestamp};
use event_log::{Position, StreamName};
use futures::{StreamExt as _, TryStreamExt as _};
use journal::Stream;
use lifecycle::state::Status as State;
use prost::Message as _;
use tonic::metadata::MetadataValue;
use tonic::{Code, Response, Status};
use views::{Story, page, refusal, resource};

/// Metadata of an answer: a stream that had to be left out. Repeated.
const QUARANTINED: &str = "daypass-quarantined";

/// Stories read from the log at the same time.
const READS_MAX: usize = 8;

/// Where in history, and when that was.
#[derive(Clone, Copy, Debug)]
struct At {
    position: Position,
    now: Timestamp,
}

pub(super) async fn get_as_of(
    service: &AuditService,
    request: &GetAsOfRequest,
) -> Result<Response<GetAsOfResponse>, Status> {
    service.wait_for_position(&request.wait_for_position).await?;
    if request.request_id.is_empty() {
        return list(service, request).await;
    }
    let id: RequestId = request.request_id.parse().map_err(refusal::invalid("request_id"))?;
    let at = service.at(request, None).await?;
    let story = service.story_at(&Stream::Request(id).to_string(), at.position).await?;
    let story = story.ok_or_else(|| refusal::not_found("request"))?;
    Ok(Response::new(GetAsOfResponse {
        requests: vec![service.as_of(&story, at.now).await],
        next_page_token: String::new(),
        position: service.views.token(at.position),
    }))
}

async fn list(service: &AuditService, request: &GetAsOfRequest) -> Result<Response<GetAsOfResponse>, Status> {
    let question = question(request);
    let question = [b"as of".as_slice(), &question];
    // The place itself goes from page to page, so that all pages are of the same.
    let (place, after) =
        page::place(&question, &request.page_token, cursor)?.unwrap_or((None, Position::START));
    let at = service.at(request, place).await?;
    let size = page::size(request.page_size);
    let mut held = service.events.held(at.position, after, size + 1).map_err(|error| read_status(&error))?;
    let mut more = held.len() > size;
    held.truncate(size);
    let mut stories = futures::stream::iter(held)
        .map(|(approved, stream)| async move {
            let story = service.story_at(&stream, at.position).await;
            (approved, stream, story)
        })
        .buffered(READS_MAX);
    let mut answer = Response::new(GetAsOfResponse::default());
    let (mut requests, mut budget, mut last) = (Vec::new(), Budget::default(), None);
    while let Some((approved, stream, story)) = stories.next().await {
        match story {
            Ok(Some(story)) if story.request.status() == State::Approved => {
                let shown = service.as_of(&story, at.now).await;
                if !budget.takes(&shown) {
                    more = true;
                    break;
                }
                requests.push(shown);
            }
            Ok(_) => {}
            Err(status) if status.code() == Code::DataLoss => {
                if let Ok(name) = MetadataValue::try_from(stream.as_str()) {
                    answer.metadata_mut().append(QUARANTINED, name);
                }
            }
            Err(status) => return Err(status),
        }
        last = Some(approved);
    }
    let next =
        last.filter(|_| more).map(|last| page::token(&question, &format!("{}.{}", at.position.0, last.0)));
    *answer.get_mut() = GetAsOfResponse {
        requests,
        next_page_token: next.unwrap_or_default(),
        position: service.views.token(at.position),
    };
    Ok(answer)
}

impl AuditService {
    /// The place that is asked for; `known` where a page before has found it.
    async fn at(&self, request: &GetAsOfRequest, known: Option<Position>) -> Result<At, Status> {
        let asked = request.at.as_ref().ok_or_else(|| refusal::field("at", "must be set"))?;
        let head = self.reach_head().await?;
        let position = match known {
            Some(position) => position.min(head),
            None => self.place("at", asked, head).await?,
        };
        let now_ms = match &asked.place {
            Some(place::Place::Time(time)) => Some(milliseconds("at.time", time)?),
            Some(place::Place::Position(_)) | None => {
                self.events.time_at(position).map_err(|error| read_status(&error))?
            }
        };
        let now = Timestamp::from_millisecond(now_ms.unwrap_or_default());
        Ok(At { position, now: now.map_err(|_| refusal::field("at", "must be within the calendar"))? })
    }

    /// The story of a request up to a position; `None` when it had not been raised.
    async fn story_at(&self, stream: &str, to: Position) -> Result<Option<Story>, Status> {
        let damaged = |why: String| {
            tracing::error!(stream, why, "the history of a request cannot be read");
            refusal::with_reason(
                Code::DataLoss,
                "HISTORY_DAMAGED",
                "the history of the request cannot be read",
            )
        };
        let name: StreamName = stream.parse().map_err(|_| damaged("no name of a stream".to_owned()))?;
        let mut source = self.views.log.read_stream(&name, None);
        let (mut events, mut position) = (Vec::new(), Position::START);
        while let Some(recorded) = source.try_next().await.map_err(log_status)? {
            if recorded.position > to {
                break;
            }
            position = recorded.position;
            let item = projection::Item::new(recorded);
            events.push(item.event.map_err(|error| damaged(error.to_string()))?);
        }
        if events.is_empty() {
            return Ok(None);
        }
        Story::fold(events, position)
            .map(Some)
            .ok_or_else(|| damaged("it does not begin with its raising".to_owned()))
    }

    async fn as_of(&self, story: &Story, now: Timestamp) -> types::Request {
        let justification = resource::justification(self.views.keys.as_ref(), story).await;
        let directory = self.views.directory.snapshot();
        resource::request(story, directory.as_deref(), justification, now)
    }
}

/// Everything that decides which requests are on which page.
fn question(request: &GetAsOfRequest) -> Vec<u8> {
    GetAsOfRequest {
        page_size: 0,
        page_token: String::new(),
        wait_for_position: String::new(),
        ..request.clone()
    }
    .encode_to_vec()
}

fn cursor(key: &str) -> Option<(Option<Position>, Position)> {
    let (place, after) = key.split_once('.')?;
    Some((Some(Position(place.parse().ok()?)), Position(after.parse().ok()?)))
}
