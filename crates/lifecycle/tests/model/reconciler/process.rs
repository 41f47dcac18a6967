//! What a replica does beside its errand on the assignment: read, die, take the duty over, see to a request itself. Mirrors
//! `services/activation/src`.

use super::Reconciler;
use super::bounds::PATIENCE;
use super::state::{Entry, State, Step};
use super::world::{instant, ticks};
use lifecycle::duty::{self, Claim, Duty, DutyClaimed};
use lifecycle::event::ClosedHow;
use lifecycle::state::{Closure, Phase};
use lifecycle::{Request, access};

fn name(replica: u8) -> String {
    format!("replica-{replica}")
}

impl Reconciler {
    /// The read model takes up one event. (`views::Requests`; `Agenda::refresh`)
    pub(super) fn read(state: &mut State, r: usize) -> Option<()> {
        let entry = *state.tail.get(usize::from(state.replicas[r].read))?;
        let replica = &mut state.replicas[r];
        replica.read += 1;
        match entry {
            Entry::Story(which, story) => replica.view[which] = story,
            Entry::Duty(holder) => replica.mine = usize::from(holder) == r,
        }
        if let Step::Intended { unread, .. } = &mut replica.step {
            *unread = unread.saturating_sub(1);
        }
        Some(())
    }

    /// A replica that neither holds the duty nor is in the middle of something reads at once. What it would do with an older
    /// view, a holder does too.
    pub(super) fn idle_ones_read(state: &mut State) {
        for r in [0, 1] {
            if state.replicas[r].step == Step::Idle && !state.replicas[r].mine {
                while Self::read(state, r).is_some() {}
            }
        }
    }

    /// The process dies in the middle of something; the next one begins when its views have caught up.
    pub(super) fn crash(&self, state: &mut State, r: usize) -> Option<()> {
        if state.replicas[r].step == Step::Idle || state.spent.crashes >= self.bounds.crashes {
            return None;
        }
        state.spent.crashes += 1;
        while Self::read(state, r).is_some() {}
        state.replicas[r].step = Step::Idle;
        Some(())
    }

    /// Takes over the duty, if work waits for too long. (`lifecycle::duty::claim`, under a compare-and-set)
    pub(super) fn claim(&self, state: &mut State, r: usize) -> Option<()> {
        if state.replicas[r].mine || state.spent.handovers >= self.bounds.handovers {
            return None;
        }
        let now = instant(state.now);
        let due = |request: &Request| match &request.phase {
            Phase::Approved { grant, active: None } => Some(grant.approved.window.start()),
            Phase::Approved { grant, active: Some(_) } => Some(grant.approved.window.end()),
            Phase::Ended { at, closure: Closure::Closing, .. } => Some(*at),
            Phase::Ended { closure: Closure::Closed { .. }, .. }
            | Phase::Pending
            | Phase::Expired { .. }
            | Phase::Rejected { .. } => None,
        };
        let waiting = state.replicas[r].view.iter().filter_map(|story| due(&self.story(*story)));
        let held = state.claims.iter().fold(None, |duty, (holder, tick)| {
            Duty::evolve(duty, &DutyClaimed { holder: name(*holder) }, instant(*tick))
        });
        let replica = u8::try_from(r).unwrap();
        let waiting_since = waiting.filter(|since| *since <= now).min();
        let claim = Claim { replica: name(replica), waiting_since, patience: ticks(PATIENCE), at: now };
        duty::claim(held.as_ref(), claim).ok()?;
        state.claims.push((replica, state.now));
        state.spent.handovers += 1;
        state.tail.push(Entry::Duty(replica));
        state.replicas[r].mine = true;
        Some(())
    }

    /// What is due for a request itself. (`agenda/due.rs`: `attend_at`; `lifetime.rs`: `attend_approved`, `attend_closing`)
    pub(super) fn attend(&self, state: &mut State, r: usize, which: usize) -> Option<()> {
        if !state.replicas[r].mine {
            return None;
        }
        let now = instant(state.now);
        let seen = self.story(state.replicas[r].view[which]);
        let request = self.story(state.stories[which]);
        let decided = match &seen.phase {
            Phase::Approved { grant, active } if now >= grant.approved.window.end() => {
                if active.is_some() {
                    access::elapse(&request, now)
                } else {
                    access::fail(&request, "NotInTime".to_owned())
                }
            }
            Phase::Ended { closure: Closure::Closing, .. } if never_begun(&seen) => {
                access::close(&request, ClosedHow::NothingCreated, now)
            }
            Phase::Approved { .. }
            | Phase::Ended { .. }
            | Phase::Pending
            | Phase::Expired { .. }
            | Phase::Rejected { .. } => return None,
        };
        self.tell(state, which, &decided.ok()?);
        Some(())
    }
}

/// (`agenda/due.rs`: `never_begun`)
pub(super) fn never_begun(request: &Request) -> bool {
    match &request.phase {
        Phase::Ended { active: None, at, .. } => request.window().is_none_or(|window| *at < window.start()),
        Phase::Ended { active: Some(_), .. }
        | Phase::Pending
        | Phase::Approved { .. }
        | Phase::Expired { .. }
        | Phase::Rejected { .. } => false,
    }
}
