//! One errand on the assignment, from await to await, mirroring `services/activation/src/assignment`.
//!
//! Not mirrored, for the model's clock is one and always right, everybody stays eligible, and people neither adopt nor give up: that an
//! attempt is made for nobody by the log's time (`Needed::is_made_by`, `WindowOver`); that it cannot be told who needs it (`unsure`,
//! `asked_again`); what becomes of what others removed (`Missing`), nor, therefore, the look after a removal that AWS says has failed
//! (`observe_failed`), which finds it here; that something is adopted, or given up; giving way to what is more urgent, and looks ahead
//! of a start.

use super::Reconciler;
use super::bounds::{CREATION_PATIENCE, FENCE, LIST_LAG, REMOVAL_PATIENCE, START_WITHIN};
use super::plant::Plant;
use super::process::never_begun;
use super::state::{Intended, Need, Needs, Outcome, State, Step};
use super::world::{Answer, Said, attempt_id, instant, ticks};
use crate::pool::Id;
use crate::support::{HOUR, bound, target, user};
use lifecycle::assignment::{self, AssignmentEvent, AssignmentKey, Ledger, Operation, Presence};
use lifecycle::event::ClosedHow;
use lifecycle::state::Phase;
use lifecycle::{Rejection, Request, access};

/// What a step finds when it looks at AWS, or that it does not look.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) enum Look {
    No,
    Shows(bool),
}

fn key() -> AssignmentKey {
    AssignmentKey { principal: user("aaaa"), target: target() }
}

impl Reconciler {
    /// Begins a round: what is needed, what the ledger says, and a look at AWS where one is due. (`tend.rs`: `round`,
    /// `look_and_decide`, `wait_out`. Whether an assignment was seen a short while ago is left open: both are tried.)
    pub(super) fn begin(&self, state: &mut State, r: usize, look: Look) -> Option<()> {
        if state.replicas[r].step != Step::Idle || !state.replicas[r].mine || !self.is_known(state, r) {
            return None;
        }
        let needs = self.needs(state, r);
        let closing = self.closing(state, r);
        let loaded = self.ledger(state.ledger);
        let any = needs_any(needs);
        let Some(ledger) = loaded.as_ref() else {
            return if any {
                self.look_and_decide(state, r, needs, closing, look)
            } else {
                no_look(look)?;
                self.settled(state, r, needs, closing)
            };
        };
        if let Some((_, open)) = ledger.attempt() {
            let number = (1..=state.spent.attempts).find(|n| ledger.open.contains_key(&attempt_id(*n)))?;
            let attempt = Intended { number, operation: open.operation, at: tick_of(open.at), right: true };
            return self.resolve(state, r, attempt, look);
        }
        if any {
            if ledger.presence != Presence::Absent {
                match look {
                    Look::No => return self.settled(state, r, needs, closing),
                    // A list that may be behind the ledger's last event is not asked.
                    Look::Shows(_) if may_be_stale(ledger, state.now) => return None,
                    Look::Shows(_) => {}
                }
            }
            return self.look_and_decide(state, r, needs, closing, look);
        }
        match (ledger.presence, ledger.fence) {
            (Presence::Ours, _) => {
                no_look(look)?;
                self.intend(state, r, needs, closing, true)
            }
            (Presence::Absent | Presence::Standing, None) => {
                no_look(look)?;
                self.settled(state, r, needs, closing)
            }
            (Presence::Absent | Presence::Standing, Some(fence)) => {
                let Look::Shows(shows) = look else { return None };
                let seen = self.look(state, shows)?;
                if seen && !may_be_stale(ledger, state.now) {
                    return self.intend(state, r, needs, closing, true);
                }
                if seen || instant(state.now) < fence {
                    return None;
                }
                state.replicas[r].step = Step::Settling { looked_at: state.now, moved: false };
                Some(())
            }
        }
    }

    /// Which requests need it, as the view stands; of one that is not active yet, the log is asked as well. (`need.rs`)
    fn needs(&self, state: &State, r: usize) -> Needs {
        let now = instant(state.now);
        if self.plant == Some(Plant::OneRequestAlone) && self.closing(state, r).contains(&true) {
            return [Need::Not; 2];
        }
        [0, 1].map(|which| {
            let request = self.story(state.replicas[r].view[which]);
            if !request.is_live(now) {
                return Need::Not;
            }
            if request.approved().is_ok_and(|(_, active)| active.is_some()) {
                return Need::Active;
            }
            let asked = self.plant != Some(Plant::StaleNeed);
            if asked && !self.story(state.stories[which]).is_live(now) { Need::Not } else { Need::Waiting }
        })
    }

    fn closing(&self, state: &State, r: usize) -> [bool; 2] {
        [0, 1].map(|which| self.story(state.replicas[r].view[which]).is_closing())
    }

    /// Whether the agenda has the assignment. (`agenda.rs`: `take_up`, `forget`; `agenda/due.rs`: `tend_at`)
    fn is_known(&self, state: &State, r: usize) -> bool {
        state.replicas[r].view.iter().any(|story| {
            let request = self.story(*story);
            request.approved().is_ok() || (request.is_closing() && !never_begun(&request))
        })
    }

    fn look_and_decide(
        &self,
        state: &mut State,
        r: usize,
        needs: Needs,
        closing: [bool; 2],
        look: Look,
    ) -> Option<()> {
        if self.plant == Some(Plant::NoObservation) {
            no_look(look)?;
            return self.intend(state, r, needs, closing, false);
        }
        let Look::Shows(shows) = look else { return None };
        let found = self.look(state, shows)?;
        let ledger = self.ledger(state.ledger);
        let behind = ledger
            .as_ref()
            .as_ref()
            .is_some_and(|ledger| ledger.presence == Presence::Absent && may_be_stale(ledger, state.now));
        self.intend(state, r, needs, closing, found && !behind)
    }

    /// (`tend.rs`: `intend`, up to its append. Where nothing is to be written there is nothing between look and next step.)
    fn intend(
        &self,
        state: &mut State,
        r: usize,
        needs: Needs,
        closing: [bool; 2],
        seen: bool,
    ) -> Option<()> {
        let loaded = self.ledger(state.ledger);
        let decided = self.decide(state, loaded.as_ref().as_ref(), needs_any(needs), seen);
        if let Err(Rejection::AsItShouldBe | Rejection::Standing) = decided {
            return self.settled(state, r, needs, closing);
        }
        let loaded = (self.plant == Some(Plant::NoCompareAndSet)).then_some(state.ledger);
        state.replicas[r].step = Step::Deciding { desired: needs_any(needs), seen, moved: false, loaded };
        Some(())
    }

    fn decide(
        &self,
        state: &State,
        ledger: Option<&Ledger>,
        desired: bool,
        seen: bool,
    ) -> Result<AssignmentEvent, Rejection> {
        let fence = if self.plant == Some(Plant::NoFence) { 0 } else { FENCE };
        assignment::attempt(ledger, &key(), desired, seen, instant(state.now + fence))
    }

    /// The next step of an errand under way. `look` and `answer` are what the step meets, where it meets something.
    pub(super) fn step(&self, state: &mut State, r: usize, look: Look, answer: Option<Answer>) -> Option<()> {
        let calls = matches!(state.replicas[r].step, Step::Cleared { .. });
        if calls != answer.is_some() {
            return None;
        }
        match state.replicas[r].step {
            Step::Idle => None,
            Step::Deciding { desired, seen, moved, loaded } => {
                no_look(look)?;
                if moved && loaded.is_none() {
                    state.replicas[r].step = Step::Idle;
                    return Some(());
                }
                self.write(state, r, loaded.unwrap_or(state.ledger), desired, seen)
            }
            Step::Settling { looked_at, moved } => {
                no_look(look)?;
                state.replicas[r].step = Step::Idle;
                let ledger = self.ledger(state.ledger);
                if !moved
                    && let Some(ledger) = ledger.as_ref()
                    && let Ok(settled) = assignment::settle(ledger, instant(looked_at))
                {
                    self.record(state, &settled, 0);
                }
                Some(())
            }
            Step::Intended { attempt, unread } => {
                no_look(look)?;
                self.decide_again(state, r, attempt, unread)
            }
            Step::Cleared { attempt } => {
                no_look(look)?;
                self.carry_out(state, r, attempt, answer?)
            }
            Step::Unknown { attempt, since } => self.observe_own(state, r, attempt, since, look),
            Step::Concluding { attempt, outcome } => {
                no_look(look)?;
                state.replicas[r].step = Step::Idle;
                self.conclude(state, attempt, outcome);
                Some(())
            }
            Step::Telling { needs, closing, presence, next } => {
                no_look(look)?;
                self.tell_next(state, r, needs, presence, next);
                self.telling(state, r, Step::Telling { needs, closing, presence, next: next + 1 });
                Some(())
            }
        }
    }

    /// (`tend.rs`: `intend`, its append and what follows; `ledger.rs`: `write`)
    fn write(&self, state: &mut State, r: usize, loaded: Id, desired: bool, seen: bool) -> Option<()> {
        let loaded = self.ledger(loaded);
        let decided = self.decide(state, loaded.as_ref().as_ref(), desired, seen);
        state.replicas[r].step = Step::Idle;
        let Ok(event) = decided else { return Some(()) };
        let AssignmentEvent::Attempted { operation, .. } = event else {
            self.record(state, &event, 0);
            return Some(());
        };
        if state.spent.attempts >= self.bounds.attempts {
            return None;
        }
        if operation == Operation::Create && state.unseen_creation {
            state.breaks(super::state::Rule::NotObserved);
        }
        state.spent.attempts += 1;
        let number = state.spent.attempts;
        self.record(state, &event, number);
        let attempt = Intended { number, operation, at: state.now, right: self.is_right(state, operation) };
        let unread = u8::try_from(state.tail.len()).unwrap() - state.replicas[r].read;
        state.replicas[r].step = if self.plant == Some(Plant::NoSecondDecision) {
            Step::Cleared { attempt }
        } else {
            Step::Intended { attempt, unread }
        };
        Some(())
    }

    fn is_right(&self, state: &State, operation: Operation) -> bool {
        self.is_needed(state) == (operation == Operation::Create)
    }

    /// Catches up to the attempt, and computes again what is desired. (`attempt.rs`: `still_wanted`)
    fn decide_again(&self, state: &mut State, r: usize, mut attempt: Intended, unread: u8) -> Option<()> {
        if unread > 0 {
            return None;
        }
        let any = needs_any(self.needs(state, r));
        let wanted = any == (attempt.operation == Operation::Create);
        state.replicas[r].step = if wanted && state.now < attempt.at + START_WITHIN {
            attempt.right |= self.is_right(state, attempt.operation);
            Step::Cleared { attempt }
        } else {
            Step::Concluding { attempt: attempt.number, outcome: Outcome::Abandoned }
        };
        Some(())
    }

    /// (`attempt.rs`: `carry_out`, `create`, `delete`, `poll`)
    fn carry_out(&self, state: &mut State, r: usize, attempt: Intended, answer: Answer) -> Option<()> {
        let said = self.call(state, attempt, answer)?;
        let outcome = match said {
            Said::Done => Outcome::Confirmed,
            Said::Refused => Outcome::Failed { definite: true },
            Said::Nothing if self.plant == Some(Plant::NoObservation) => Outcome::Failed { definite: false },
            Said::Nothing => {
                state.replicas[r].step = Step::Unknown { attempt, since: state.now };
                return Some(());
            }
        };
        state.replicas[r].step = Step::Concluding { attempt: attempt.number, outcome };
        Some(())
    }

    /// (`observe.rs`: `observe_own`)
    fn observe_own(
        &self,
        state: &mut State,
        r: usize,
        attempt: Intended,
        since: u8,
        look: Look,
    ) -> Option<()> {
        if state.now < since + LIST_LAG {
            return None;
        }
        let Look::Shows(shows) = look else { return None };
        let seen = self.look(state, shows)?;
        let outcome = if seen == (attempt.operation == Operation::Create) {
            Outcome::Confirmed
        } else {
            Outcome::Failed { definite: self.is_final(attempt, state.now) }
        };
        state.replicas[r].step = Step::Concluding { attempt: attempt.number, outcome };
        Some(())
    }

    /// An attempt that was found open. (`observe.rs`: `resolve`)
    fn resolve(&self, state: &mut State, r: usize, attempt: Intended, look: Look) -> Option<()> {
        if state.now < attempt.at + LIST_LAG {
            return None;
        }
        let Look::Shows(shows) = look else { return None };
        let as_intended = self.look(state, shows)? == (attempt.operation == Operation::Create);
        let patience = match attempt.operation {
            Operation::Create => CREATION_PATIENCE,
            Operation::Delete => REMOVAL_PATIENCE,
        };
        if !as_intended && state.now < attempt.at + patience {
            return None;
        }
        let outcome = if as_intended {
            Outcome::Confirmed
        } else {
            Outcome::Failed { definite: self.is_final(attempt, state.now) }
        };
        state.replicas[r].step = Step::Concluding { attempt: attempt.number, outcome };
        Some(())
    }

    fn is_final(&self, attempt: Intended, looked_at: u8) -> bool {
        let fence = if self.plant == Some(Plant::NoFence) { 0 } else { FENCE };
        looked_at >= attempt.at + fence
    }

    /// (`ledger.rs`: `conclude`; that another has said it is no fault)
    fn conclude(&self, state: &mut State, number: u8, outcome: Outcome) {
        let loaded = self.ledger(state.ledger);
        let Some(ledger) = loaded.as_ref() else { return };
        let attempt = attempt_id(number);
        let decided = match outcome {
            Outcome::Abandoned => assignment::abandon(ledger, attempt),
            Outcome::Confirmed => assignment::confirm(ledger, attempt),
            Outcome::Failed { definite } => assignment::fail(ledger, attempt, "Failed".to_owned(), definite),
        };
        if let Ok(event) = decided {
            self.record(state, &event, 0);
        }
    }

    /// AWS is as it should be. (`tend.rs`: `settled`; nothing, if there is nobody to tell)
    fn settled(&self, state: &mut State, r: usize, needs: Needs, closing: [bool; 2]) -> Option<()> {
        let presence = self.ledger(state.ledger).as_ref().as_ref().map(|ledger| ledger.presence);
        self.telling(state, r, Step::Telling { needs, closing, presence, next: 0 });
        (state.replicas[r].step != Step::Idle).then_some(())
    }

    /// Goes on to the next request that is to be told something.
    fn telling(&self, state: &mut State, r: usize, step: Step) {
        let Step::Telling { needs, closing, presence, next } = step else { return };
        let closing = if self.plant == Some(Plant::LateClosing) { self.closing(state, r) } else { closing };
        let todo = [needs[0] == Need::Waiting, needs[1] == Need::Waiting, closing[0], closing[1]];
        state.replicas[r].step = match (next..4).find(|item| todo[usize::from(*item)]) {
            Some(next) => Step::Telling { needs, closing, presence, next },
            None => Step::Idle,
        };
    }

    fn tell_next(&self, state: &mut State, r: usize, needs: Needs, presence: Option<Presence>, next: u8) {
        let which = usize::from(next % 2);
        let request = self.story(state.stories[which]);
        let now = instant(state.now);
        let decided = if next < 2 {
            let standing = presence == Some(Presence::Standing);
            access::activate(&request, bound(), standing, now)
        } else {
            let seen = self.story(state.replicas[r].view[which]);
            access::close(&request, self.how_closed(state, which, &seen, needs, presence), now)
        };
        if let Ok(event) = decided {
            self.tell(state, which, &event);
        }
    }

    /// (`tend.rs`: `how_closed`)
    fn how_closed(
        &self,
        state: &State,
        which: usize,
        request: &Request,
        needs: Needs,
        presence: Option<Presence>,
    ) -> ClosedHow {
        let (Some(presence), false) = (presence, never_begun(request)) else {
            return ClosedHow::NothingCreated;
        };
        let Phase::Ended { active, .. } = &request.phase else { return ClosedHow::NothingCreated };
        if presence == Presence::Standing {
            return ClosedHow::Standing;
        }
        let carrier = needs
            .iter()
            .rposition(|need| *need == Need::Active)
            .or_else(|| needs.iter().position(|need| *need == Need::Waiting));
        if let Some(carrier) = carrier {
            return ClosedHow::CarriedBy(self.story(state.stories[carrier]).raised.id);
        }
        let stood = active.is_some_and(|active| active.activated.standing);
        let removed = state.removed_since[which];
        if stood && !removed {
            return ClosedHow::Standing;
        }
        if active.is_some() || removed { ClosedHow::Deleted } else { ClosedHow::NothingCreated }
    }
}

fn needs_any(needs: Needs) -> bool {
    needs.iter().any(|need| *need != Need::Not)
}

fn no_look(look: Look) -> Option<()> {
    (look == Look::No).then_some(())
}

fn may_be_stale(ledger: &Ledger, now: u8) -> bool {
    instant(now).duration_since(ledger.last_at) < ticks(LIST_LAG)
}

fn tick_of(at: domain::Timestamp) -> u8 {
    let second = at.duration_since(instant(0)).as_secs();
    assert!(second < HOUR);
    u8::try_from(second / 60).unwrap()
}
