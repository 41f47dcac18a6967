//! Which events are asked for.

use crate::stored::Stored;
use api::audit::v1::EventFilter;
use domain::{AccountId, Person};
use event_log::StreamName;
use std::collections::BTreeSet;
use tonic::Status;
use views::{refusal, wire};

/// Everything that is set must match. What cannot be read of an event does not exclude it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Filter {
    pub(crate) stream: Option<StreamName>,
    pub(crate) types: BTreeSet<String>,
    pub(crate) actor: Option<Person>,
    pub(crate) account: Option<AccountId>,
}

impl Filter {
    pub(crate) fn read(filter: Option<&EventFilter>) -> Result<Self, Status> {
        let Some(filter) = filter else { return Ok(Self::default()) };
        let stream = (!filter.stream.is_empty()).then(|| filter.stream.parse::<StreamName>()).transpose();
        let account = (!filter.account_id.is_empty()).then(|| AccountId::new(&filter.account_id)).transpose();
        Ok(Self {
            stream: stream.map_err(|error| refusal::field("filter.stream", format!("{error}")))?,
            types: filter.event_types.iter().cloned().collect(),
            actor: filter
                .actor
                .as_ref()
                .map(wire::read_person)
                .transpose()
                .map_err(refusal::invalid("filter.actor"))?,
            account: account.map_err(refusal::invalid("filter.account_id"))?,
        })
    }

    /// Whether an event matches, but for its account, which only the index knows.
    pub(crate) fn matches(&self, stored: &Stored) -> bool {
        if self.stream.as_ref().is_some_and(|stream| *stream != stored.recorded.stream) {
            return false;
        }
        let Some(envelope) = &stored.envelope else { return true };
        let actor = envelope.actor.as_ref().and_then(|actor| actor.person.as_ref());
        let acted = |person: &Person| {
            actor.is_some_and(|actor| {
                actor.issuer == person.issuer.as_str() && actor.subject == person.subject.as_str()
            })
        };
        (self.types.is_empty() || self.types.contains(&envelope.r#type))
            && self.actor.as_ref().is_none_or(acted)
    }
}
