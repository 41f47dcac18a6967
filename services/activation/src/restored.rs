//! A log that was restored from a backup: it does not know what was made or removed in AWS since. Before anything is granted on it,
//! the organisation is looked through once. What no ledger knows is noted, and told to somebody; who had access by the backup and
//! has it no more stays without, for its end may be among what was lost.
//!
//! So may the end of what was approved by the backup and is nothing in AWS: what has not begun, credentials, and what stood there
//! before. Nothing tells that it was not revoked, so it ends, and people ask anew.
//!
//! INVARIANT: removals wait for none of this. What is found is never taken for ours: that is for an administrator to say. The look is
//! over only when AWS has answered about every place that there is.

use crate::Missing;
use crate::core::Core;
use crate::fault::Fault;
use aws::Directory;
use command::aggregate::{LogAggregate, RequestAggregate};
use command::{Command, CommandError, LoadError};
use domain::{EventId, Provider, SignedDuration};
use event_log::Position;
use futures::TryStreamExt as _;
use futures::future::join_all;
use journal::{Event, Fact, Stream};
use lifecycle::assignment::{AssignmentEvent, AssignmentKey, Ledger, Presence};
use lifecycle::event::{ApprovalBasis, RequestEvent};
use lifecycle::log::{LogEvent, Restored};
use lifecycle::state::Active;
use lifecycle::{Rejection, Request, log};
use std::collections::VecDeque;
use std::sync::Arc;
use std::sync::atomic::Ordering;

/// Why nothing is granted meanwhile.
pub(crate) const NOT_SWEPT: &str = "the log was restored, and AWS is being looked through";

/// Why a request ends of which nothing in AWS tells that it was not revoked.
pub(crate) const MAY_HAVE_ENDED: &str =
    "the log was restored from a backup: whether this was revoked since cannot be told";

/// Places of the organisation that are looked at at a time; calls a second have their own bound.
const PLACES_AT_A_TIME: usize = 8;

/// In how long a place ought to have been looked at by whoever does it, however slow AWS is.
const PLACE_WITHIN: SignedDuration = SignedDuration::from_secs(1);

/// How far one process has come with what a restored log owes. A fault loses none of it, nor does a duty that goes and comes back.
pub(crate) struct LookThrough {
    /// The organisation, as it was when this began.
    directory: Arc<Directory>,
    /// What is ours by the backup, or was, and not looked at yet.
    ours: Vec<AssignmentKey>,
    places: Places,
}

/// Which places of an organisation are to be looked at: one after the other, and then again those that AWS gave no answer about, so
/// that none holds up the others.
struct Places {
    count: usize,
    next: usize,
    unanswered: VecDeque<usize>,
}

impl Places {
    fn new(count: usize) -> Self {
        Self { count, next: 0, unanswered: VecDeque::new() }
    }

    /// The next ones, none when all were answered about.
    fn take(&mut self) -> Vec<usize> {
        if self.next < self.count {
            let from = self.next;
            self.next = from.saturating_add(PLACES_AT_A_TIME).min(self.count);
            return (from..self.next).collect();
        }
        let again = self.unanswered.len().min(PLACES_AT_A_TIME);
        self.unanswered.drain(..again).collect()
    }

    /// Whether each was asked about once.
    fn are_asked(&self) -> bool {
        self.next >= self.count
    }
}

impl Core {
    /// Whether the log knows what is in AWS: it was never restored, or the organisation was looked through since.
    pub(crate) async fn knows_aws(&self) -> Result<bool, Fault> {
        // A log is restored before it is used, so what is known stays so.
        if self.knows_aws.load(Ordering::Acquire) {
            return Ok(true);
        }
        match self.unswept().await {
            Ok(unswept) => Ok(unswept.is_none()),
            // Then nobody can tell, and nothing is granted; what is to be removed is.
            Err(LoadError::Corrupt(_)) => Ok(false),
            Err(unavailable @ LoadError::Unavailable(_)) => Err(unavailable.into()),
        }
    }

    /// What becomes of access that is missing in AWS. What a restored log does not know may be the end of it; what a removal of
    /// ours has taken, or may have, somebody else has not.
    pub(crate) async fn missing(&self, ledger: &Ledger) -> Result<Missing, Fault> {
        Ok(if !self.knows_aws().await? {
            Missing::End
        } else if ledger.late_removal.is_some() {
            Missing::Restore
        } else {
            self.settings.missing
        })
    }

    /// When the log was restored and where in it that is, if AWS was not looked through since.
    async fn unswept(&self) -> Result<Option<(Restored, Position)>, LoadError> {
        let loaded = self.commander.load::<LogAggregate>(&Stream::Log).await?;
        let unswept = loaded.state.filter(|restored| !restored.swept).zip(loaded.position);
        self.knows_aws.store(unswept.is_none(), Ordering::Release);
        Ok(unswept)
    }

    /// Where everything ends that a backup has; `None`: the log was never restored.
    async fn cut(&self) -> Result<Option<Position>, Fault> {
        let read = || async {
            let events = self.placed_events(&Stream::Log).await?;
            let restored = events
                .iter()
                .rev()
                .find(|(_, event)| matches!(event.fact, Fact::Log(LogEvent::Restored { .. })));
            Ok::<_, Fault>(restored.map(|(position, _)| *position))
        };
        self.cut.get_or_try_init(read).await.copied()
    }

    /// Whether the end of an approved request may be among what a restored log has lost: it was decided by what the backup has, and
    /// nothing in AWS tells that it goes on. What nobody has to agree to was decided when it was raised.
    pub(crate) async fn may_have_ended(&self, request: &Request) -> Result<bool, Fault> {
        let Ok((grant, active)) = request.approved() else { return Ok(false) };
        if active.is_some_and(shows_in_aws) {
            return Ok(false);
        }
        let Some(cut) = self.cut().await? else { return Ok(false) };
        let when_raised = match grant.approved.basis {
            ApprovalBasis::Rule | ApprovalBasis::BreakGlass => true,
            ApprovalBasis::People | ApprovalBasis::Signal => false,
        };
        let events = self.placed_events(&Stream::Request(request.raised.id)).await?;
        let decided = events
            .iter()
            .find(|(_, event)| when_raised || matches!(event.fact, Fact::Request(RequestEvent::Approved(_))));
        Ok(decided.is_some_and(|(position, _)| *position < cut))
    }

    /// Looks through AWS if the log was restored, and if it is for us to do; from where `look` stands. Says whether nothing of that is
    /// left to do.
    pub(crate) async fn see_to_restored(&self, look: &mut Option<LookThrough>) -> Result<bool, Fault> {
        let Some((restored, position)) = self.unswept().await? else { return Ok(true) };
        let directory = match look {
            Some(begun) => Arc::clone(&begun.directory),
            None => match self.views.directory.snapshot() {
                Some(directory) => directory,
                None => return Ok(false),
            },
        };
        let places = self.places_of(&directory);
        if !self.sees_to_restored(restored.at, self.restored_patience(places)).await? {
            return Ok(false);
        }
        if look.is_none() {
            tracing::warn!(
                places,
                "the log was restored: nothing is granted before AWS has been looked through"
            );
            *look = Some(self.begin_look_through(directory, places).await?);
        }
        let Some(look) = look else { return Ok(false) };
        // Neither waits for what AWS does not tell of the other.
        let ours = self.end_what_was_lost(look).await;
        let done = self.look_through(look).await?;
        ours?;
        if !done {
            return Ok(false);
        }
        // What was taken up late.
        self.end_what_may_have_ended().await?;
        let unknown = self.told_unknown(position).await?;
        self.record_swept(unknown).await?;
        self.tell_unknown().await?;
        Ok(self.unswept().await?.is_none())
    }

    fn restored_patience(&self, places: usize) -> SignedDuration {
        let places = i32::try_from(places).unwrap_or(i32::MAX);
        PLACE_WITHIN.saturating_mul(places).saturating_add(self.settings.operation_patience())
    }

    async fn begin_look_through(
        &self,
        directory: Arc<Directory>,
        places: usize,
    ) -> Result<LookThrough, Fault> {
        self.end_what_may_have_ended().await?;
        let ledgers = self.open_ledgers().await?;
        let ours = ledgers.into_iter().map(|ledger| ledger.key).collect();
        Ok(LookThrough { directory, ours, places: Places::new(places) })
    }

    /// Ends requests that may have been revoked since the backup, and of which AWS cannot tell.
    async fn end_what_may_have_ended(&self) -> Result<(), Fault> {
        self.refresh().await?;
        for (_, id) in self.agenda.approved(None, usize::MAX, is_told_by_nothing).await {
            let request = match self.commander.load::<RequestAggregate>(&Stream::Request(id)).await {
                Ok(loaded) => loaded.state.clone(),
                // Nothing begins on it, and no credentials are issued.
                Err(LoadError::Corrupt(_)) => continue,
                Err(unavailable @ LoadError::Unavailable(_)) => return Err(unavailable.into()),
            };
            let Some(request) = request else { continue };
            if self.may_have_ended(&request).await? {
                tracing::warn!(request = %id, "it may have been revoked since the backup: the request ends");
                self.no_longer_eligible(&request, MAY_HAVE_ENDED).await?;
            }
        }
        Ok(())
    }

    /// Ends requests that are active by the backup, and whose assignment is gone. What AWS does not tell is asked again.
    async fn end_what_was_lost(&self, look: &mut LookThrough) -> Result<(), Fault> {
        let mut outcome = Ok(());
        for key in std::mem::take(&mut look.ours) {
            if let Err(fault) = self.end_if_lost(&key).await {
                tracing::warn!(target = %key.target, principal = %key.principal, %fault, "whether it is there still cannot be told; asked again");
                look.ours.push(key);
                outcome = Err(fault);
            }
        }
        outcome
    }

    async fn end_if_lost(&self, key: &AssignmentKey) -> Result<(), Fault> {
        let aws_key = aws::AssignmentKey::of_target(key.principal.clone(), &key.target);
        if let Err(error) = self.ports.assignments_of(&aws_key) {
            // To wait for that would hold up what others have, and what is not gone by the ledger goes on being told as left.
            tracing::error!(target = %key.target, principal = %key.principal, %error, "whether it is in AWS still cannot be told: what has it ends, and it counts as left");
            return self.end_untold(key).await;
        }
        // By one that cannot be read nothing is made either.
        let Some(loaded) = self.ledger_unless_corrupt(key).await? else { return Ok(()) };
        if loaded.state.as_ref().is_some_and(|ledger| ledger.attempt().is_some()) {
            // Asked about again once that is resolved.
            return Err(Fault::Behind);
        }
        let gone = match loaded.state.as_ref().map(|ledger| ledger.presence) {
            Some(Presence::Ours) => match self.is_still_there(key).await? {
                Some(there) => !there,
                None => return self.end_untold(key).await,
            },
            Some(Presence::Absent) => true,
            Some(Presence::Standing) | None => false,
        };
        if gone { self.end_lost(key).await } else { Ok(()) }
    }

    /// Ends what nobody can tell of whether it was revoked since. What is there stays ours, and is removed like anything that nobody
    /// needs.
    async fn end_untold(&self, key: &AssignmentKey) -> Result<(), Fault> {
        for request in self.agenda.requests_of(key) {
            if request.approved().is_ok() {
                self.no_longer_eligible(&request, MAY_HAVE_ENDED).await?;
            }
        }
        Ok(())
    }

    /// Whether an assignment that is ours is there; `None`: its account is not in use, and nobody can tell.
    async fn is_still_there(&self, key: &AssignmentKey) -> Result<Option<bool>, Fault> {
        let fault = match self.look(key).await {
            Err(Fault::Aws(error)) => error,
            looked => return looked.map(Some),
        };
        let Some(directory) = self.views.directory.snapshot() else { return Err(fault.into()) };
        let in_use = directory.account(key.target.account()).is_some_and(|account| account.active);
        if in_use { Err(fault.into()) } else { Ok(None) }
    }

    /// Notes what there is in the whole organisation, as fast as AWS allows. Says whether that is done; not if another does it.
    async fn look_through(&self, look: &mut LookThrough) -> Result<bool, Fault> {
        let directory = Arc::clone(&look.directory);
        while self.sweeps().await? {
            let again = look.places.are_asked();
            let taken = look.places.take();
            if taken.is_empty() {
                return Ok(true);
            }
            let looks = taken.iter().copied().map(|place| self.look_once(&directory, place));
            let looked = join_all(looks).await;
            let (mut answered, mut last) = (false, None);
            for (place, looked) in taken.into_iter().zip(looked) {
                let Err(fault) = looked else {
                    answered = true;
                    continue;
                };
                if again {
                    let place = self.place_of(&directory, place);
                    tracing::warn!(?place, %fault, "AWS has not been looked at there, so nothing is granted; asked again");
                }
                look.places.unanswered.push_back(place);
                last = Some(fault);
            }
            if let Some(fault) = last.filter(|_| !answered) {
                return Err(fault);
            }
        }
        Ok(false)
    }

    /// Notes what there is at a place of an organisation, unless it has that no more.
    async fn look_once(&self, directory: &Directory, place: usize) -> Result<(), Fault> {
        if self.is_out_of_organisation(directory, place) {
            return Ok(());
        }
        let listed = self.held_in(directory, place, &mut 0).await?;
        for key in listed.held {
            if let Err(fault) = self.note_found(&key, listed.looked_at).await {
                if !matches!(self.readable_ledger(&key).await, Err(LoadError::Corrupt(_))) {
                    return Err(fault);
                }
                // Nobody can: so it holds up nothing.
                tracing::warn!(target = %key.target, principal = %key.principal, %fault, "what is there cannot be noted");
            }
        }
        Ok(())
    }

    /// Whether the organisation as it is now lacks a place of what it was. That AWS knows nothing of it is not enough: a wrong instance
    /// has AWS say so of every place.
    fn is_out_of_organisation(&self, was: &Directory, place: usize) -> bool {
        let place = self.place_of(was, place);
        place.zip(self.views.directory.snapshot()).is_some_and(|(place, now)| !place.is_in(&now))
    }

    /// How many assignments were noted since the log was restored, each of which is told.
    async fn told_unknown(&self, restored: Position) -> Result<u64, Fault> {
        let mut events = self.views.log.read_all(restored);
        let mut unknown = 0;
        while let Some(recorded) = events.try_next().await.map_err(|error| Fault::Log(error.to_string()))? {
            if let Ok(Event { fact: Fact::Assignment(AssignmentEvent::StandingFound { key }), .. }) =
                journal::decode(&recorded.envelope.body)
            {
                tracing::warn!(target = %key.target, principal = %key.principal, "in AWS, and not in the restored log");
                unknown += 1;
            }
        }
        if unknown > 0 {
            tracing::error!(unknown, "AWS has assignments that the restored log does not know");
        }
        Ok(unknown)
    }

    async fn record_swept(&self, unknown: u64) -> Result<(), Fault> {
        let mut chance = [0_u8; 16];
        self.views.entropy.fill(&mut chance);
        let event_id = EventId::from_parts([b"log swept".as_slice(), chance.as_slice()]);
        let command = Command { event_id, actor: None, digest: None, trace: None };
        let written = self
            .commander
            .execute::<LogAggregate, Rejection>(Stream::Log, command, |loaded, _| {
                log::sweep(loaded.state.as_ref(), unknown).map(Fact::Log)
            })
            .await;
        match written {
            Ok(_) => {
                tracing::info!(unknown, "AWS has been looked through since the log was restored");
                Ok(())
            }
            // Another replica was faster.
            Err(CommandError::Refused(_)) => Ok(()),
            Err(error) => Err(Fault::of_command(&error)),
        }
    }
}

/// Whether AWS tells that an active request has its access still.
fn shows_in_aws(active: &Active) -> bool {
    match active.activated.provider {
        // Credentials are told by nothing.
        Provider::Sts => false,
        // What stood there before goes on without the request.
        Provider::IdentityCenter | Provider::AccountAccess => !active.activated.standing,
    }
}

fn is_told_by_nothing(request: &Request) -> bool {
    request.approved().is_ok_and(|(_, active)| !active.is_some_and(shows_in_aws))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_aws_does_not_answer_about_is_asked_again_after_the_rest_until_it_is() {
        let mut places = Places::new(20);
        assert_eq!(places.take(), (0..8).collect::<Vec<_>>());
        places.unanswered.extend([3, 5]);
        assert_eq!(places.take(), (8..16).collect::<Vec<_>>(), "it holds up nothing");
        assert!(!places.are_asked());
        assert_eq!(places.take(), (16..20).collect::<Vec<_>>());
        assert!(places.are_asked());
        assert_eq!(places.take(), [3, 5]);
        places.unanswered.push_back(5);
        assert_eq!(places.take(), [5]);
        assert_eq!(places.take(), Vec::<usize>::new(), "all were answered about");
    }
}
