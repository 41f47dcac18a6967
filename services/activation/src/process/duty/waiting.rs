//! Due work that nobody has begun: of requests and their assignments, as far as the log tells.
//!
//! What AWS is at work on, what is tried again later, and what cannot be told here either is no reason to take over; but what goes
//! on failing is, now and then: it may be only who tries that AWS refuses.
//!
//! What cannot be done hides nothing that can, and a look has a bound, however much is due. Of each kind (ends, starts, and of each of
//! AWS's services removals and grants) a part is looked at: half of it the latest, which usually no change of hands has failed yet, and
//! half from where the part before it ended, going round. So of N that wait and are not excused, each is looked at within N/32 looks where it is a story, N/16 where it is a
//! change, and N/8 where it fails; there is a look a second. The log is read for what is in a part, and for nothing else. What is found to
//! wait for something is excused until that may have come, for a minute at most (an hour where history cannot be read), and until then
//! it takes no place in a part: it costs a comparison in memory. Ends are a kind of their own because they need no proof, so none of
//! them waits behind a start that cannot be told.
//!
//! Two signs tell that the holder works. For stories any event of theirs will do. For changes only what came of AWS counts: whoever
//! records stories may be one whom AWS does not answer, and then of grants neither a failure nor an attempt tells. Each of AWS's services
//! is judged for itself: one may answer whom the other does not, and neither waits for the other's queue.
//!
//! - here: when it is looked at, and stories (ends, starts);
//! - `changes`: changes in AWS that nobody has begun;
//! - `failing`: those that go on failing;
//! - `at_work`: whether somebody is at work on a change, as far as its ledger tells;
//! - `possible`: whether this replica could do it.

mod at_work;
mod changes;
mod failing;
mod possible;

use super::looks::Sought;
use super::{Unattended, What};
use crate::agenda::{Lane, Part, Wait};
use crate::core::{Core, later};
use crate::fault::Fault;
use domain::{RequestId, SignedDuration, Timestamp};
use lifecycle::duty::Duty;

/// Of what waits for an event alone, so much is looked at each time, of each kind.
const STORIES_MAX: usize = 64;

/// When to look again at what is in hands: something may have happened to it.
const LOOK_AGAIN: SignedDuration = SignedDuration::from_mins(1);

/// When to look again at what cannot be done by anybody: history that cannot be read.
const HOPELESS_FOR: SignedDuration = SignedDuration::from_hours(1);

/// From a look at AWS to what comes of it, as a rule: for so long it is left to whoever got something done in the same service, or took
/// over. More than a look takes that is slow, for whoever loses the duty over it has looked in vain.
const HELPS_WITHIN: SignedDuration = SignedDuration::from_secs(5);

/// Changes of hands of this time count as made in vain, unless something came of the service since. Older ones may have been for something else.
const IN_VAIN_WITHIN: SignedDuration = SignedDuration::from_mins(10);

/// So long changes in AWS are left to whoever took over last, at most, however often hands changed in vain: what is new may be possible.
const IN_VAIN_FOR: SignedDuration = SignedDuration::from_secs(90);

impl Core {
    /// Due work that whoever has the duty ought to have done by now.
    pub(super) async fn unattended(&self, held: &Duty, now: Timestamp) -> Result<Option<Unattended>, Fault> {
        self.shift.lock().looks.begin(now);
        for lane in Lane::OF_AWS {
            if let Some(failing) = self.failing_for_long(held, lane, now).await? {
                return Ok(Some(failing));
            }
        }
        let alive_at = self.agenda.sign_of_life().map_or(held.claimed_at, |sign| sign.max(held.claimed_at));
        if now.duration_since(alive_at) >= self.settings.duty_patience {
            // Little but the log is needed for these.
            for wait in [Wait::End, Wait::Start] {
                if let Some(story) = self.unattended_story(held, wait, now).await? {
                    return Ok(Some(story));
                }
            }
        }
        for lane in Lane::OF_AWS {
            if let Some(change) = self.unattended_change(held, lane, now).await? {
                return Ok(Some(change));
            }
        }
        Ok(None)
    }

    /// How long nothing may come of AWS under whoever is at work.
    fn help_patience(&self) -> SignedDuration {
        self.settings.duty_patience.max(HELPS_WITHIN)
    }

    /// Until when changes in one of AWS's services are left to whoever took over last. Each change of hands after which nothing came of it
    /// doubles that, for what is new as well: where it answers nobody, it could go on with every start. Who has just begun to watch
    /// cannot tell what the changes before that were good for.
    fn left_until(&self, held: &Duty, lane: Lane, now: Timestamp) -> Timestamp {
        let came_at = self.agenda.came_of_aws_at(lane);
        let watching_since = self.shift.lock().watching_since;
        let counted_from = later(now, -IN_VAIN_WITHIN);
        let helped_at = [came_at, watching_since].into_iter().flatten().fold(counted_from, Timestamp::max);
        let patience = self.help_patience();
        let left_until = held.attended_until(helped_at.min(held.claimed_at), patience);
        left_until.min(later(held.claimed_at, IN_VAIN_FOR.max(patience)))
    }

    /// The first of what waits for an event alone, and could be recorded here.
    async fn unattended_story(
        &self,
        held: &Duty,
        wait: Wait,
        now: Timestamp,
    ) -> Result<Option<Unattended>, Fault> {
        let is_over = |since: Timestamp| now >= held.attended_until(since, self.settings.duty_patience);
        let part = self.part(Sought::Unattended, wait, now, STORIES_MAX, is_over);
        for (since, id) in part.found {
            if self.can_be_done(Sought::Unattended, wait, &id, now).await? {
                return Ok(Some(self.of_request(id, since)));
            }
        }
        self.shift.lock().looks.went(Sought::Unattended, wait, part.to);
        Ok(None)
    }

    /// A part of what waits and is `wanted`, by since when: of what nobody has begun, without what is excused.
    fn part(
        &self,
        sought: Sought,
        wait: Wait,
        now: Timestamp,
        limit: usize,
        wanted: impl Fn(Timestamp) -> bool,
    ) -> Part {
        let known = self.shift.lock();
        let looks = &known.looks;
        let counts = |id: &RequestId| !looks.is_excused(sought, wait, id, now);
        let after = looks.round(sought, wait);
        self.agenda.waiting(wait, now, after, limit, |(since, id)| wanted(*since) && counts(id))
    }

    fn of_request(&self, id: RequestId, since: Timestamp) -> Unattended {
        Unattended { what: What::Request(id), since, patience: self.settings.duty_patience }
    }

    fn excuse(&self, sought: Sought, wait: Wait, id: RequestId, now: Timestamp, by: SignedDuration) {
        self.shift.lock().looks.excuse(sought, wait, id, now, later(now, by));
    }
}
