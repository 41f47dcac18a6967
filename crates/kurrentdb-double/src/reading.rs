//! Reads: a stream, `$all` once, `$all` for ever.

use crate::server::Shared;
use crate::store::{PACE_OF, Stored};
use crate::wire::client::streams::read_req::filter_options::{Filter, Window};
use crate::wire::client::streams::read_req::options::FilterOption;
use crate::wire::client::streams::read_req::{AllOptions, StreamOptions, all_options, stream_options};
use crate::wire::client::streams::read_resp::{
    CaughtUp, Content, ReadEvent, RecordedEvent, StreamNotFound, SubscriptionConfirmation,
};
use crate::wire::client::streams::{Position, ReadResp};
use crate::wire::client::{StreamIdentifier, Uuid, uuid};
use bytes::Bytes;
use tokio::sync::mpsc;
use tonic::Status;

/// Checkpoints come after so many events that were looked through, where the reader does not say.
const WINDOW: usize = 32;

/// Who gets the answers.
pub(crate) type Answers = mpsc::Sender<Result<ReadResp, Status>>;

/// The events of one stream, from a revision on.
pub(crate) async fn stream(events: Option<Vec<Stored>>, options: StreamOptions, most: u64, answers: Answers) {
    let Some(events) = events else {
        let stream_identifier = options.stream_identifier;
        send(&answers, Content::StreamNotFound(StreamNotFound { stream_identifier })).await;
        return;
    };
    let first = match options.revision_option {
        Some(stream_options::RevisionOption::Revision(revision)) => revision,
        Some(stream_options::RevisionOption::Start(_) | stream_options::RevisionOption::End(_)) | None => 0,
    };
    send_events(events.into_iter().filter(|event| event.revision >= first), most, &answers).await;
}

/// `$all` as it is now, from a place on, or back from its end.
pub(crate) async fn all(
    shared: &Shared,
    (mut events, from): (Vec<Stored>, u64),
    backwards: bool,
    (filter, most): (&FilterOption, u64),
    answers: Answers,
) {
    if backwards {
        events.reverse();
    } else {
        events.retain(|event| event.position >= from);
    }
    let (mut sent, mut searched) = (0, 0);
    for event in events {
        if sent == most || answers.is_closed() {
            return;
        }
        if let FilterOption::Filter(_) = filter {
            searched += 1;
            keep_pace(shared, searched).await;
        }
        if !passes(filter, &event) {
            shared.store().passed_over += 1;
            continue;
        }
        sent += 1;
        if !send(&answers, shown(event)).await {
            return;
        }
    }
}

/// Waits where so many events were looked through that it takes time.
async fn keep_pace(shared: &Shared, searched: usize) {
    let pace = shared.store().pace;
    if !pace.is_zero() && searched.is_multiple_of(PACE_OF) {
        tokio::time::sleep(pace).await;
    }
}

async fn send_events(events: impl Iterator<Item = Stored>, most: u64, answers: &Answers) {
    for event in events.take(usize::try_from(most).unwrap_or(usize::MAX)) {
        if !send(answers, shown(event)).await {
            return;
        }
    }
}

/// `$all` behind a place, and what comes, until subscriptions are dropped.
pub(crate) async fn subscription(shared: Shared, from: u64, filter: FilterOption, answers: Answers) {
    let (mut grown, mut dropped) = (shared.grown.subscribe(), shared.dropped.subscribe());
    let mut reached = from;
    let confirmed = SubscriptionConfirmation { subscription_id: "double".to_owned() };
    if !send(&answers, Content::Confirmation(confirmed)).await {
        return;
    }
    let window = window(&filter);
    let (mut searched, mut live) = (0, false);
    loop {
        grown.borrow_and_update();
        let next: Vec<Stored> = {
            let store = shared.store();
            let behind = store.all.partition_point(|event| event.position <= reached);
            store.all.get(behind..).unwrap_or_default().to_vec()
        };
        for event in next {
            if dropped.has_changed().unwrap_or(true) {
                break;
            }
            reached = event.position;
            searched += 1;
            keep_pace(&shared, searched).await;
            if passes(&filter, &event) && !send(&answers, shown(event)).await {
                return;
            }
            if searched % window == 0 && !send_checkpoint(&shared, reached, &answers).await {
                return;
            }
        }
        if !live {
            live = true;
            if !send_checkpoint(&shared, reached, &answers).await
                || !send(&answers, Content::CaughtUp(CaughtUp {})).await
            {
                return;
            }
        }
        tokio::select! {
            biased;
            _ = dropped.changed() => {
                drop(answers.send(Err(Status::unavailable("the subscription was dropped"))).await);
                return;
            }
            () = answers.closed() => return,
            more = grown.changed() => if more.is_err() { return },
        }
    }
}

async fn send_checkpoint(shared: &Shared, reached: u64, answers: &Answers) -> bool {
    shared.store().checkpoints.push(reached);
    let checkpoint = Position { commit_position: reached, prepare_position: reached };
    send(answers, Content::Checkpoint(checkpoint)).await
}

/// The position that a reader of `$all` names.
pub(crate) fn begins_at(options: &AllOptions) -> Option<u64> {
    match options.all_option.as_ref()? {
        all_options::AllOption::Position(position) => Some(position.commit_position),
        all_options::AllOption::Start(_) | all_options::AllOption::End(_) => None,
    }
}

fn passes(filter: &FilterOption, event: &Stored) -> bool {
    let FilterOption::Filter(options) = filter else { return true };
    let (expression, text) = match &options.filter {
        Some(Filter::StreamIdentifier(expression)) => (expression, event.stream.as_str()),
        Some(Filter::EventType(expression)) => {
            (expression, event.metadata.get("type").map_or("", String::as_str))
        }
        None => return true,
    };
    expression.prefix.iter().any(|prefix| text.starts_with(prefix.as_str()))
}

fn window(filter: &FilterOption) -> usize {
    let FilterOption::Filter(options) = filter else { return WINDOW };
    match options.window {
        Some(Window::Max(max)) => usize::try_from(max).unwrap_or(WINDOW).max(1),
        Some(Window::Count(_)) | None => WINDOW,
    }
}

fn shown(event: Stored) -> Content {
    let mut metadata = event.metadata;
    metadata.insert("created".to_owned(), "17000000000000000".to_owned());
    let recorded = RecordedEvent {
        id: Some(Uuid { value: Some(uuid::Value::String(event.id.to_string())) }),
        stream_identifier: Some(StreamIdentifier { stream_name: Bytes::from(event.stream) }),
        stream_revision: event.revision,
        prepare_position: event.position,
        commit_position: event.position,
        metadata,
        custom_metadata: event.custom,
        data: event.data,
    };
    Content::Event(ReadEvent { event: Some(recorded), position: None })
}

/// Whether the reader is still there.
async fn send(answers: &Answers, content: Content) -> bool {
    answers.send(Ok(ReadResp { content: Some(content) })).await.is_ok()
}
