//! What each kind of stream folds into.

use journal::{Event, Fact};
use lifecycle::Request;
use lifecycle::assignment::Ledger;
use lifecycle::denial::Denials;
use lifecycle::duty::Duty;
use lifecycle::log::Restored;
use lifecycle::signal::Signal;
use policy::PolicyState;

/// The fold of one kind of stream. Events come decoded, of the stream's own kind, in order.
pub trait Aggregate: Send + Sync + 'static {
    /// What the events of a stream add up to.
    type State: Clone + Send + Sync + 'static;

    /// The state after one more event. Cannot fail: an event that is there has happened.
    fn evolve(state: Option<Self::State>, event: &Event) -> Option<Self::State>;
}

/// The story of one request.
#[derive(Clone, Copy, Debug)]
pub struct RequestAggregate;

/// The ledger of one assignment.
#[derive(Clone, Copy, Debug)]
pub struct AssignmentAggregate;

/// What is denied in one account.
#[derive(Clone, Copy, Debug)]
pub struct DenialAggregate;

/// The policy.
#[derive(Clone, Copy, Debug)]
pub struct PolicyAggregate;

/// A signal from outside.
#[derive(Clone, Copy, Debug)]
pub struct SignalAggregate;

/// Who does a duty.
#[derive(Clone, Copy, Debug)]
pub struct DutyAggregate;

/// Whether the log was restored.
#[derive(Clone, Copy, Debug)]
pub struct LogAggregate;

impl Aggregate for RequestAggregate {
    type State = Request;
    fn evolve(state: Option<Request>, event: &Event) -> Option<Request> {
        let Fact::Request(fact) = &event.fact else { return state };
        Request::evolve(state, fact, event.at)
    }
}

impl Aggregate for AssignmentAggregate {
    type State = Ledger;
    fn evolve(state: Option<Ledger>, event: &Event) -> Option<Ledger> {
        let Fact::Assignment(fact) = &event.fact else { return state };
        Ledger::evolve(state, fact, event.id, event.at)
    }
}

impl Aggregate for DenialAggregate {
    type State = Denials;
    fn evolve(state: Option<Denials>, event: &Event) -> Option<Denials> {
        let Fact::Denial(fact) = &event.fact else { return state };
        Denials::evolve(state, fact, event.id, event.at)
    }
}

impl Aggregate for PolicyAggregate {
    type State = PolicyState;
    fn evolve(state: Option<PolicyState>, event: &Event) -> Option<PolicyState> {
        let Fact::Policy(fact) = &event.fact else { return state };
        Some(state.unwrap_or_default().evolve(event.id, fact))
    }
}

impl Aggregate for DutyAggregate {
    type State = Duty;
    fn evolve(state: Option<Duty>, event: &Event) -> Option<Duty> {
        let Fact::Duty(fact) = &event.fact else { return state };
        Duty::evolve(state, fact, event.at)
    }
}

impl Aggregate for SignalAggregate {
    type State = Signal;
    fn evolve(state: Option<Signal>, event: &Event) -> Option<Signal> {
        let Fact::Signal(fact) = &event.fact else { return state };
        Signal::evolve(state, fact, event.at)
    }
}

impl Aggregate for LogAggregate {
    type State = Restored;
    fn evolve(state: Option<Restored>, event: &Event) -> Option<Restored> {
        let Fact::Log(fact) = &event.fact else { return state };
        Restored::evolve(state, fact, event.at)
    }
}
