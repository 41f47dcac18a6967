//! The stored types: their names, and the service that owns each.
//!
//! A reader refuses an event whose writer does not own its type, or the duty that it claims, whatever the engine let through.

use crate::{Fact, Stream};
use lifecycle::RequestEvent;
use lifecycle::assignment::AssignmentEvent;
use lifecycle::denial::DenialEvent;
use lifecycle::log::LogEvent;
use lifecycle::signal::SignalEvent;
use policy::PolicyEvent;
use std::collections::BTreeSet;

/// A service that writes events.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Service {
    /// Raises, withdraws, records signals.
    Request,
    /// Decides, and keeps the policy.
    Approval,
    /// Begins, hands out, ends, closes.
    Activation,
    /// Only claims duties.
    Audit,
}

impl Service {
    /// The name, as on envelopes and in subjects.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Request => "request",
            Self::Approval => "approval",
            Self::Activation => "activation",
            Self::Audit => "audit",
        }
    }

    /// The service of this name.
    pub fn from_name(name: &str) -> Option<Self> {
        [Self::Request, Self::Approval, Self::Activation, Self::Audit]
            .into_iter()
            .find(|s| s.as_str() == name)
    }

    /// Whether this service may write events of this type.
    pub fn owns(self, type_name: &str) -> bool {
        TYPES.iter().any(|(name, owner)| *name == type_name && owner.is_none_or(|owner| owner == self))
    }

    /// Whether this service may write to this stream. Whoever claims the duty of others would keep them from doing it.
    pub fn writes_to(self, stream: &Stream) -> bool {
        let Stream::Duty(name) = stream else { return true };
        DUTIES.iter().all(|(duty, owner)| duty != name || *owner == self)
    }

    /// The kinds of streams that hold types which this service owns; duties are apart.
    pub fn kinds(self) -> BTreeSet<&'static str> {
        let own = TYPES.iter().filter(|(_, owner)| *owner == Some(self));
        own.filter_map(|(name, _)| name.split('.').next()).collect()
    }

    /// The duties of this service.
    pub fn duties(self) -> impl Iterator<Item = &'static str> {
        DUTIES.iter().filter(move |(_, owner)| *owner == self).map(|(duty, _)| *duty)
    }
}

impl std::fmt::Display for Service {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(self.as_str())
    }
}

/// Making and ending access.
pub const ACTIVATION_DUTY: &str = "activation";

/// Telling others what happens.
pub const RELAY_DUTY: &str = "relay";

/// Every duty with the service that does it.
pub const DUTIES: &[(&str, Service)] =
    &[(ACTIVATION_DUTY, Service::Activation), (RELAY_DUTY, Service::Audit)];

/// Every stored type with the service that owns it; `None`: any.
pub const TYPES: &[(&str, Option<Service>)] = &[
    ("request.requested.v1", Some(Service::Request)),
    ("request.withdrawn.v1", Some(Service::Request)),
    ("request.endorsed.v1", Some(Service::Approval)),
    ("request.approved.v1", Some(Service::Approval)),
    ("request.rejected.v1", Some(Service::Approval)),
    ("request.expired.v1", Some(Service::Approval)),
    ("request.activated.v1", Some(Service::Activation)),
    ("request.credentials_issued.v1", Some(Service::Activation)),
    ("request.console_opened.v1", Some(Service::Activation)),
    ("request.revoked.v1", Some(Service::Activation)),
    ("request.ended.v1", Some(Service::Activation)),
    ("request.closed.v1", Some(Service::Activation)),
    ("request.reviewed_after.v1", Some(Service::Approval)),
    ("assignment.attempted.v1", Some(Service::Activation)),
    ("assignment.attempt_abandoned.v1", Some(Service::Activation)),
    ("assignment.confirmed.v1", Some(Service::Activation)),
    ("assignment.failed.v1", Some(Service::Activation)),
    ("assignment.standing_found.v1", Some(Service::Activation)),
    ("assignment.drift_found.v1", Some(Service::Activation)),
    ("assignment.adopted.v1", Some(Service::Activation)),
    ("assignment.abandon_asked.v1", Some(Service::Activation)),
    ("assignment.abandoned.v1", Some(Service::Activation)),
    ("denial.attempted.v1", Some(Service::Activation)),
    ("denial.attempt_abandoned.v1", Some(Service::Activation)),
    ("denial.confirmed.v1", Some(Service::Activation)),
    ("denial.failed.v1", Some(Service::Activation)),
    ("denial.drift_found.v1", Some(Service::Activation)),
    ("policy.proposed.v1", Some(Service::Approval)),
    ("policy.applied.v1", Some(Service::Approval)),
    ("policy.discarded.v1", Some(Service::Approval)),
    ("duty.claimed.v1", None),
    ("signal.received.v1", Some(Service::Request)),
    ("signal.refused.v1", Some(Service::Request)),
    ("person.linked.v1", Some(Service::Request)),
    ("log.restored.v1", Some(Service::Activation)),
    ("log.swept.v1", Some(Service::Activation)),
];

/// The stored type of a fact.
pub fn type_name(fact: &Fact) -> &'static str {
    match fact {
        Fact::Request(event) => match event {
            RequestEvent::Requested(_) => "request.requested.v1",
            RequestEvent::Withdrawn => "request.withdrawn.v1",
            RequestEvent::Endorsed(_) => "request.endorsed.v1",
            RequestEvent::Approved(_) => "request.approved.v1",
            RequestEvent::Rejected(_) => "request.rejected.v1",
            RequestEvent::Expired(_) => "request.expired.v1",
            RequestEvent::Activated(_) => "request.activated.v1",
            RequestEvent::CredentialsIssued(_) => "request.credentials_issued.v1",
            RequestEvent::ConsoleOpened(_) => "request.console_opened.v1",
            RequestEvent::Revoked(_) => "request.revoked.v1",
            RequestEvent::Ended(_) => "request.ended.v1",
            RequestEvent::Closed(_) => "request.closed.v1",
            RequestEvent::ReviewedAfter(_) => "request.reviewed_after.v1",
        },
        Fact::Assignment(event) => match event {
            AssignmentEvent::Attempted { .. } => "assignment.attempted.v1",
            AssignmentEvent::AttemptAbandoned { .. } => "assignment.attempt_abandoned.v1",
            AssignmentEvent::Confirmed { .. } => "assignment.confirmed.v1",
            AssignmentEvent::Failed { .. } => "assignment.failed.v1",
            AssignmentEvent::StandingFound { .. } => "assignment.standing_found.v1",
            AssignmentEvent::DriftFound { .. } => "assignment.drift_found.v1",
            AssignmentEvent::Adopted { .. } => "assignment.adopted.v1",
            AssignmentEvent::AbandonAsked { .. } => "assignment.abandon_asked.v1",
            AssignmentEvent::Abandoned { .. } => "assignment.abandoned.v1",
        },
        Fact::Denial(event) => match event {
            DenialEvent::Attempted { .. } => "denial.attempted.v1",
            DenialEvent::AttemptAbandoned { .. } => "denial.attempt_abandoned.v1",
            DenialEvent::Confirmed { .. } => "denial.confirmed.v1",
            DenialEvent::Failed { .. } => "denial.failed.v1",
            DenialEvent::DriftFound => "denial.drift_found.v1",
        },
        Fact::Policy(event) => match event {
            PolicyEvent::Proposed(_) => "policy.proposed.v1",
            PolicyEvent::Applied(_) => "policy.applied.v1",
            PolicyEvent::Discarded(_) => "policy.discarded.v1",
        },
        Fact::Duty(_) => "duty.claimed.v1",
        Fact::Signal(event) => match event {
            SignalEvent::Received(_) => "signal.received.v1",
            SignalEvent::Refused(_) => "signal.refused.v1",
        },
        Fact::Person(_) => "person.linked.v1",
        Fact::Log(event) => match event {
            LogEvent::Restored { .. } => "log.restored.v1",
            LogEvent::Swept { .. } => "log.swept.v1",
        },
    }
}

/// The message that holds the payload of a type: `request.requested.v1` → `daypass.log.v1.RequestRequestedV1`.
pub fn message_name(type_name: &str) -> String {
    let camel = type_name.split(['.', '_']).map(|word| {
        let mut letters = word.chars();
        letters
            .next()
            .map(|first| first.to_ascii_uppercase().to_string() + letters.as_str())
            .unwrap_or_default()
    });
    format!("daypass.log.v1.{}", camel.collect::<String>())
}
