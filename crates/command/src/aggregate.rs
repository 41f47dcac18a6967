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
        match &event.fact {
            Fact::Request(fact) => Request::evolve(state, fact, event.at),
            Fact::Assignment(_)
            | Fact::Denial(_)
            | Fact::Policy(_)
            | Fact::Duty(_)
            | Fact::Signal(_)
            | Fact::Person(_)
            | Fact::Log(_) => state,
        }
    }
}

impl Aggregate for AssignmentAggregate {
    type State = Ledger;
    fn evolve(state: Option<Ledger>, event: &Event) -> Option<Ledger> {
        match &event.fact {
            Fact::Assignment(fact) => Ledger::evolve(state, fact, event.id, event.at),
            Fact::Request(_)
            | Fact::Denial(_)
            | Fact::Policy(_)
            | Fact::Duty(_)
            | Fact::Signal(_)
            | Fact::Person(_)
            | Fact::Log(_) => state,
        }
    }
}

impl Aggregate for DenialAggregate {
    type State = Denials;
    fn evolve(state: Option<Denials>, event: &Event) -> Option<Denials> {
        match &event.fact {
            Fact::Denial(fact) => Denials::evolve(state, fact, event.id, event.at),
            Fact::Request(_)
            | Fact::Assignment(_)
            | Fact::Policy(_)
            | Fact::Duty(_)
            | Fact::Signal(_)
            | Fact::Person(_)
            | Fact::Log(_) => state,
        }
    }
}

impl Aggregate for PolicyAggregate {
    type State = PolicyState;
    fn evolve(state: Option<PolicyState>, event: &Event) -> Option<PolicyState> {
        match &event.fact {
            Fact::Policy(fact) => Some(state.unwrap_or_default().evolve(event.id, fact)),
            Fact::Request(_)
            | Fact::Assignment(_)
            | Fact::Denial(_)
            | Fact::Duty(_)
            | Fact::Signal(_)
            | Fact::Person(_)
            | Fact::Log(_) => state,
        }
    }
}

impl Aggregate for DutyAggregate {
    type State = Duty;
    fn evolve(state: Option<Duty>, event: &Event) -> Option<Duty> {
        match &event.fact {
            Fact::Duty(fact) => Duty::evolve(state, fact, event.at),
            Fact::Request(_)
            | Fact::Assignment(_)
            | Fact::Denial(_)
            | Fact::Policy(_)
            | Fact::Signal(_)
            | Fact::Person(_)
            | Fact::Log(_) => state,
        }
    }
}

impl Aggregate for SignalAggregate {
    type State = Signal;
    fn evolve(state: Option<Signal>, event: &Event) -> Option<Signal> {
        match &event.fact {
            Fact::Signal(fact) => Signal::evolve(state, fact, event.at),
            Fact::Request(_)
            | Fact::Assignment(_)
            | Fact::Denial(_)
            | Fact::Policy(_)
            | Fact::Duty(_)
            | Fact::Person(_)
            | Fact::Log(_) => state,
        }
    }
}

impl Aggregate for LogAggregate {
    type State = Restored;
    fn evolve(state: Option<Restored>, event: &Event) -> Option<Restored> {
        match &event.fact {
            Fact::Log(fact) => Restored::evolve(state, fact, event.at),
            Fact::Request(_)
            | Fact::Assignment(_)
            | Fact::Denial(_)
            | Fact::Policy(_)
            | Fact::Duty(_)
            | Fact::Signal(_)
            | Fact::Person(_) => state,
        }
    }
}
