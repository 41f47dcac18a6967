//! What is remembered of assignments and requests from one errand to the next; gone when no request is left that it concerns.

use super::{Agenda, Errand, State, due};
use crate::core::later;
use domain::{PrincipalId, RequestId, SignedDuration, Timestamp};
use event_log::Revision;
use lifecycle::assignment::AssignmentKey;
use std::collections::BTreeSet;

/// By how much what a list has told of goes before whom the list was made for.
const JUST_BEFORE: SignedDuration = SignedDuration::from_millis(1);

/// A look at AWS: what it tells was so when it began, or after.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Look {
    /// When it began.
    pub(crate) begun_at: Timestamp,
    /// How many had been wanted by then: those it answers.
    wanted_before: u64,
}

/// Of an assignment.
#[derive(Default)]
pub(super) struct KeyNotes {
    /// Since when creating fails.
    failing_since: Option<Timestamp>,
    /// When it was last seen to be as it should; `None` also since a look is wanted.
    looked_at: Option<Timestamp>,
    /// Which look of all that were wanted was the latest at this one; zero: none was.
    look_wanted: u64,
    /// Whether a removal of ours may still take it.
    at_risk: bool,
    /// A look that was made ahead of a start, and whether the assignment was there.
    looked_ahead: Option<(Look, bool)>,
    /// Until when nobody is late with it although it is not final: by its ledger it is absent, and may yet appear.
    pub(super) absent_until: Option<Timestamp>,
    /// The latest event of its ledger, where that was dated ahead of our clock when it was read first: which one, and since when it is
    /// known here.
    dated_ahead: Option<(Revision, Timestamp)>,
}

impl KeyNotes {
    pub(super) const fn is_at_risk(&self) -> bool {
        self.at_risk
    }

    /// Whether a look began after one was last wanted.
    const fn is_answered_by(&self, look: Look) -> bool {
        self.look_wanted <= look.wanted_before
    }
}

/// Of a request.
#[derive(Default)]
pub(super) struct RequestNotes {
    /// What stood in the way of its access last.
    pub(super) obstacle: Option<String>,
    /// Whether somebody was told that it is overdue.
    pub(super) paged: bool,
    /// Until when it, being ended, waits for nothing but the death of its sessions.
    pub(super) held_until: Option<Timestamp>,
    /// Until when nobody can begin it, because its eligibility will not be told any more: its end.
    pub(super) outdated_until: Option<Timestamp>,
    /// When its assignment was gone for good, it being ended.
    gone_at: Option<Timestamp>,
    /// Whether somebody has tried to deny its sessions.
    denied: bool,
    /// Whether somebody was told that its sessions cannot be named.
    nameless: bool,
}

impl State {
    pub(super) fn note_of(&mut self, id: RequestId) -> &mut RequestNotes {
        self.request_notes.entry(id).or_default()
    }

    pub(super) fn held_until(&self, id: &RequestId) -> Option<Timestamp> {
        self.request_notes.get(id)?.held_until
    }

    /// Whether the assignment of an ended request is known to be gone for good: what may be left is sessions.
    pub(super) fn is_gone(&self, id: &RequestId) -> bool {
        self.request_notes.get(id).is_some_and(|notes| notes.gone_at.is_some())
    }

    /// Whether a request needs nothing any more although no event can end it.
    pub(super) fn is_let_go(&self, id: &RequestId) -> bool {
        self.let_go.contains(id)
    }

    /// Until when nothing of what is due for a request can be done.
    pub(super) fn waits_until(&self, id: &RequestId) -> Option<Timestamp> {
        let notes = self.request_notes.get(id)?;
        notes.held_until.max(notes.outdated_until)
    }

    /// Notes that a look at an assignment is wanted that has not begun yet.
    pub(super) fn want_look(&mut self, key: &AssignmentKey) {
        self.looks_wanted += 1;
        let notes = self.notes.entry(key.clone()).or_default();
        notes.look_wanted = self.looks_wanted;
        notes.looked_at = None;
    }

    /// Of what was seen by a clock that was ahead, nothing is known but that it was by now.
    pub(super) fn seen_by(&mut self, now: Timestamp) {
        for notes in self.notes.values_mut() {
            notes.looked_at = notes.looked_at.map(|at| at.min(now));
        }
    }
}

impl Agenda {
    fn of<T>(&self, key: &AssignmentKey, read: impl FnOnce(&KeyNotes) -> Option<T>) -> Option<T> {
        self.lock().notes.get(key).and_then(read)
    }

    fn note<T>(&self, key: &AssignmentKey, write: impl FnOnce(&mut KeyNotes) -> T) -> T {
        write(self.lock().notes.entry(key.clone()).or_default())
    }

    /// Whether an assignment that is as it should be was looked at after `since`.
    pub(crate) fn was_seen_after(&self, key: &AssignmentKey, since: Timestamp) -> bool {
        self.of(key, |notes| notes.looked_at).is_some_and(|at| at > since)
    }

    /// A look at AWS begins.
    pub(crate) fn begin_look(&self, now: Timestamp) -> Look {
        Look { begun_at: now, wanted_before: self.lock().looks_wanted }
    }

    /// Notes that by this look an assignment is as it should be.
    pub(crate) fn note_seen(&self, key: &AssignmentKey, look: Look) {
        self.note(key, |notes| {
            notes.failing_since = None;
            if notes.is_answered_by(look) {
                notes.looked_at = Some(look.begun_at);
            }
        });
    }

    /// When it was last seen to be so.
    pub(crate) fn seen_at(&self, key: &AssignmentKey) -> Option<Timestamp> {
        self.of(key, |notes| notes.looked_at)
    }

    /// Notes what a look at one assignment tells of others, by the list of all who hold the same: those that active
    /// requests have were looked at with it, and are seen to before the list is old. What a removal of ours may still take is looked
    /// at for itself, for more is decided by that.
    pub(crate) fn note_listed(
        &self,
        looked_for: &AssignmentKey,
        holders: &BTreeSet<PrincipalId>,
        look: Look,
    ) {
        let mut state = self.lock();
        let turn = state.queue.due_at(&Errand::Tend(looked_for.clone()));
        for principal in holders.iter().filter(|holder| **holder != looked_for.principal) {
            let key = AssignmentKey { principal: principal.clone(), target: looked_for.target.clone() };
            let mut ids = state.keys.get(&key).into_iter().flatten();
            if !ids.any(|id| state.has_active(id, look.begun_at)) {
                continue;
            }
            let notes = state.notes.entry(key.clone()).or_default();
            if notes.at_risk || !notes.is_answered_by(look) {
                continue;
            }
            notes.looked_at = notes.looked_at.max(Some(look.begun_at));
            if let Some(turn) = turn {
                state.queue.advance(&Errand::Tend(key), later(turn, -JUST_BEFORE), look.begun_at);
            }
        }
    }

    /// Notes whether a removal of ours may still take an assignment: if so, it is looked at before others are.
    pub(crate) fn note_at_risk(&self, key: &AssignmentKey, at_risk: bool) {
        let mut state = self.lock();
        let noted = state.notes.get(key).is_some_and(KeyNotes::is_at_risk);
        if noted == at_risk || !state.keys.contains_key(key) {
            return;
        }
        state.notes.entry(key.clone()).or_default().at_risk = at_risk;
        let errand = Errand::Tend(key.clone());
        let class = state.class_of(&errand);
        state.queue.reclass(&errand, class);
    }

    /// Notes what a look ahead of a start found.
    pub(crate) fn note_looked_ahead(&self, key: &AssignmentKey, look: Look, found: bool) {
        self.note(key, |notes| notes.looked_ahead = Some((look, found)));
    }

    /// When the latest look ahead of a start was made.
    pub(crate) fn looked_ahead_at(&self, key: &AssignmentKey) -> Option<Timestamp> {
        self.of(key, |notes| notes.looked_ahead).map(|(look, _)| look.begun_at)
    }

    /// A look ahead of a start, and what it found; each is used once, and none since another is wanted.
    pub(crate) fn take_look_ahead(&self, key: &AssignmentKey) -> Option<(Look, bool)> {
        let mut state = self.lock();
        let notes = state.notes.get_mut(key)?;
        let looked_ahead = notes.looked_ahead.take();
        looked_ahead.filter(|(look, _)| notes.is_answered_by(*look))
    }

    /// Notes until when nobody is late with an assignment that is absent by its ledger, and may yet appear; `None`: it is there.
    pub(crate) fn note_absent(&self, key: &AssignmentKey, until: Option<Timestamp>) {
        let mut state = self.lock();
        if state.keys.contains_key(key) {
            state.notes.entry(key.clone()).or_default().absent_until = until;
        }
    }

    /// Notes what a ledger dates its latest event.
    pub(crate) fn note_dated(
        &self,
        key: &AssignmentKey,
        revision: Option<Revision>,
        last_at: Timestamp,
        now: Timestamp,
    ) {
        let mut state = self.lock();
        let noted = state.notes.get(key).and_then(|notes| notes.dated_ahead);
        let dated_ahead = revision.and_then(|revision| {
            // Once that date has come, it happened no later for that.
            let known = noted.filter(|(known, _)| *known == revision);
            let known = known.map(|(known, since)| (known, since.min(now)));
            known.or_else(|| (last_at > now).then_some((revision, now)))
        });
        // Of others' assignments there may be very many, and nothing to note.
        if dated_ahead != noted {
            state.notes.entry(key.clone()).or_default().dated_ahead = dated_ahead;
        }
    }

    /// When what a ledger dates `at` happened, at the latest: where a clock was ahead, not after it was known here.
    pub(crate) fn happened_at(&self, key: &AssignmentKey, at: Timestamp) -> Timestamp {
        self.of(key, |notes| notes.dated_ahead).map_or(at, |(_, known_since)| at.min(known_since))
    }

    /// Notes that creating fails; says since when it does.
    pub(crate) fn note_failing(&self, key: &AssignmentKey, since: Timestamp) -> Timestamp {
        self.note(key, |notes| {
            *notes.failing_since.insert(notes.failing_since.map_or(since, |noted| noted.min(since)))
        })
    }

    /// Notes that a request needs nothing any more although no event can end it; it may not be taken up yet. What it has goes now.
    pub(crate) fn note_let_go(&self, id: RequestId, now: Timestamp) {
        let mut state = self.lock();
        state.let_go.insert(id);
        if let Some(key) = state.request(&id).and_then(due::key_of) {
            state.see_to_orphan(&key, now);
        }
    }

    /// Whether a request needs nothing any more although no event can end it.
    pub(crate) fn is_let_go(&self, id: &RequestId) -> bool {
        self.lock().is_let_go(id)
    }

    /// Notes what stands in the way of a request's access.
    pub(crate) fn note_obstacle(&self, id: RequestId, what: String) {
        self.lock().note_of(id).obstacle = Some(what);
    }

    /// What stood in the way of a request's access last.
    pub(crate) fn obstacle(&self, id: &RequestId) -> Option<String> {
        self.lock().request_notes.get(id)?.obstacle.clone()
    }

    /// Notes that nothing is to be done for an ended request before `until`: it waits for its sessions to die.
    pub(crate) fn note_held(&self, id: RequestId, until: Timestamp, now: Timestamp) {
        let mut state = self.lock();
        if state.held_until(&id) == Some(until) {
            return;
        }
        let Some(request) = state.request(&id) else { return };
        let waits = due::waits(request, now);
        state.no_longer_waits(&id);
        state.note_of(id).held_until = Some(until);
        state.note_waits(id, waits);
    }

    /// Notes that nobody can begin an approved request as it is, so that until its end it waits for nobody.
    pub(crate) fn note_outdated(&self, id: RequestId, now: Timestamp) {
        let mut state = self.lock();
        let Some(request) = state.request(&id) else { return };
        let Ok((grant, None)) = request.approved() else { return };
        let (end, waits) = (grant.approved.window.end(), due::waits(request, now));
        state.no_longer_waits(&id);
        state.note_of(id).outdated_until = Some(end);
        state.note_waits(id, waits);
    }

    /// Notes when the assignment of an ended request was gone for good: that stays so.
    pub(crate) fn note_gone(&self, id: RequestId, at: Timestamp) {
        let mut state = self.lock();
        if state.requests.contains_key(&id) {
            state.note_of(id).gone_at = Some(at);
        }
    }

    /// Notes that somebody has tried to deny the sessions of an ended request.
    pub(crate) fn note_denied(&self, id: RequestId) {
        let mut state = self.lock();
        if state.requests.contains_key(&id) {
            state.note_of(id).denied = true;
        }
    }

    /// Whether somebody is known to have tried to deny its sessions.
    pub(crate) fn was_denied(&self, id: &RequestId) -> bool {
        self.lock().request_notes.get(id).is_some_and(|notes| notes.denied)
    }

    /// Notes that nobody can name the sessions of an ended request; says whether that is new.
    pub(crate) fn note_nameless(&self, id: RequestId) -> bool {
        let mut state = self.lock();
        state.requests.contains_key(&id) && !std::mem::replace(&mut state.note_of(id).nameless, true)
    }

    /// When the assignment of an ended request was gone for good, where that is known.
    pub(crate) fn gone_at(&self, id: &RequestId) -> Option<Timestamp> {
        self.lock().request_notes.get(id)?.gone_at
    }
}

#[cfg(test)]
mod tests {
    use super::super::Next;
    use super::super::given::{approved, at, requested};
    use super::*;
    use crate::traffic::Urgency;
    use aws::simulated::sample;
    use domain::{Plan, Provider, Target};
    use lifecycle::Request;
    use lifecycle::event::{Activated, Bound};
    use lifecycle::state::{Active, Phase};

    #[test]
    fn what_was_dated_ahead_happened_when_it_was_known_also_after_that_date() {
        let at = |second| Timestamp::from_second(second).unwrap();
        let key = AssignmentKey {
            principal: PrincipalId::new(sample::ADA).unwrap(),
            target: Target::parse(sample::WEB_PROD, sample::READ_ONLY).unwrap(),
        };
        let agenda = Agenda::new(1, SignedDuration::ZERO);
        for now in [10, 299, 300, 4_000] {
            agenda.note_dated(&key, Some(Revision(0)), at(300), at(now));
            assert_eq!(agenda.happened_at(&key, at(300)), at(10), "at {now}");
        }
        agenda.note_dated(&key, Some(Revision(1)), at(4_001), at(4_002));
        assert_eq!(agenda.happened_at(&key, at(4_001)), at(4_001));
    }

    #[test]
    fn what_a_late_removal_may_take_is_looked_at_before_what_is_well() {
        let agenda = Agenda::new(10, SignedDuration::ZERO);
        for number in 0..40 {
            take_up(&agenda, active(number, sample::ADA));
        }
        let at_risk = key(39, sample::ADA);
        agenda.note_at_risk(&at_risk, true);
        assert_eq!(agenda.urgency(&at_risk), Urgency::Look);
        let errand = Errand::Tend(at_risk.clone());
        assert_eq!(agenda.take_due(started()).first(), Some(&errand));
        agenda.done(&errand, &Next::At(started()), started(), |_| SignedDuration::ZERO);
        assert_eq!(agenda.take_due(started()), std::slice::from_ref(&errand), "and again");
        agenda.note_at_risk(&at_risk, false);
        agenda.done(&errand, &Next::At(started()), started(), |_| SignedDuration::ZERO);
        assert_eq!(agenda.urgency(&at_risk), Urgency::Check);
        assert!(agenda.take_due(started()).is_empty(), "behind all others, two of which are looked at");
    }

    #[test]
    fn a_list_tells_of_all_whom_active_requests_gave_what_it_is_about() {
        let agenda = Agenda::new(10, SignedDuration::ZERO);
        for principal in [sample::ADA, sample::BOB, sample::CAROL, sample::DAVE] {
            take_up(&agenda, active(1, principal));
        }
        agenda.note_at_risk(&key(1, sample::CAROL), true);
        let held = [sample::ADA, sample::BOB, sample::CAROL, sample::EVE];
        let holders: BTreeSet<PrincipalId> =
            held.into_iter().map(|holder| PrincipalId::new(holder).unwrap()).collect();
        agenda.note_listed(&key(1, sample::ADA), &holders, agenda.begin_look(started()));
        let seen = |principal| agenda.seen_at(&key(1, principal));
        assert_eq!(seen(sample::BOB), Some(started()));
        assert_eq!(seen(sample::ADA), None, "whoever looked decides");
        assert_eq!(seen(sample::CAROL), None, "a removal of ours may still take it");
        assert_eq!(seen(sample::DAVE), None, "not there");
        assert_eq!(seen(sample::EVE), None, "nobody's request");
        assert!(!agenda.lock().notes.contains_key(&key(1, sample::EVE)));
    }

    /// Whoever wants a look may know of what happened since.
    #[test]
    fn what_was_asked_for_before_a_look_was_wanted_does_not_answer_it() {
        let agenda = Agenda::new(10, SignedDuration::ZERO);
        for principal in [sample::ADA, sample::BOB] {
            take_up(&agenda, active(1, principal));
        }
        let (ada, bob) = (key(1, sample::ADA), key(1, sample::BOB));
        let holders = BTreeSet::from([ada.principal.clone(), bob.principal.clone()]);
        let before = agenda.begin_look(started());
        agenda.look_at(&bob, started());
        agenda.note_listed(&ada, &holders, before);
        assert_eq!(agenda.seen_at(&bob), None, "a list that was made for another");
        agenda.note_seen(&bob, before);
        assert_eq!(agenda.seen_at(&bob), None, "the look of its own errand");
        agenda.note_looked_ahead(&bob, before, true);
        assert!(agenda.take_look_ahead(&bob).is_none(), "one ahead of a start");

        agenda.note_listed(&ada, &holders, agenda.begin_look(at(6)));
        assert_eq!(agenda.seen_at(&bob), Some(at(6)), "also by a clock that was set back meanwhile");
        agenda.lock().seen_by(at(5));
        assert_eq!(agenda.seen_at(&bob), Some(at(5)), "so it may not have been later");

        let before = agenda.begin_look(started());
        let carol = key(1, sample::CAROL);
        agenda.look_at(&carol, started());
        take_up(&agenda, active(1, sample::CAROL));
        agenda.note_listed(&ada, &BTreeSet::from([carol.principal.clone()]), before);
        assert_eq!(agenda.seen_at(&carol), None, "nor where its request was not known yet");
    }

    /// Where looks have fallen behind, the list would be old by the time that all the others had theirs.
    #[test]
    fn what_a_list_has_told_of_is_seen_to_next() {
        let agenda = Agenda::new(10, SignedDuration::ZERO);
        for principal in [sample::ADA, sample::BOB] {
            for number in 0..40 {
                take_up(&agenda, active(number, principal));
            }
        }
        let begun = agenda.take_due(started());
        let Some(Errand::Tend(first)) = begun.first() else { panic!("{begun:?}") };
        assert_eq!(first.principal.as_str(), sample::ADA, "hers are before all of Bob's");
        let bob = PrincipalId::new(sample::BOB).unwrap();
        let next = AssignmentKey { principal: bob.clone(), target: first.target.clone() };
        let holders = BTreeSet::from([first.principal.clone(), bob]);
        agenda.note_listed(first, &holders, agenda.begin_look(started()));
        agenda.done(&begun[0], &Next::At(at(310)), started(), |_| SignedDuration::ZERO);
        assert_eq!(agenda.take_due(started()), [Errand::Tend(next)]);
    }

    fn started() -> Timestamp {
        at(10)
    }

    fn take_up(agenda: &Agenda, request: Request) {
        agenda.lock().take_up(request, started(), SignedDuration::ZERO);
    }

    fn key(account: u64, principal: &str) -> AssignmentKey {
        due::key_of(&active(account, principal)).unwrap()
    }

    /// A request by which this user has access in this account.
    fn active(account: u64, principal: &str) -> Request {
        let mut raised = requested(account, account, BTreeSet::new(), Plan::none());
        raised.id = RequestId::from_parts([principal.as_bytes(), &account.to_be_bytes()]);
        raised.grounds.principal = Some(PrincipalId::new(principal).unwrap());
        let bound = Bound {
            at_end: at(3_600),
            after_early_end: SignedDuration::from_hours(1),
            chained: SignedDuration::ZERO,
        };
        let activated = Activated { provider: Provider::IdentityCenter, bound, standing: false };
        let mut request = approved(raised, 0, 3_600);
        if let Phase::Approved { active, .. } = &mut request.phase {
            *active = Some(Active { at: at(5), activated });
        }
        request
    }
}
