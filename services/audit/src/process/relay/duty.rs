//! Whose turn it is to relay: the replica that claimed the duty last. The others look now and then whether events wait, and one of
//! them takes over when they wait too long. Being wrong about it is harmless: the bus takes each event once.

use super::{Fault, Relay};
use command::aggregate::DutyAggregate;
use command::{Command, CommandError};
use domain::{EventId, SignedDuration, Timestamp};
use event_log::Position;
use journal::{Fact, Stream};
use lifecycle::Rejection;
use lifecycle::duty::{Claim, Duty, claim};
use std::time::Duration;
use tokio::time::sleep;

/// The duty.
pub(super) const DUTY: &str = journal::types::RELAY_DUTY;

/// How often a replica that has not the duty looks whether anything waits, as a part of the patience.
const LOOKS_PER_PATIENCE: u32 = 4;

/// Who this replica is.
pub(super) struct Shift {
    replica: String,
    patience: SignedDuration,
}

impl Shift {
    pub(super) fn new(replica: String, patience: SignedDuration) -> Self {
        Self { replica, patience }
    }

    fn look_interval(&self) -> Duration {
        self.patience.unsigned_abs() / LOOKS_PER_PATIENCE
    }
}

impl Relay {
    /// Returns when the duty is ours: it was, nobody had it, or events waited too long under another.
    pub(super) async fn await_turn(&self) -> Result<(), Fault> {
        // Where the bus stood at the last look, and since when it stands there although there is more in the log.
        let mut stuck: Option<(Position, Timestamp)> = None;
        loop {
            let duty = self.duty().await?;
            if duty.as_ref().is_some_and(|duty| duty.holder == self.shift.replica) {
                return Ok(());
            }
            let place = self.look().await?;
            let waiting = self.first_after(place.position).await?;
            self.note_waiting(waiting);
            self.tell_lag();
            let now = self.clock.now();
            stuck = waiting.map(|_| match stuck {
                Some((position, since)) if position == place.position => (position, since),
                Some(_) | None => (place.position, now),
            });
            if let Some((_, since)) = stuck
                && duty.is_none_or(|duty| now >= duty.attended_until(since, self.shift.patience))
            {
                self.claim(since).await?;
                continue;
            }
            sleep(self.shift.look_interval()).await;
        }
    }

    pub(super) async fn is_ours(&self) -> Result<bool, Fault> {
        Ok(self.duty().await?.is_some_and(|duty| duty.holder == self.shift.replica))
    }

    async fn duty(&self) -> Result<Option<Duty>, Fault> {
        let loaded = self.commander.load::<DutyAggregate>(&Stream::Duty(DUTY.to_owned())).await?;
        Ok(loaded.state.clone())
    }

    async fn claim(&self, since: Timestamp) -> Result<(), Fault> {
        let mut chance = [0_u8; 16];
        self.entropy.fill(&mut chance);
        let event_id = EventId::from_parts([b"duty".as_slice(), chance.as_slice()]);
        let command = Command { event_id, actor: None, digest: None, trace: None };
        let claimed = self
            .commander
            .execute::<DutyAggregate, Rejection>(Stream::Duty(DUTY.to_owned()), command, |loaded, at| {
                let offer = Claim {
                    replica: self.shift.replica.clone(),
                    waiting_since: Some(since.min(at)),
                    patience: self.shift.patience,
                    at,
                };
                claim(loaded.state.as_ref(), offer).map(Fact::Duty)
            })
            .await;
        match claimed {
            Ok(_) => {
                tracing::info!(replica = self.shift.replica, "takes the duty to relay");
                Ok(())
            }
            // Another was faster, or patience is not over.
            Err(CommandError::Refused(_)) => Ok(()),
            Err(error) => Err(Fault::Claim(error)),
        }
    }
}
