//! S2, of what is chained: out of every session that was handed out and may, a further role is assumed again and again, for as long as
//! its session policy lets its holder.
//!
//! What comes of it lives for an hour, which is AWS's limit for chained roles, has neither a session policy nor a window, and carries
//! the tag of the request. That a session may be denied meanwhile is not counted on.

use super::{Violation, later};
use crate::truth::Known;
use aws::simulated::SimulatedAws;
use aws::sts::CHAINED_DURATION_MAX;
use domain::{RequestId, SignedDuration, Timestamp};
use std::collections::BTreeMap;

/// What its holder calls.
const ASSUME_ROLE: &str = "sts:AssumeRole";

/// IAM compares whole seconds.
const SECOND: SignedDuration = SignedDuration::from_secs(1);

/// A session out of which a role may be assumed.
#[derive(Clone, Copy, Debug)]
struct Able {
    request: RequestId,
    expires_at: Timestamp,
    /// When a role was assumed out of it last.
    chained_at: Option<Timestamp>,
}

/// What is known of sessions that chain.
#[derive(Debug, Default)]
pub(crate) struct Chaining {
    /// By access key.
    able: BTreeMap<String, Able>,
}

impl Chaining {
    /// A session was recorded as handed out: whatever can be chained from it, at its last moment at the latest, is dead when its user
    /// was told; were the access to end now, as well.
    pub(crate) fn issued(
        &mut self,
        access_key_id: &str,
        known: &Known,
        now: Timestamp,
        aws: &SimulatedAws,
    ) -> Result<(), Violation> {
        let (Some(window), Some(bound)) = (known.request.window(), known.bound) else { return Ok(()) };
        let made = aws.sessions().into_iter().find(|session| session.access_key_id == access_key_id);
        let Some(session) = made else { return Ok(()) };
        let last = window.end().min(session.expires_at);
        let told = bound.at_end.min(later(now, bound.after_early_end));
        let moments = [now, later(last, -SECOND), last, later(last, SECOND)];
        for at in moments.into_iter().filter(|at| may_chain(access_key_id, *at, aws)) {
            let dead_at = later(at, CHAINED_DURATION_MAX);
            if dead_at > later(told, SECOND) {
                let what = format!(
                    "what is chained at {at} from {access_key_id} of r{} lives until {dead_at}, and {told} was told",
                    known.number
                );
                return Err(Violation::new("S2", what));
            }
            let request = known.request.raised.id;
            let able = Able { request, expires_at: session.expires_at, chained_at: None };
            self.able.entry(access_key_id.to_owned()).or_insert(able);
        }
        Ok(())
    }

    /// Holders assume roles. Says out of how many sessions that was done for the first time.
    pub(crate) fn chain(&mut self, now: Timestamp, aws: &SimulatedAws) -> usize {
        let mut first = 0;
        for (access_key_id, able) in &mut self.able {
            if now < able.expires_at && may_chain(access_key_id, now, aws) {
                first += usize::from(able.chained_at.is_none());
                able.chained_at = Some(now);
            }
        }
        first
    }

    /// When the latest sessions began that were chained from those of a request, and when they expire.
    pub(crate) fn sessions(&self, of: RequestId) -> impl Iterator<Item = (Timestamp, Timestamp)> {
        let able = self.able.values().filter(move |able| able.request == of);
        able.filter_map(|able| able.chained_at.map(|at| (at, later(at, CHAINED_DURATION_MAX))))
    }

    /// What is closed has left nothing that lives, not out of its sessions either.
    pub(crate) fn closed(&self, known: &Known, now: Timestamp) -> Result<(), Violation> {
        let mut alive = self.sessions(known.request.raised.id).filter(|(_, dead_at)| now < *dead_at);
        match alive.next() {
            Some((_, dead_at)) => {
                let what = format!(
                    "r{} is closed while what was chained from its credentials lives until {dead_at}",
                    known.number
                );
                Err(Violation::new("S2", what))
            }
            None => Ok(()),
        }
    }
}

fn may_chain(access_key_id: &str, at: Timestamp, aws: &SimulatedAws) -> bool {
    aws.session_may(access_key_id, ASSUME_ROLE, at) == Ok(true)
}
