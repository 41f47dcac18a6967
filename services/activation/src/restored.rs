//! A log that was restored from a backup: it does not know what was made or removed in AWS since. Before anything is granted on it,
//! the organisation is looked through once. What no ledger knows is noted, and told to somebody; who had access by the backup and
//! has it no more stays without, for its end may be among what was lost.
//!
//! INVARIANT: removals wait for none of this. What is found is never taken for ours: that is for an administrator to say.

use crate::Missing;
use crate::core::Core;
use crate::fault::Fault;
use aws::Directory;
use command::aggregate::LogAggregate;
use command::{Command, CommandError, LoadError};
use domain::{EventId, SignedDuration};
use event_log::Position;
use futures::TryStreamExt as _;
use futures::future::join_all;
use journal::{Event, Fact, Stream};
use lifecycle::assignment::{AssignmentEvent, Ledger, Presence};
use lifecycle::log::Restored;
use lifecycle::{Rejection, log};
use std::sync::atomic::Ordering;
use std::time::Duration;

/// Why nothing is granted meanwhile.
pub(crate) const NOT_SWEPT: &str = "the log was restored, and AWS is being looked through";

/// Places of the organisation that are looked at at a time; calls a second have their own bound.
const PLACES_AT_A_TIME: usize = 8;

/// How often one place is looked at that AWS gives no answer about, and the pause before the second time; each one is twice as long.
const TRIES_MAX: u32 = 5;
const PAUSE: Duration = Duration::from_secs(1);

/// In how long a place ought to have been looked at by whoever does it, however slow AWS is.
const PLACE_WITHIN: SignedDuration = SignedDuration::from_secs(1);

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

    /// Looks through AWS if the log was restored, and if it is for us to do. Says whether nothing of that is left to do.
    pub(crate) async fn see_to_restored(&self) -> Result<bool, Fault> {
        let Some((restored, position)) = self.unswept().await? else { return Ok(true) };
        let Some(directory) = self.views.directory.snapshot() else { return Ok(false) };
        let places = self.places_of(&directory);
        if !self.sees_to_restored(restored.at, self.restored_patience(places)).await? {
            return Ok(false);
        }
        tracing::warn!(places, "the log was restored: nothing is granted before AWS has been looked through");
        self.refresh().await?;
        self.end_what_was_lost().await?;
        self.look_through(&directory, places).await?;
        let unknown = self.told_unknown(position).await?;
        self.record_swept(unknown).await?;
        Ok(self.unswept().await?.is_none())
    }

    fn restored_patience(&self, places: usize) -> SignedDuration {
        let places = i32::try_from(places).unwrap_or(i32::MAX);
        PLACE_WITHIN.saturating_mul(places).saturating_add(self.settings.operation_patience())
    }

    /// Ends requests that are active by the backup, and whose assignment is gone.
    async fn end_what_was_lost(&self) -> Result<(), Fault> {
        for ledger in self.open_ledgers().await? {
            let gone = match ledger.presence {
                Presence::Ours => ledger.attempt().is_none() && !self.look(&ledger.key).await?,
                Presence::Absent => ledger.attempt().is_none(),
                Presence::Standing => false,
            };
            if gone {
                self.end_lost(&ledger.key).await?;
            }
        }
        Ok(())
    }

    /// Notes what there is in the whole organisation, as fast as AWS allows.
    async fn look_through(&self, directory: &Directory, places: usize) -> Result<(), Fault> {
        let mut next = 0;
        while next < places {
            let end = next.saturating_add(PLACES_AT_A_TIME).min(places);
            let looks = (next..end).map(|place| self.look_surely(directory, place));
            join_all(looks).await.into_iter().collect::<Result<(), Fault>>()?;
            next = end;
        }
        Ok(())
    }

    async fn look_surely(&self, directory: &Directory, place: usize) -> Result<(), Fault> {
        let mut tries = 0;
        loop {
            match self.held_in(directory, place).await {
                Ok((held, looked_at)) => {
                    self.note_held(held, looked_at).await;
                    return Ok(());
                }
                Err(fault) if tries >= TRIES_MAX => return Err(fault),
                Err(fault) => tracing::debug!(%fault, "a place is looked at again"),
            }
            tokio::time::sleep(PAUSE.saturating_mul(1 << tries)).await;
            tries += 1;
        }
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
        self.meters.unknown(unknown);
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
