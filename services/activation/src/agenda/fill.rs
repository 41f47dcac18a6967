//! Filling the agenda from the read model: what is due first, the rest beside the work, and then change by change.
//!
//! INVARIANT: who decides about one assignment has all that is about it, and who asks what there is in all waits for everything. So
//! what is not taken up yet is never taken for what does not exist: no assignment is removed that a request needs which nobody has
//! read yet.

use super::{Agenda, Errand, State};
use crate::core::later;
use crate::fault::Fault;
use domain::{RequestId, SignedDuration, Timestamp};
use lifecycle::assignment::AssignmentKey;
use lifecycle::state::Status;
use std::collections::BTreeSet;
use views::requests::{Due, Selection, StoryError};
use views::{Requests, Story};

/// Changes, or requests that are due, that are taken up with one question to the read model.
const CHANGES_PAGE: usize = 500;

/// Of what is not due, so much is taken up at a time: errands wait for it, a few milliseconds.
const REST_PAGE: usize = 100;

/// By how much a clock is set back that keeps time.
const CLOCK_STEADY: SignedDuration = SignedDuration::from_secs(1);

/// What must be known at least, beyond what has changed.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Extent<'a> {
    /// What is due. Where that is much, it is taken up by parts: one each time.
    Due,
    /// All about one assignment.
    About(&'a AssignmentKey),
    /// Everything, by smaller parts.
    All,
}

/// How far the agenda is filled.
#[derive(Default)]
pub(super) struct Filling {
    /// Up to here in the order in which requests fall due.
    to: Option<Due>,
    /// What was taken up since it began, in whatever order.
    taken_up: BTreeSet<RequestId>,
}

impl Filling {
    /// Whether everything is taken up that is due by `by`.
    fn is_beyond(&self, by: Timestamp) -> bool {
        self.to.is_some_and(|(due, _)| due > by.as_millisecond())
    }
}

impl Agenda {
    /// Takes up what the read model shows beyond the last time, and of what is not taken up yet as much as `extent` says; says
    /// whether that was all. Nothing may be decided by what is known while the read model is being made anew: its positions run from
    /// the beginning again, and say nothing of what has been taken up.
    pub(crate) fn refresh(
        &self,
        requests: &Requests,
        now: Timestamp,
        extent: Extent<'_>,
    ) -> Result<bool, Fault> {
        if !requests.projection().is_caught_up() {
            return Err(Fault::Behind);
        }
        let mut state = self.lock();
        self.take_up_changes(&mut state, requests, now)?;
        self.fill(&mut state, requests, now, extent)?;
        if !requests.projection().is_caught_up() {
            // It was begun anew meanwhile, and may have shown less than there is.
            state.cursor = None;
            return Err(Fault::Behind);
        }
        let whole = state.filling.is_none();
        self.whole.send_if_modified(|before| std::mem::replace(before, whole) != whole);
        Ok(whole)
    }

    /// Returns once everything is taken up, or (`false`) once something is not.
    pub(crate) async fn until_whole(&self, whole: bool) {
        // The sender lives as long as the agenda.
        let _ = self.whole.subscribe().wait_for(|now| *now == whole).await;
    }

    /// Whether everything is taken up that is due at `now`.
    pub(crate) fn knows_due(&self, now: Timestamp) -> bool {
        let state = self.lock();
        state.cursor.is_some() && state.filling.as_ref().is_none_or(|filling| filling.is_beyond(now))
    }

    fn take_up_changes(
        &self,
        state: &mut State,
        requests: &Requests,
        now: Timestamp,
    ) -> Result<(), StoryError> {
        let applied = requests.projection().applied();
        let set_back = later(now, CLOCK_STEADY) < state.newest_now;
        state.newest_now = if set_back { now } else { state.newest_now.max(now) };
        if set_back {
            // Of what was noted by a clock that was ahead, nothing is known but that it was by now.
            state.sign_of_life = state.sign_of_life.map(|at| at.min(now));
            state.came_of_aws_at.values_mut().for_each(|at| *at = (*at).min(now));
            state.seen_by(now);
        }
        let Some(mut cursor) = state.cursor.filter(|cursor| *cursor <= applied && !set_back) else {
            // Never filled, or the read model was made anew; or our clock was set back, and what is to be done again waits for a
            // time that was counted from a wrong one.
            state.filling = Some(Filling::default());
            for key in state.orphans.clone() {
                state.schedule(Errand::Tend(key), now);
            }
            state.cursor = Some(applied);
            return Ok(());
        };
        // Until it is approved, a request is none of ours. One that became active and cannot be read any further since keeps what it
        // has until its end.
        let granted = Selection {
            statuses: [Status::Approved, Status::Ended].into(),
            damaged: true,
            ..Selection::default()
        };
        while cursor < applied {
            let changed = requests.selected_since(&granted, cursor, CHANGES_PAGE)?;
            let more = changed.len() == CHANGES_PAGE;
            for (_, story) in changed {
                cursor = cursor.max(story.position);
                if let Some(filling) = &mut state.filling {
                    filling.taken_up.insert(story.request.raised.id);
                }
                state.note_change(&story.request, now, self.outstanding_max);
                state.take_up(story.request, now, self.ahead_of_start);
            }
            if !more {
                cursor = cursor.max(applied);
            }
        }
        state.cursor = Some(cursor);
        Ok(())
    }

    /// What changes while this goes on is among the changes: the rest keeps its place in the order.
    fn fill(
        &self,
        state: &mut State,
        requests: &Requests,
        now: Timestamp,
        extent: Extent<'_>,
    ) -> Result<(), StoryError> {
        let Some(filling) = &state.filling else { return Ok(()) };
        let page = match extent {
            Extent::Due if filling.is_beyond(later(now, self.ahead_of_start)) => return Ok(()),
            Extent::Due => CHANGES_PAGE,
            Extent::All => REST_PAGE,
            Extent::About(key) => return self.fill_about(state, requests, now, key),
        };
        let (stories, next) = requests.unfinished(filling.to, page)?;
        self.take_up_once(state, stories.into_iter().map(|(_, story)| story).collect(), now);
        if next.is_some() {
            if let Some(filling) = &mut state.filling {
                filling.to = next;
            }
        } else if requests.projection().is_caught_up() {
            let taken_up = state.filling.take().unwrap_or_default().taken_up;
            let gone: Vec<RequestId> =
                state.requests.keys().filter(|id| !taken_up.contains(id)).copied().collect();
            state.forget_all(gone);
        }
        Ok(())
    }

    fn fill_about(
        &self,
        state: &mut State,
        requests: &Requests,
        now: Timestamp,
        key: &AssignmentKey,
    ) -> Result<(), StoryError> {
        let stories = requests.unfinished_about(key)?;
        if requests.projection().is_caught_up() {
            let found: BTreeSet<RequestId> = stories.iter().map(|story| story.request.raised.id).collect();
            let known = state.keys.get(key).into_iter().flatten();
            let gone: Vec<RequestId> = known.filter(|id| !found.contains(id)).copied().collect();
            state.forget_all(gone);
        }
        self.take_up_once(state, stories, now);
        Ok(())
    }

    /// What was taken up before is left alone: its errand would begin again each time.
    fn take_up_once(&self, state: &mut State, stories: Vec<Story>, now: Timestamp) {
        for story in stories {
            let id = story.request.raised.id;
            if state.filling.as_mut().is_none_or(|filling| filling.taken_up.insert(id)) {
                state.take_up(story.request, now, self.ahead_of_start);
            }
        }
    }
}

impl State {
    fn forget_all(&mut self, ids: Vec<RequestId>) {
        for id in ids {
            self.forget(id);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::Lane;
    use super::super::given::{ada, at, policy_event, requested};
    use super::*;
    use aws::simulated::sample;
    use command::aggregate::RequestAggregate;
    use command::{Command, Commander};
    use domain::ports::Clock;
    use domain::{
        Actor, Endorsement, EventId, GroupRef, Person, Plan, PrincipalId, Provider, Step, Target, Window,
    };
    use event_log::EventLog;
    use event_log::memory::MemoryLog;
    use journal::{Fact, Service, Stream};
    use lifecycle::RequestEvent;
    use lifecycle::event::{Activated, ApprovalBasis, Approved, Bound};
    use projection::Projection;
    use std::convert::Infallible;
    use std::sync::Arc;
    use views::RequestsModel;

    const AHEAD: SignedDuration = SignedDuration::from_secs(2);

    /// As many windows as are taken up at once; with one that is over, one is left.
    const MANY: std::ops::Range<u64> = 1_000..1_500;

    /// A log with many open windows.
    async fn many() -> MemoryLog {
        let log = MemoryLog::with_id(uuid::Uuid::from_u128(1));
        for number in MANY {
            open(&log, number, number, 10_000).await;
        }
        log
    }

    #[tokio::test(start_paused = true)]
    async fn what_is_over_is_due_before_everything_is_taken_up() {
        let log = many().await;
        let late = open(&log, 1, 1, 20_000).await;
        let over = open(&log, 2, 2, -1).await;
        let requests = read(&log).await;
        let agenda = Agenda::new(10, AHEAD);
        assert!(!agenda.knows_due(at(0)));
        assert!(!agenda.refresh(&requests, at(0), Extent::Due).unwrap());
        assert!(agenda.knows_due(at(0)));
        assert!(agenda.take_due(at(0)).contains(&Errand::Attend(over)));

        assert!(!agenda.refresh(&requests, at(0), Extent::Due).unwrap(), "nothing else is due");
        assert!(agenda.request(&late).is_none());
        assert!(agenda.refresh(&requests, at(0), Extent::All).unwrap());
        assert!(agenda.request(&late).is_some());
        agenda.until_whole(true).await;
    }

    #[tokio::test(start_paused = true)]
    async fn what_needs_an_assignment_is_known_before_everything_is_taken_up() {
        let log = many().await;
        let over = open(&log, 1, 1, -1).await;
        let needing = open(&log, 2, 1, 20_000).await;
        open(&log, 3, 3, 20_000).await;
        let requests = read(&log).await;
        let agenda = Agenda::new(10, AHEAD);
        let about = |agenda: &Agenda| -> BTreeSet<RequestId> {
            agenda.requests_of(&key(1)).iter().map(|request| request.raised.id).collect()
        };
        assert!(!agenda.refresh(&requests, at(0), Extent::Due).unwrap());
        assert_eq!(about(&agenda), BTreeSet::from([over]));
        assert!(!agenda.refresh(&requests, at(0), Extent::About(&key(1))).unwrap());
        assert_eq!(about(&agenda), BTreeSet::from([over, needing]));
    }

    /// Whoever has the duty seemed to be at work for as long as the clock had been ahead, also if they were dead.
    #[tokio::test(start_paused = true)]
    async fn what_was_noted_by_a_clock_that_was_ahead_counts_as_of_now_once_it_is_set_right() {
        let log = MemoryLog::with_id(uuid::Uuid::from_u128(1));
        open(&log, 1, 1, 20_000).await;
        let requests = read(&log).await;
        let agenda = Agenda::new(10, AHEAD);
        agenda.refresh(&requests, at(7_200), Extent::All).unwrap();
        {
            let mut state = agenda.lock();
            state.sign_of_life = Some(at(7_199));
            state.came_of_aws_at.insert(Lane::AccountAccess, at(5));
        }
        for (now, signs) in [(7_205, (7_199, 5)), (10, (10, 5)), (3, (3, 3))] {
            agenda.refresh(&requests, at(now), Extent::All).unwrap();
            let noted = (agenda.sign_of_life(), agenda.came_of_aws_at(Lane::AccountAccess));
            assert_eq!(noted, (Some(at(signs.0)), Some(at(signs.1))), "at {now}");
        }
    }

    struct Fixed;

    impl Clock for Fixed {
        fn now(&self) -> Timestamp {
            at(0)
        }
    }

    async fn record(log: &MemoryLog, service: Service, id: RequestId, step: &str, fact: RequestEvent) {
        let event_id = EventId::from_parts([id.as_bytes().as_slice(), step.as_bytes()]);
        let actor = Some(ada()).filter(|_| service != Service::Activation);
        Commander::new(Arc::new(log.clone()), service, Arc::new(Fixed))
            .execute::<RequestAggregate, Infallible>(
                Stream::Request(id),
                Command { event_id, actor, digest: None, trace: None },
                |_, _| Ok(Fact::Request(fact.clone())),
            )
            .await
            .unwrap();
    }

    fn approvers() -> BTreeSet<GroupRef> {
        [GroupRef::new("identity-store", sample::APPROVERS).unwrap()].into()
    }

    /// Ada's assignment in the account of this number.
    fn key(account: u64) -> AssignmentKey {
        AssignmentKey {
            principal: PrincipalId::new(sample::ADA).unwrap(),
            target: Target::parse(&format!("7{account:011}"), sample::READ_ONLY).unwrap(),
        }
    }

    /// Ada asks for access.
    async fn ask(log: &MemoryLog, number: u64, account: u64) -> RequestId {
        let plan = Plan { steps: vec![Step { count: 1, groups: approvers(), people: BTreeSet::new() }] };
        let requested = requested(number, account, approvers(), plan);
        let id = requested.id;
        record(log, Service::Request, id, "ask", RequestEvent::Requested(Box::new(requested))).await;
        id
    }

    /// It is approved, and not begun.
    async fn approve(log: &MemoryLog, id: RequestId, start: i64, end: i64) {
        let bob = Actor { person: Person::new("https://idp.example", "bob").unwrap(), ..ada() };
        let approved = Approved {
            window: Window::new(at(start), at(end)).unwrap(),
            basis: ApprovalBasis::People,
            approvers: vec![Endorsement {
                approver: bob,
                principal: Some(PrincipalId::new(sample::BOB).unwrap()),
                groups: approvers(),
                at: at(0),
            }],
            policy_event: policy_event(),
            comment: None,
        };
        record(log, Service::Approval, id, "approve", RequestEvent::Approved(approved)).await;
    }

    /// Access that is there until `end`.
    async fn open(log: &MemoryLog, number: u64, account: u64, end: i64) -> RequestId {
        let id = ask(log, number, account).await;
        approve(log, id, -3_600, end).await;
        let bound = Bound {
            at_end: at(end),
            after_early_end: SignedDuration::from_hours(1),
            chained: SignedDuration::ZERO,
        };
        let activated = Activated { provider: Provider::IdentityCenter, bound, standing: false };
        record(log, Service::Activation, id, "activate", RequestEvent::Activated(activated)).await;
        id
    }

    async fn read(log: &MemoryLog) -> Requests {
        let log: Arc<dyn EventLog> = Arc::new(log.clone());
        let (projection, follower) = Projection::open(None, RequestsModel::default(), log).unwrap();
        tokio::select! {
            () = follower.run(std::future::pending()) => {}
            () = projection.caught_up() => {}
        }
        Requests::new(projection)
    }
}
