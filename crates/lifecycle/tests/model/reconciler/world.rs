//! What is not the reconciler: the log, people, time, and AWS.

use super::Reconciler;
use super::bounds::{EFFECT, SIGNATURE};
use super::essence;
use super::plant::Plant;
use super::state::{Entry, Flight, Intended, Rule, State, Step, There};
use crate::support::{acting, at, yes};
use domain::{EventId, Timestamp};
use lifecycle::assignment::{AssignmentEvent, Ledger, Operation};
use lifecycle::event::RevokedAs;
use lifecycle::state::Status;
use lifecycle::{Request, RequestEvent, access, raise, review};

/// A tick, in seconds.
const TICK: i64 = 60;

/// How a call goes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) enum Answer {
    /// It takes effect, and AWS says so.
    Done,
    /// It takes effect, and nobody is told.
    Lost,
    /// Nobody is told, and it takes effect later, or never.
    Later,
    /// It has no effect, and AWS says so.
    Refused,
}

/// What a caller is told.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Said {
    Done,
    Refused,
    Nothing,
}

pub(crate) fn instant(tick: u8) -> Timestamp {
    at(i64::from(tick) * TICK)
}

pub(crate) fn ticks(duration: u8) -> domain::SignedDuration {
    domain::SignedDuration::from_secs(i64::from(duration) * TICK)
}

/// The id of the event that makes the `number`th attempt.
pub(crate) fn attempt_id(number: u8) -> EventId {
    EventId::from_parts([[number].as_slice()])
}

impl Reconciler {
    /// Writes an event of a request, decided on its state at the log's head: `Commander::execute` decides again until its
    /// append wins, so what a command decided on is always what its event follows.
    pub(super) fn tell(&self, state: &mut State, which: usize, event: &RequestEvent) {
        let before = self.story(state.stories[which]);
        let at = before.time_of_next(instant(state.now));
        let after = Request::evolve(Some(before.as_ref().clone()), event, at).unwrap();
        if is_over(before.status()) && after.status() != before.status() {
            state.breaks(Rule::CameBack);
        }
        state.stories[which] = self.stories.id(essence::of_story(after));
        state.tail.push(Entry::Story(which, state.stories[which]));
    }

    /// Writes an event of the ledger. Whoever had loaded it before has not seen this.
    pub(super) fn record(&self, state: &mut State, event: &AssignmentEvent, number: u8) {
        let before = self.ledger(state.ledger);
        if let AssignmentEvent::Confirmed { attempt } = event
            && let Some(open) = before.as_ref().as_ref().and_then(|ledger| ledger.open.get(attempt))
            && open.operation == Operation::Delete
        {
            state.removed_since = state.stories.map(|story| self.story(story).window().is_some());
        }
        let after = Ledger::evolve(before.as_ref().clone(), event, attempt_id(number), instant(state.now));
        state.ledger = self.ledgers.id(after.map(|ledger| essence::of_ledger(ledger, state.now)));
        for replica in &mut state.replicas {
            if let Step::Deciding { moved, .. } | Step::Settling { moved, .. } = &mut replica.step {
                *moved = true;
            }
        }
    }

    /// Whether a live request needs the assignment, as the log says.
    pub(super) fn is_needed(&self, state: &State) -> bool {
        state.stories.iter().any(|story| self.story(*story).is_live(instant(state.now)))
    }

    /// Bob agrees to the second request.
    pub(super) fn approve(&self, state: &mut State) -> Option<()> {
        if !self.bounds.second {
            return None;
        }
        let when = i64::from(state.now) * TICK;
        let request = self.story(state.stories[1]);
        let approved = review::approve(&request, yes(acting("bob"), &["approvers"], when)).ok()?;
        self.tell(state, 1, &approved);
        Some(())
    }

    /// An approved request is ended early: taken back before its start, revoked after it.
    pub(super) fn end(&self, state: &mut State, which: usize) -> Option<()> {
        let request = self.story(state.stories[which]);
        request.approved().ok()?;
        state.spent.early_ends += 1;
        if state.spent.early_ends > self.bounds.early_ends {
            return None;
        }
        let ended = raise::withdraw(&request, &acting("ada"), instant(state.now))
            .or_else(|_| access::revoke(&request, RevokedAs::Administrator, None));
        self.tell(state, which, &ended.ok()?);
        Some(())
    }

    /// Time passes.
    pub(super) fn tick(&self, state: &mut State) -> Option<()> {
        if state.now >= self.bounds.ticks {
            return None;
        }
        state.now += 1;
        state.aws.before = None;
        let now = state.now;
        state.aws.flights.retain(|flight| now < flight.until);
        let ledger = self.ledger(state.ledger).as_ref().clone();
        state.ledger = self.ledgers.id(ledger.map(|ledger| essence::of_ledger(ledger, now)));
        Some(())
    }

    /// A call of which nobody was told takes effect.
    pub(super) fn land(state: &mut State, flight: usize) -> Option<()> {
        if flight >= state.aws.flights.len() {
            return None;
        }
        let landed = state.aws.flights.remove(flight);
        take_effect(state, landed.operation);
        Some(())
    }

    /// AWS gets a call. `None`: it cannot go like this.
    pub(super) fn call(&self, state: &mut State, attempt: Intended, answer: Answer) -> Option<Said> {
        if !attempt.right {
            state.breaks(match attempt.operation {
                Operation::Create => Rule::CreatedForNobody,
                Operation::Delete => Rule::RemovedWhileNeeded,
            });
        }
        if state.now >= attempt.at + SIGNATURE {
            // Its signature is stale: AWS refuses, and that is all that can happen.
            return (answer == Answer::Refused).then_some(Said::Refused);
        }
        let open = self.ledger(state.ledger);
        let open = open.as_ref().as_ref().is_some_and(|ledger| {
            ledger.open.contains_key(&attempt_id(attempt.number)) && attempt.operation == Operation::Create
        });
        match answer {
            Answer::Done => {
                take_effect(state, attempt.operation);
                Some(Said::Done)
            }
            Answer::Refused => {
                state.spent.refusals += 1;
                (state.spent.refusals <= self.bounds.refusals).then_some(Said::Refused)
            }
            Answer::Lost | Answer::Later => {
                state.spent.lost_answers += 1;
                state.unseen_creation |= open;
                if answer == Answer::Lost {
                    take_effect(state, attempt.operation);
                } else {
                    let until = attempt.at + SIGNATURE + EFFECT;
                    state.aws.flights.push(Flight { operation: attempt.operation, until });
                    state.aws.flights.sort_unstable();
                }
                (state.spent.lost_answers <= self.bounds.lost_answers).then_some(Said::Nothing)
            }
        }
    }

    /// A list of AWS, which may be behind. `None`: it cannot show that.
    pub(super) fn look(&self, state: &mut State, shows: bool) -> Option<bool> {
        if self.plant == Some(Plant::NoLookForStanding) && state.aws.there == There::Standing {
            return (!shows).then_some(false);
        }
        let truth = state.aws.there != There::Nothing;
        if shows != truth && !(self.bounds.stale_lists && state.aws.before == Some(shows)) {
            return None;
        }
        state.unseen_creation = false;
        Some(shows)
    }
}

fn take_effect(state: &mut State, operation: Operation) {
    let before = state.aws.there;
    match (operation, before) {
        (Operation::Create, There::Nothing) => state.aws.there = There::Ours,
        (Operation::Create, There::Ours | There::Standing) | (Operation::Delete, There::Nothing) => return,
        (Operation::Delete, There::Ours) => state.aws.there = There::Nothing,
        (Operation::Delete, There::Standing) => {
            state.aws.there = There::Nothing;
            state.breaks(Rule::RemovedStanding);
        }
    }
    state.aws.before = Some(before != There::Nothing);
}

pub(super) fn is_over(status: Status) -> bool {
    match status {
        Status::Expired | Status::Rejected | Status::Ended => true,
        Status::Requested | Status::Approved => false,
    }
}
