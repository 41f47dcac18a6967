//! The log as a bug lets a service see it: events that are passed over, or read as something else. What is written goes through.

use crate::plant::Planted;
use domain::EventId;
use event_log::{
    AppendError, Appended, Envelope, EventLog, EventStream, Expected, LogError, Position, Recorded, Revision,
    StreamName,
};
use futures::StreamExt as _;
use journal::{Event, Fact, Service, Stream};
use lifecycle::duty::DutyClaimed;
use std::future::ready;
use std::sync::Arc;
use uuid::Uuid;

/// A log that misleads a process.
pub(crate) struct Mirage {
    log: Arc<dyn EventLog>,
    planted: Planted,
    /// How far the log had come when the process began.
    began_at: Position,
}

impl Mirage {
    pub(crate) fn new(log: Arc<dyn EventLog>, planted: Planted) -> Self {
        let began_at = planted.head();
        Self { log, planted, began_at }
    }

    /// Of the whole log: what is passed over is in its place, and says nothing.
    fn whole(&self, stream: EventStream) -> EventStream {
        let (planted, began_at) = (self.planted.clone(), self.began_at);
        let seen = stream.map(move |item| {
            item.map(|recorded| {
                if planted.hides(&recorded, began_at) {
                    nothing(recorded)
                } else {
                    planted.distorts(recorded)
                }
            })
        });
        seen.boxed()
    }
}

/// An event that says nothing to anybody, in the place of another.
fn nothing(mut recorded: Recorded) -> Recorded {
    let stream = Stream::Duty("nothing".to_owned());
    let Ok(name) = stream.to_string().parse() else { return recorded };
    let Some(at) = crate::plant::decoded(&recorded).map(|event| event.at) else { return recorded };
    let event = Event {
        id: EventId::from_uuid(recorded.envelope.event_id),
        stream,
        at,
        writer: Service::Audit,
        actor: None,
        previous: None,
        trace: None,
        command_digest: None,
        fact: Fact::Duty(DutyClaimed { holder: "nobody".to_owned() }),
    };
    let Ok(writer) = event_log::Writer::new(event.writer.as_str()) else { return recorded };
    recorded.stream = name;
    recorded.envelope.writer = writer;
    recorded.envelope.body = journal::encode(&event).into();
    recorded
}

#[async_trait::async_trait]
impl EventLog for Mirage {
    async fn id(&self) -> Result<Uuid, LogError> {
        self.log.id().await
    }

    async fn append(
        &self,
        stream: &StreamName,
        expected: Expected,
        envelope: Envelope,
    ) -> Result<Appended, AppendError> {
        self.log.append(stream, expected, envelope).await
    }

    fn read_stream(&self, stream: &StreamName, after: Option<Revision>) -> EventStream {
        let (planted, began_at) = (self.planted.clone(), self.began_at);
        let seen = self.log.read_stream(stream, after).filter_map(move |item| {
            ready(match item {
                Ok(recorded) if planted.hides(&recorded, began_at) => None,
                Ok(recorded) => Some(Ok(planted.distorts(recorded))),
                Err(error) => Some(Err(error)),
            })
        });
        seen.boxed()
    }

    fn read_all(&self, after: Position) -> EventStream {
        self.whole(self.log.read_all(after))
    }

    fn subscribe(&self, after: Position) -> EventStream {
        self.whole(self.log.subscribe(after))
    }

    async fn head(&self) -> Result<Position, LogError> {
        self.log.head().await
    }

    async fn event_at(&self, position: Position) -> Result<Option<Recorded>, LogError> {
        self.log.event_at(position).await
    }
}
