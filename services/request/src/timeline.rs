//! The story of a request, event by event, for people.

use crate::RequestService;
use api::request::v1::TimelineEntry;
use journal::Event;
use serde_json::Value;
use views::{Story, resource, wire};

impl RequestService {
    /// Every event of `story`. Comments are opened, for those who may see the request may read what was said of it; what is
    /// still sealed is left out.
    pub(crate) async fn timeline(&self, story: &Story) -> Vec<TimelineEntry> {
        let entries = (0..).zip(&story.events).map(|(revision, event)| self.entry(story, revision, event));
        futures::future::join_all(entries).await
    }

    async fn entry(&self, story: &Story, revision: u64, event: &Event) -> TimelineEntry {
        let directory = self.views.directory.snapshot();
        let raised = &story.request.raised;
        let actor = event.actor.as_ref().map(|actor| {
            let known = raised.grounds.principal.as_ref().filter(|_| actor.person == raised.requester);
            wire::party(&actor.person, known, directory.as_deref())
        });
        TimelineEntry {
            revision,
            event_id: event.id.to_string(),
            event_type: journal::types::type_name(&event.fact).to_owned(),
            happened_at: Some(wire::time(event.at)),
            actor,
            details: self.details(event).await,
        }
    }

    async fn details(&self, event: &Event) -> Option<prost_types::Struct> {
        let view = journal::json::view(&journal::encode(event))?;
        let Value::Object(mut details) = without_sealed(view.get("payload")?.clone())? else { return None };
        let place = resource::comment_place(&event.id);
        if let Some(sealed) = resource::comment(&event.fact)
            && let Some(text) = resource::open(self.views.keys.as_ref(), &place, sealed).await
        {
            details.insert("comment".to_owned(), Value::String(text));
        }
        Some(api::structs::from_json(details))
    }
}

/// The value without sealed text, at any depth; `None` when it is sealed text itself.
fn without_sealed(value: Value) -> Option<Value> {
    match value {
        Value::Object(fields) if fields.contains_key("ciphertext") || fields.contains_key("nonce") => None,
        Value::Object(fields) => Some(Value::Object(
            fields.into_iter().filter_map(|(name, value)| Some((name, without_sealed(value)?))).collect(),
        )),
        Value::Array(items) => Some(Value::Array(items.into_iter().filter_map(without_sealed).collect())),
        plain @ (Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_)) => Some(plain),
    }
}
