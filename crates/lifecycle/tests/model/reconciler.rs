//! Two replicas of the reconciler, two overlapping requests on one assignment, and everything that can come between.

mod bounds;
mod essence;
mod plant;
mod process;
mod shell;
mod state;
mod tests;
mod world;

use crate::pool::{Id, Pool};
use crate::support::{acting, for_secs, from_for, raising, request_id, yes};
use bounds::Bounds;
use lifecycle::assignment::{Ledger, Presence};
use lifecycle::raise::{Raise, raise};
use lifecycle::state::{Closure, Phase};
use lifecycle::{Request, RequestEvent, review};
use plant::Plant;
use shell::Look;
use state::{Aws, Replica, Rule, Spent, State, Step, There, is_carried};
use stateright::{Model, Property};
use std::sync::Arc;
use world::{Answer, instant, ticks};

/// The model.
pub(crate) struct Reconciler {
    pub(crate) bounds: Bounds,
    pub(crate) plant: Option<Plant>,
    stories: Pool<Request>,
    ledgers: Pool<Option<Ledger>>,
}

/// What happens next. Replicas are numbered; so are requests.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) enum Action {
    Tick,
    /// The second request is approved.
    Approve,
    /// Ada takes it back if it has not begun; else an administrator revokes it.
    End(usize),
    /// A call of which nobody was told takes effect.
    Land(usize),
    /// A replica reads one event.
    Read(usize),
    /// A replica takes the duty over.
    Claim(usize),
    /// A replica sees to a request itself.
    Attend(usize, usize),
    /// A replica begins a round on the assignment.
    Begin(usize, Look),
    /// A replica goes on with its round.
    Step(usize, Look, Option<Answer>),
    /// A replica dies, and starts again.
    Crash(usize),
}

impl Reconciler {
    pub(crate) fn new(bounds: Bounds, plant: Option<Plant>) -> Self {
        Self { bounds, plant, stories: Pool::new(), ledgers: Pool::new() }
    }

    fn story(&self, id: Id) -> Arc<Request> {
        self.stories.get(id)
    }

    fn ledger(&self, id: Id) -> Arc<Option<Ledger>> {
        self.ledgers.get(id)
    }

    /// Ada asks for two ticks from approval on, which Bob gives at once; and for two ticks from the first on, which is open.
    fn first_stories(&self) -> [Id; 2] {
        let two_ticks = ticks(2).as_secs();
        let first = raise(Raise { asked: for_secs(two_ticks), ..raising() }).unwrap();
        let second =
            Raise { id: request_id("r2"), asked: from_for(ticks(1).as_secs(), two_ticks), ..raising() };
        let second = raise(second).unwrap();
        let fold = |event: &RequestEvent| Request::evolve(None, event, instant(0)).unwrap();
        let (first, second) = (fold(&first), fold(&second));
        let approved = review::approve(&first, yes(acting("bob"), &["approvers"], 0)).unwrap();
        let first = Request::evolve(Some(first), &approved, instant(0)).unwrap();
        [first, second].map(|story| self.stories.id(essence::of_story(story)))
    }

    fn any_story(&self, state: &State, matches: impl Fn(&Request) -> bool) -> bool {
        state.stories.iter().any(|story| matches(&self.story(*story)))
    }
}

impl Model for Reconciler {
    type State = State;
    type Action = Action;

    fn init_states(&self) -> Vec<State> {
        let stories = self.first_stories();
        let replica = |mine| Replica { view: stories, read: 0, mine, step: Step::Idle };
        let state = |there| State {
            now: 0,
            stories,
            ledger: self.ledgers.id(None),
            removed_since: [false; 2],
            claims: vec![(0, 0)],
            tail: Vec::new(),
            aws: Aws { there, before: None, flights: Vec::new() },
            replicas: [replica(true), replica(false)],
            spent: Spent::default(),
            unseen_creation: false,
            broken: Vec::new(),
        };
        vec![state(if self.bounds.standing { There::Standing } else { There::Nothing })]
    }

    fn actions(&self, state: &State, actions: &mut Vec<Action>) {
        const LOOKS: [Look; 3] = [Look::No, Look::Shows(false), Look::Shows(true)];
        const ANSWERS: [Answer; 4] = [Answer::Done, Answer::Lost, Answer::Later, Answer::Refused];
        if !state.broken.is_empty() {
            return;
        }
        actions.extend([Action::Tick, Action::Approve, Action::End(0), Action::End(1)]);
        actions.extend((0..state.aws.flights.len()).map(Action::Land));
        for r in [0, 1] {
            actions.extend([Action::Read(r), Action::Claim(r), Action::Crash(r)]);
            actions.extend([0, 1].map(|which| Action::Attend(r, which)));
            match state.replicas[r].step {
                Step::Idle => actions.extend(LOOKS.map(|look| Action::Begin(r, look))),
                Step::Cleared { .. } => {
                    actions.extend(ANSWERS.map(|answer| Action::Step(r, Look::No, Some(answer))));
                }
                Step::Deciding { .. }
                | Step::Settling { .. }
                | Step::Intended { .. }
                | Step::Unknown { .. }
                | Step::Concluding { .. }
                | Step::Telling { .. } => actions.extend(LOOKS.map(|look| Action::Step(r, look, None))),
            }
        }
    }

    fn next_state(&self, last: &State, action: Action) -> Option<State> {
        let mut state = last.clone();
        match action {
            Action::Tick => self.tick(&mut state),
            Action::Approve => self.approve(&mut state),
            Action::End(which) => self.end(&mut state, which),
            Action::Land(flight) => Self::land(&mut state, flight),
            Action::Read(r) => Self::read(&mut state, r),
            Action::Claim(r) => self.claim(&mut state, r),
            Action::Attend(r, which) => self.attend(&mut state, r, which),
            Action::Begin(r, look) => self.begin(&mut state, r, look),
            Action::Step(r, look, answer) => self.step(&mut state, r, look, answer),
            Action::Crash(r) => self.crash(&mut state, r),
        }?;
        Self::idle_ones_read(&mut state);
        state.forget_what_both_have_read();
        Some(state)
    }

    fn properties(&self) -> Vec<Property<Self>> {
        fn holds(state: &State, rule: Rule) -> bool {
            !state.broken.contains(&rule)
        }
        vec![
            Property::always(rules::S1, |_, state| holds(state, Rule::CreatedForNobody)),
            Property::always(rules::S3, |_, state| holds(state, Rule::RemovedWhileNeeded)),
            Property::always(rules::STANDING, |_, state| holds(state, Rule::RemovedStanding)),
            Property::always(rules::S6, |_, state| holds(state, Rule::CameBack)),
            Property::always(rules::S7, |_, state| holds(state, Rule::NotObserved)),
            Property::always(rules::ONE_ATTEMPT, |model: &Self, state: &State| {
                model.ledger(state.ledger).as_ref().as_ref().is_none_or(|ledger| ledger.open.len() <= 1)
            }),
            Property::always(rules::CLOSED, |model: &Self, state: &State| {
                state.aws.there != There::Ours
                    || model.any_story(state, |request| request.approved().is_ok() || request.is_closing())
            }),
            Property::sometimes(ways::BOTH_ACTIVE, |model: &Self, state: &State| {
                !model
                    .any_story(state, |request| !request.approved().is_ok_and(|(_, active)| active.is_some()))
            }),
            Property::sometimes(ways::CARRIED, |model: &Self, state: &State| {
                model.any_story(state, |request| closed(request).is_some_and(is_carried))
            }),
            Property::sometimes(ways::CLOSED, |model: &Self, state: &State| {
                model.any_story(state, |request| closed(request).is_some())
                    && !model.any_story(state, |request| request.approved().is_ok() || request.is_closing())
            }),
            Property::sometimes(ways::STANDING, |model: &Self, state: &State| {
                state.aws.there == There::Standing
                    && model.any_story(state, |request| {
                        closed(request).is_some_and(|how| *how == lifecycle::event::ClosedHow::Standing)
                    })
            }),
            Property::sometimes(ways::TAKE_OVER, |_, state: &State| state.claims.len() > 1),
            Property::sometimes(ways::LATE_CREATION, |model: &Self, state: &State| {
                model
                    .ledger(state.ledger)
                    .as_ref()
                    .as_ref()
                    .is_some_and(|ledger| ledger.presence == Presence::Ours && ledger.fence.is_some())
            }),
            Property::sometimes(ways::AWAY, |model: &Self, state: &State| {
                let there = model
                    .ledger(state.ledger)
                    .as_ref()
                    .as_ref()
                    .is_some_and(|ledger| ledger.presence == Presence::Ours && ledger.open.is_empty());
                there
                    && state.aws.there == There::Nothing
                    && model.any_story(state, |request| {
                        request.is_live(instant(state.now))
                            && request.approved().is_ok_and(|(_, active)| active.is_some())
                    })
            }),
        ]
    }
}

/// The names of the properties.
pub(crate) mod rules {
    pub(crate) const S1: &str = "S1 created only under an attempt while a live request needs it";
    pub(crate) const S3: &str = "S3 removed only under an attempt while no live request needs it";
    pub(crate) const STANDING: &str = "S3 a standing assignment is never removed";
    pub(crate) const S6: &str = "S6 what is over stays over";
    pub(crate) const S7: &str = "S7 a creation of unknown outcome is looked at before another";
    pub(crate) const ONE_ATTEMPT: &str =
        "one attempt at a time: a writer who has not seen the last event loses";
    pub(crate) const CLOSED: &str =
        "closed is final: when nobody needs it and all is closed, nothing of ours is there";
    pub(crate) const ALL: [&str; 7] = [S1, S3, STANDING, S6, S7, ONE_ATTEMPT, CLOSED];
}

/// The names of what must happen somewhere.
pub(crate) mod ways {
    pub(crate) const BOTH_ACTIVE: &str = "both requests are active";
    pub(crate) const CARRIED: &str = "one is carried by the other";
    pub(crate) const CLOSED: &str = "what was approved is closed";
    pub(crate) const STANDING: &str = "a standing assignment outlives a request";
    pub(crate) const TAKE_OVER: &str = "the other replica takes over";
    pub(crate) const LATE_CREATION: &str = "a late creation is found, and known as ours";
    /// Not as it should be, but bounded by the next look: see `docs/simulation.md`.
    pub(crate) const AWAY: &str = "a late removal takes a newer access away, until the next look";
}

fn closed(request: &Request) -> Option<&lifecycle::event::ClosedHow> {
    match &request.phase {
        Phase::Ended { closure: Closure::Closed { how, .. }, .. } => Some(how),
        Phase::Ended { closure: Closure::Closing, .. }
        | Phase::Pending
        | Phase::Expired { .. }
        | Phase::Rejected { .. }
        | Phase::Approved { .. } => None,
    }
}
