//! One state of the world: the log, the clock, AWS, and the two replicas.

use crate::pool::Id;
use lifecycle::assignment::{Operation, Presence};
use lifecycle::event::ClosedHow;

/// Everything.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(crate) struct State {
    /// The tick.
    pub(crate) now: u8,
    /// The two requests, folded to the log's head.
    pub(crate) stories: [Id; 2],
    /// The assignment's ledger, folded to the log's head.
    pub(crate) ledger: Id,
    /// Whether a removal was confirmed after each request's approval; what `ledger::removed_since` reads off the ledger's events.
    pub(crate) removed_since: [bool; 2],
    /// Who claimed the duty when, in order.
    pub(crate) claims: Vec<(u8, u8)>,
    /// The events, in log order, that a replica has not read yet.
    pub(crate) tail: Vec<Entry>,
    /// What is so outside.
    pub(crate) aws: Aws,
    /// The replicas.
    pub(crate) replicas: [Replica; 2],
    /// What has happened that is bounded.
    pub(crate) spent: Spent,
    /// Whether a creation's call was made of which nobody has seen the outcome, its attempt still being open.
    pub(crate) unseen_creation: bool,
    /// What was broken. Empty, or the checker has found something.
    pub(crate) broken: Vec<Rule>,
}

/// An event that read models show.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(crate) enum Entry {
    /// A request, and what it has come to with this event.
    Story(usize, Id),
    /// The duty went to this replica.
    Duty(u8),
}

/// What a transition can break.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(crate) enum Rule {
    /// S1: created without a live request that asked for it.
    CreatedForNobody,
    /// S3: removed although a live request needed it.
    RemovedWhileNeeded,
    /// S3: removed what was there before us.
    RemovedStanding,
    /// S6: what was over came back.
    CameBack,
    /// S7: created again before the outcome of the last time was looked at.
    NotObserved,
}

/// Identity Center, as far as this assignment is concerned.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(crate) struct Aws {
    /// What is there.
    pub(crate) there: There,
    /// What lists may show instead: what was there before a change in this tick.
    pub(crate) before: Option<bool>,
    /// Calls that were accepted and have had no effect yet, sorted.
    pub(crate) flights: Vec<Flight>,
}

/// Whose assignment exists.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(crate) enum There {
    Nothing,
    Ours,
    Standing,
}

/// A call on its way to its effect.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(crate) struct Flight {
    pub(crate) operation: Operation,
    /// Without effect from this tick on.
    pub(crate) until: u8,
}

/// One process of the activation service.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(crate) struct Replica {
    /// The requests as its read model shows them.
    pub(crate) view: [Id; 2],
    /// How many entries of the tail it has read.
    pub(crate) read: u8,
    /// Whether it believes that the duty is its own.
    pub(crate) mine: bool,
    /// Where its errand on the assignment stands. A pause is a step that is not taken.
    pub(crate) step: Step,
}

/// Between which two awaits an errand is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(crate) enum Step {
    /// No errand is under way.
    Idle,
    /// Looked, and about to write what follows from it. `moved`: the ledger has gone on since it was loaded; `loaded`: what it was
    /// then, which only a planted bug asks for.
    Deciding { desired: bool, seen: bool, moved: bool, loaded: Option<Id> },
    /// Nothing was seen after the fence; about to write that.
    Settling { looked_at: u8, moved: bool },
    /// The attempt is in the log. `unread`: entries of the tail before it.
    Intended { attempt: Intended, unread: u8 },
    /// It is still wanted; about to call.
    Cleared { attempt: Intended },
    /// No answer came.
    Unknown { attempt: Intended, since: u8 },
    /// It is known what came of the attempt; about to write that.
    Concluding { attempt: u8, outcome: Outcome },
    /// AWS is as it should be; about to tell the requests. `next`: 0 and 1 activate, 2 and 3 close.
    Telling { needs: Needs, closing: [bool; 2], presence: Option<Presence>, next: u8 },
}

/// An attempt that a replica has written.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(crate) struct Intended {
    pub(crate) number: u8,
    pub(crate) operation: Operation,
    pub(crate) at: u8,
    /// Whether it was right, by what the log held: at the attempt, or when it was decided on again.
    pub(crate) right: bool,
}

/// What became of an attempt, as a replica knows it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(crate) enum Outcome {
    Abandoned,
    Confirmed,
    Failed { definite: bool },
}

/// How each request needs the assignment, as a replica sees it.
pub(crate) type Needs = [Need; 2];

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(crate) enum Need {
    Not,
    /// Live, and to be told that it is active.
    Waiting,
    Active,
}

/// What has happened so far, of what is bounded.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(crate) struct Spent {
    pub(crate) early_ends: u8,
    pub(crate) attempts: u8,
    pub(crate) crashes: u8,
    pub(crate) handovers: u8,
    pub(crate) lost_answers: u8,
    pub(crate) refusals: u8,
}

impl State {
    /// The same with the replicas' names exchanged, if that is the smaller of the two: nothing depends on who is who.
    pub(crate) fn representative(&self) -> Self {
        let mut other = self.clone();
        other.replicas.swap(0, 1);
        for (holder, _) in &mut other.claims {
            *holder = 1 - *holder;
        }
        for entry in &mut other.tail {
            if let Entry::Duty(holder) = entry {
                *holder = 1 - *holder;
            }
        }
        if other < *self { other } else { self.clone() }
    }

    /// What both replicas have read is in both views; only the rest of the log has an order that matters.
    pub(crate) fn forget_what_both_have_read(&mut self) {
        let read = self.replicas[0].read.min(self.replicas[1].read);
        self.tail.drain(..usize::from(read));
        for replica in &mut self.replicas {
            replica.read -= read;
        }
    }

    /// Notes that a rule was broken.
    pub(crate) fn breaks(&mut self, rule: Rule) {
        if !self.broken.contains(&rule) {
            self.broken.push(rule);
        }
    }
}

/// The shape of a closing, without whom it is carried by.
pub(crate) fn is_carried(how: &ClosedHow) -> bool {
    matches!(how, ClosedHow::CarriedBy(_))
}
