//! An event, whatever it is about.

use crate::{Service, Stream};
use domain::{Actor, EventId, Timestamp};
use lifecycle::RequestEvent;
use lifecycle::assignment::AssignmentEvent;
use lifecycle::denial::DenialEvent;
use lifecycle::duty::DutyClaimed;
use lifecycle::log::LogEvent;
use lifecycle::signal::{PersonLinked, SignalEvent};
use policy::PolicyEvent;

/// One event with everything that its envelope says.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Event {
    /// Unique for ever; the same command gives the same id.
    pub id: EventId,
    /// The stream that it belongs to.
    pub stream: Stream,
    /// When: never before the previous event of the stream.
    pub at: Timestamp,
    /// The service that wrote it.
    pub writer: Service,
    /// Who acted; `None` when a service acted by itself.
    pub actor: Option<Actor>,
    /// The previous event of the stream.
    pub previous: Option<EventId>,
    /// The W3C traceparent of the call that caused it.
    pub trace: Option<String>,
    /// HMAC of the command under a key of the person who gave it; see [`crate::seal::PersonKey::digest`]. Of a signal without an ask,
    /// which the event says in the clear anyway, a plain digest: that needs no key.
    pub command_digest: Option<[u8; 32]>,
    /// What happened.
    pub fact: Fact,
}

/// What happened.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
#[expect(clippy::large_enum_variant, reason = "one at a time, and the large ones are the usual ones")]
pub enum Fact {
    /// To a request.
    Request(RequestEvent),
    /// To an assignment in AWS.
    Assignment(AssignmentEvent),
    /// To what is denied in an account.
    Denial(DenialEvent),
    /// To the policy.
    Policy(PolicyEvent),
    /// To a duty.
    Duty(DutyClaimed),
    /// To a signal from outside.
    Signal(SignalEvent),
    /// Two identities are one human.
    Person(PersonLinked),
    /// To the log as a whole.
    Log(LogEvent),
}
