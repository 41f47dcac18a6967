//! One errand on one assignment: the next thing, and the next, until nothing is left to do now.

use super::attempt::{Intended, reason_of};
use super::ledger::{self, NotWritten};
use super::look::{LOOK_AGE_MAX, LOOK_AHEAD};
use super::need::Needs;
use crate::Missing;
use crate::agenda::{Look, Next};
use crate::core::{Core, later};
use crate::fault::Fault;
use crate::lifetime::{ACTIVATE, END};
use crate::meters::Drift;
use crate::traffic::{Place, Urgency};
use command::Loaded;
use domain::{SignedDuration, Timestamp};
use lifecycle::assignment::{self, AssignmentEvent, AssignmentKey, Ledger, Operation, Presence};
use lifecycle::event::ClosedHow;
use lifecycle::{Rejection, Request, access};
use service_runtime::trace;
use tracing::Instrument as _;

/// More rounds than any errand needs: look, intend, call, record, close.
const ROUNDS_MAX: usize = 10;

/// When to look again whether a queue makes it time to begin before a start.
pub(super) const LEAD_AGAIN: SignedDuration = SignedDuration::from_secs(1);

/// Events are dated in whole milliseconds, rounded down: by so much later, one is not dated before.
const DATED_TO: SignedDuration = SignedDuration::from_millis(1);

/// Whether an assignment counts as there, and by which look; `None`: whatever a look would say.
type Seen = (bool, Option<Look>);

/// What one round came to.
pub(super) enum Round {
    /// Something was done; look again.
    Again,
    /// Nothing more to do now.
    Over(Next),
}

impl Core {
    /// Makes one assignment agree with what requests need, as far as that can be done now.
    pub(crate) async fn tend(&self, key: &AssignmentKey) -> Result<Next, Fault> {
        for _ in 0..ROUNDS_MAX {
            if !self.on_duty().await? {
                // Left to who has the duty; due all the same, should it come back to us.
                return Ok(Next::At(self.now()));
            }
            match self.round(key).await {
                Ok(Round::Again) => {}
                Ok(Round::Over(next)) => return Ok(next),
                Err(Fault::GivesWay) => return Ok(Next::GaveWay),
                Err(fault) => {
                    self.note_trouble(key, &fault).await;
                    return Ok(Next::Failed);
                }
            }
        }
        Ok(Next::At(later(self.now(), self.settings.eligibility_retry)))
    }

    async fn round(&self, key: &AssignmentKey) -> Result<Round, Fault> {
        let mut needs = self.needs(key).await?;
        let loaded = self.ledger(key).await?;
        if !needs.any() {
            self.look_ahead(key, loaded.state.as_ref()).await;
        }
        let Some(ledger) = &loaded.state else {
            return if needs.any() {
                self.look_and_decide(key, &needs, &loaded).await
            } else {
                self.settled(key, &needs, None).await
            };
        };
        self.agenda.note_at_risk(key, ledger.late_removal.is_some());
        if let Some((id, attempt)) = ledger.attempt() {
            return self.resolve(key, id, attempt).await;
        }
        if ledger.presence == Presence::Absent && self.missing(ledger).await? == Missing::End {
            self.end_what_was_removed(key, &mut needs).await?;
        }
        if needs.any() {
            let fresh = later(self.now(), -self.look_interval(ledger))
                .max(later(self.agenda.happened_at(key, ledger.last_at), -self.settings.list_lag_max));
            let exists = ledger.presence != Presence::Absent;
            if exists && (self.agenda.was_seen_after(key, fresh) || self.may_be_stale(ledger)) {
                return self.settled(key, &needs, Some(ledger)).await;
            }
            return self.look_and_decide(key, &needs, &loaded).await;
        }
        if needs.unsure && ledger.presence != Presence::Absent {
            // A live request may need it: it stays until that can be told, or the window is over.
            return Ok(Round::Over(self.wake(key, &needs, None)));
        }
        match (ledger.presence, ledger.fence) {
            (Presence::Ours, _) => {
                let place = self.place(key, Some(ledger), false, true).await?;
                self.intend(key, &needs, &loaded, (true, None), place).await
            }
            (Presence::Absent | Presence::Standing, None) => self.settled(key, &needs, Some(ledger)).await,
            (Presence::Absent | Presence::Standing, Some(fence)) => {
                self.wait_out(key, &needs, &loaded, ledger, fence).await
            }
        }
    }

    /// Ends the requests whose assignment is gone although they have it: someone else removed it.
    async fn end_what_was_removed(&self, key: &AssignmentKey, needs: &mut Needs) -> Result<(), Fault> {
        let removed: Vec<_> = needs.by.extract_if(.., |needed| needed.has_ours()).collect();
        for needed in removed {
            tracing::warn!(request = %needed.id, target = %key.target, "someone else removed it in AWS: the request ends");
            self.react(needed.id, END, |request, _| access::removed_outside(request)).await?;
        }
        Ok(())
    }

    /// Notes that an assignment which is ours by a restored log is gone, and ends the requests that have it by that log.
    pub(crate) async fn end_lost(&self, key: &AssignmentKey) -> Result<(), Fault> {
        let loaded = self.ledger(key).await?;
        if loaded.state.as_ref().is_some_and(|ledger| ledger.presence == Presence::Ours) {
            let gone =
                |ledger: Option<&Ledger>, _| assignment::attempt(ledger, key, true, false, Timestamp::MAX);
            let _ = self.write(key, loaded.revision, gone).await?;
        }
        let state = self.ledger(key).await?.state.clone();
        if state.is_some_and(|ledger| ledger.presence == Presence::Absent) {
            let mut needs = self.needs(key).await?;
            self.end_what_was_removed(key, &mut needs).await?;
        }
        Ok(())
    }

    /// Whether lists may not show yet what the ledger's latest event brought about.
    pub(crate) fn may_be_stale(&self, ledger: &Ledger) -> bool {
        self.list_is_stale(ledger, self.now())
    }

    async fn look_and_decide(
        &self,
        key: &AssignmentKey,
        needs: &Needs,
        loaded: &Loaded<Ledger>,
    ) -> Result<Round, Fault> {
        let (mut look, mut found) = match self.recent_look(key, loaded.state.as_ref()) {
            Some(recent) => recent,
            None => (self.agenda.begin_look(self.now()), self.look_or_give_way(key).await?),
        };
        let place = self.place(key, loaded.state.as_ref(), needs.any(), found).await?;
        if place.is_some() && self.now().duration_since(look.begun_at) > LOOK_AGE_MAX {
            look = self.agenda.begin_look(self.now());
            found = self.look_or_give_way(key).await?;
        }
        let existing = loaded.state.as_ref().filter(|ledger| ledger.presence != Presence::Absent);
        if existing.is_some() && found && self.outlives(key, loaded, look.begun_at).await? {
            return Ok(Round::Again);
        }
        if existing.is_some_and(|ledger| !found && !self.proves_absence(ledger, look.begun_at)) {
            // The list may be older than what the ledger says.
            let again = later(self.now(), self.settings.eligibility_retry);
            return Ok(Round::Over(self.wake(key, needs, Some(again))));
        }
        // Soon after an attempt of ours a list proves nothing: what appears within that horizon is ours, so it is made so. Soon after
        // others' went there was none.
        let behind = loaded.state.as_ref().is_some_and(|ledger| {
            ledger.presence == Presence::Absent && self.list_is_stale(ledger, look.begun_at)
        });
        let stale = found && behind && !ledger::others_went(&self.ledger_events(key).await?);
        self.intend(key, needs, loaded, (found && !stale, Some(look)), place).await
    }

    /// Waits for a place among the operations that AWS takes at a time, if one is going to begin.
    async fn place(
        &self,
        key: &AssignmentKey,
        ledger: Option<&Ledger>,
        desired: bool,
        seen: bool,
    ) -> Result<Option<Place<'_>>, Fault> {
        let decided = assignment::attempt(ledger, key, desired, seen, Timestamp::MAX);
        let Ok(AssignmentEvent::Attempted { operation, .. }) = decided else { return Ok(None) };
        let urgency = Urgency::of(operation);
        let place = self.traffic(key).operation(urgency, self.agenda.turn(key));
        self.giving_way(key, urgency, place).await.map(Some)
    }

    /// Decides on what was seen, writes it, and carries it out: in the trace of the request that needs it, or that needed it last.
    async fn intend(
        &self,
        key: &AssignmentKey,
        needs: &Needs,
        loaded: &Loaded<Ledger>,
        seen: Seen,
        place: Option<Place<'_>>,
    ) -> Result<Round, Fault> {
        let about = needs.by.first().map(|needed| needed.id).or_else(|| needs.closing.last().copied());
        let cause = about.and_then(|id| self.cause(&id));
        let span = trace::caused("attempt", cause.as_deref());
        self.intend_within(key, needs, loaded, seen, place).instrument(span).await
    }

    async fn intend_within(
        &self,
        key: &AssignmentKey,
        needs: &Needs,
        loaded: &Loaded<Ledger>,
        (seen, look): Seen,
        place: Option<Place<'_>>,
    ) -> Result<Round, Fault> {
        self.sees_what_was_written()?;
        let desired = needs.any();
        let written = self
            .write(key, loaded.revision, |ledger, at| {
                let decided =
                    assignment::attempt(ledger, key, desired, seen, later(at, self.settings.fence()))?;
                let creates =
                    matches!(decided, AssignmentEvent::Attempted { operation: Operation::Create, .. });
                let made = needs.by.iter().any(|needed| needed.is_made_by(at, self.now()));
                if creates && !made { Err(Rejection::WindowOver) } else { Ok(decided) }
            })
            .await?;
        match written {
            Ok(written) => match written.event {
                AssignmentEvent::Attempted { operation, deadline, .. } => {
                    let intended = Intended {
                        id: written.id,
                        at: written.at,
                        position: written.position,
                        operation,
                        deadline,
                    };
                    self.carry_out(key, intended, place).await
                }
                AssignmentEvent::StandingFound { .. } => {
                    tracing::info!(target = %key.target, "a standing assignment: not ours to change");
                    Ok(Round::Again)
                }
                AssignmentEvent::DriftFound { present } => {
                    tracing::warn!(target = %key.target, present, "AWS is not as the ledger says");
                    self.meters.drift(if present { Drift::Ours } else { Drift::Missing });
                    Ok(Round::Again)
                }
                AssignmentEvent::AttemptAbandoned { .. }
                | AssignmentEvent::Confirmed { .. }
                | AssignmentEvent::Failed { .. }
                | AssignmentEvent::Adopted { .. }
                | AssignmentEvent::AbandonAsked { .. }
                | AssignmentEvent::Abandoned { .. } => Ok(Round::Again),
            },
            Err(NotWritten::Refused(Rejection::AsItShouldBe | Rejection::Standing)) => {
                if let Some(look) = look {
                    self.agenda.note_seen(key, look);
                }
                self.settled(key, needs, loaded.state.as_ref()).await
            }
            // Over by the log's time: it ends once it is over by ours. Or granted by a clock that is ahead of ours: it is made once
            // that time has come, and no attempt is written before that would only be given up.
            Err(NotWritten::Refused(Rejection::WindowOver)) => {
                let looked_at = needs.at.min(self.now());
                let made_at = needs.by.iter().map(|needed| later(needed.since, DATED_TO));
                let next = made_at.filter(|made_at| *made_at > looked_at).min();
                Ok(Round::Over(self.wake(key, needs, next)))
            }
            Err(NotWritten::Moved | NotWritten::Refused(_)) => Ok(Round::Again),
        }
    }

    /// Nothing needs it and nothing is there, but a creation of unknown outcome may still take effect: what appears is ours,
    /// and absence is final only when it is seen after the fence.
    async fn wait_out(
        &self,
        key: &AssignmentKey,
        needs: &Needs,
        loaded: &Loaded<Ledger>,
        ledger: &Ledger,
        fence: Timestamp,
    ) -> Result<Round, Fault> {
        let look = self.agenda.begin_look(self.now());
        let looked_at = look.begun_at;
        let seen = self.look_or_give_way(key).await?;
        // What a list shows is as old as the question: while its answer was on its way, our own removal may have grown old.
        if seen && !self.list_is_stale(ledger, looked_at) {
            return self.intend(key, needs, loaded, (true, Some(look)), None).await;
        }
        // Lists may not show yet what took effect just before the fence; and by a clock that may be ahead, it may not have passed.
        let shown_by = later(looked_at, -self.settings.list_lag_max);
        if seen || shown_by < fence || self.views.certain_of_time().is_err() {
            let again = later(looked_at, self.settings.sweep_interval.min(self.settings.removal_patience()));
            let shown_at = later(fence, self.settings.list_lag_max);
            let next = if looked_at < shown_at { again.min(shown_at) } else { again };
            return Ok(Round::Over(self.wake(key, needs, Some(next))));
        }
        let settled = self.write(key, loaded.revision, |ledger, _| {
            assignment::settle(ledger.ok_or(Rejection::NoSuchAttempt)?, shown_by)
        });
        settled.await?.map(|_| ()).unwrap_or_default();
        Ok(Round::Again)
    }

    /// AWS is as it should be: the requests about it are told so.
    async fn settled(
        &self,
        key: &AssignmentKey,
        needs: &Needs,
        ledger: Option<&Ledger>,
    ) -> Result<Round, Fault> {
        let standing = ledger.is_some_and(|ledger| ledger.presence == Presence::Standing);
        for needed in &needs.by {
            if let Some(bound) = needed.bound {
                self.react(needed.id, ACTIVATE, |request, at| access::activate(request, bound, standing, at))
                    .await?;
            }
        }
        // One that cannot be closed (its history cannot be read, say) holds up none of the others.
        let mut held_up = None;
        let requests = self.agenda.requests_of(key);
        let closing = requests.iter().filter(|request| request.is_closing());
        for request in closing.filter(|request| needs.closing.contains(&request.raised.id)) {
            let how = self.how_closed(key, request, needs, ledger).await?;
            if let Err(fault) = self.close(request, how).await {
                held_up = held_up.or(Some(fault));
            }
        }
        if let Some(fault) = held_up {
            return Err(fault);
        }
        let interval = ledger.map_or(self.settings.sweep_interval, |ledger| self.look_interval(ledger));
        let now = self.now();
        // What a list told that was made for another is as old as that list.
        let seen_at = self.agenda.seen_at(key).map(|at| later(at.min(now), interval));
        // What is to be looked at, and would not be shown yet: as soon as it is.
        let shown_at =
            |ledger: &Ledger| later(self.agenda.happened_at(key, ledger.last_at), self.settings.list_lag_max);
        let soon = ledger.filter(|ledger| seen_at.is_none() && self.may_be_stale(ledger)).map(shown_at);
        let look_at = seen_at.filter(|at| *at > now).or(soon).unwrap_or_else(|| later(now, interval));
        let look = needs.any().then_some(look_at);
        Ok(Round::Over(self.wake(key, needs, look)))
    }

    async fn how_closed(
        &self,
        key: &AssignmentKey,
        request: &Request,
        needs: &Needs,
        ledger: Option<&Ledger>,
    ) -> Result<ClosedHow, Fault> {
        if crate::agenda::never_begun(request) {
            return Ok(ClosedHow::NothingCreated);
        }
        let Some(ledger) = ledger else { return Ok(ClosedHow::NothingCreated) };
        let (active, since) = match &request.phase {
            lifecycle::state::Phase::Ended { active, grant, .. } => {
                (*active, grant.as_ref().map(|grant| grant.at))
            }
            lifecycle::state::Phase::Pending
            | lifecycle::state::Phase::Approved { .. }
            | lifecycle::state::Phase::Expired { .. }
            | lifecycle::state::Phase::Rejected { .. } => (None, None),
        };
        if ledger.presence == Presence::Standing {
            return Ok(ClosedHow::Standing);
        }
        if let Some(carrier) = needs.by.first() {
            return Ok(ClosedHow::CarriedBy(carrier.id));
        }
        let stood = active.is_some_and(|active| active.activated.standing);
        if active.is_some() && !stood && !ledger.abandoned {
            return Ok(ClosedHow::Deleted);
        }
        let Some(since) = since else { return Ok(ClosedHow::NothingCreated) };
        let events = self.ledger_events(key).await?;
        if ledger.abandoned && ledger::abandoned_since(&events, since) {
            return Ok(ClosedHow::Abandoned);
        }
        let removed = ledger::removed_since(&events, since);
        // What stood there is removed by us only once it was adopted.
        if stood && !removed {
            return Ok(ClosedHow::Standing);
        }
        let deleted = active.is_some() || removed;
        Ok(if deleted { ClosedHow::Deleted } else { ClosedHow::NothingCreated })
    }

    /// When to look again: at `other`, when a request about it begins or ends, and soon if something could not be told.
    pub(super) fn wake(&self, key: &AssignmentKey, needs: &Needs, other: Option<Timestamp>) -> Next {
        let now = self.now();
        let unsure = needs.unsure.then(|| later(now, self.settings.eligibility_retry));
        let turns = self
            .agenda
            .requests_of(key)
            .into_iter()
            .filter(|request| request.approved().is_ok())
            .filter_map(|request| request.window())
            .flat_map(|window| {
                let lead = self.settings.start_lead();
                let may_begin_at = later(window.start(), -lead);
                // By how much the start is led depends on the queue.
                let in_lead = (may_begin_at <= now && now < window.start()).then(|| later(now, LEAD_AGAIN));
                let look_at = later(window.start(), -LOOK_AHEAD);
                [Some(look_at), Some(may_begin_at), in_lead, Some(window.start()), Some(window.end())]
            })
            .flatten()
            // What came to pass while this was looked at is due now.
            .filter(|at| *at > needs.at)
            .min();
        [other, unsure, turns].into_iter().flatten().min().map_or(Next::Idle, Next::At)
    }

    /// Something went wrong. What cannot be created within the horizon fails; what cannot be removed is tried for ever.
    async fn note_trouble(&self, key: &AssignmentKey, fault: &Fault) {
        let now = self.now();
        let requests = self.agenda.requests_of(key);
        let removing = requests.iter().any(Request::is_closing) || !self.agenda.is_accounted_for(key, now);
        tracing::warn!(target = %key.target, %fault, removing, "an assignment is not as it should be; tried again later");
        if let Err(fault) = self.note_left(key).await {
            tracing::debug!(target = %key.target, %fault, "whether it is left to nobody cannot be told");
        }
        let waiting: Vec<&Request> = requests
            .iter()
            .filter(|request| {
                request.is_live(now) && request.approved().is_ok_and(|(_, active)| active.is_none())
            })
            .collect();
        let Fault::Aws(error) = fault else { return };
        if waiting.is_empty() {
            return;
        }
        let events = self.ledger_events(key).await.ok();
        let recorded = events.and_then(|events| ledger::failing_since(&events, Operation::Create));
        let since = self.agenda.note_failing(key, recorded.unwrap_or(now));
        let reason = reason_of(error);
        for request in waiting {
            self.agenda.note_obstacle(request.raised.id, reason.clone());
            // What failed before it began is another request's failure.
            let since = request.window().map_or(since, |window| since.max(window.start()));
            if now.duration_since(since) >= self.settings.retry_horizon
                && let Err(fault) = self.fail(request, reason.clone()).await
            {
                tracing::warn!(request = %request.raised.id, %fault, "a failure could not be recorded");
            }
        }
    }
}
