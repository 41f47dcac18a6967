//! As long as it runs, the accounts of requests that ended early deny their sessions, and nobody else's for longer.

use crate::core::{Core, later};
use crate::denial::Ask;
use crate::fault::Fault;
use domain::{AccountId, RequestId, Timestamp};
use lifecycle::Request;
use lifecycle::denial::Denied;
use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;
use tokio_util::sync::CancellationToken;

/// How often it is looked whether sessions have died: there is nothing that wakes for that.
const LOOK_EVERY: Duration = Duration::from_secs(5);

/// What came of an account last.
struct Seen {
    wanted: Denied,
    /// When it came.
    at: Timestamp,
    /// When to look again although nothing has changed.
    again_at: Timestamp,
    failures: u32,
    /// Since when somebody else ought to have seen to it.
    undone_since: Option<Timestamp>,
    /// Whether the log says that it is undone; AWS, otherwise.
    by_log: bool,
    /// When we looked ourselves whether somebody has written over it.
    looked_at: Option<Timestamp>,
}

/// What is known from one look to the next.
#[derive(Default)]
struct Watch {
    seen: BTreeMap<AccountId, Seen>,
    /// Accounts in which something may be denied though nothing is closing there, and when it was asked which.
    denying: BTreeSet<AccountId>,
    asked_at: Option<Timestamp>,
    /// Where we have tried: the requests whose sessions are not known to be denied, and since when they ought to be.
    undone: BTreeMap<AccountId, BTreeMap<RequestId, Timestamp>>,
    /// Those of them that somebody was told of.
    told: BTreeSet<RequestId>,
}

/// Runs until `shutdown`.
pub(crate) async fn run(core: &Core, shutdown: &CancellationToken) {
    if core.ports.session_denials().is_none() {
        return shutdown.cancelled().await;
    }
    let projection = core.views.requests.projection();
    tokio::select! {
        biased;
        () = shutdown.cancelled() => return,
        () = projection.caught_up() => {}
    }
    let mut changes = projection.changes();
    let mut watch = Watch::default();
    loop {
        tokio::select! {
            biased;
            () = shutdown.cancelled() => return,
            () = watch.look(core) => {}
        }
        tokio::select! {
            biased;
            () = shutdown.cancelled() => return,
            _ = changes.changed() => {}
            () = tokio::time::sleep(LOOK_EVERY) => {}
        }
    }
}

impl Watch {
    async fn look(&mut self, core: &Core) {
        self.see_to_all(core).await;
        self.tell(core);
    }

    async fn see_to_all(&mut self, core: &Core) {
        if let Err(fault) = core.refresh().await.and(self.ask(core).await) {
            tracing::warn!(%fault, "where something is denied cannot be told; asked again later");
            return;
        }
        let mut accounts: BTreeMap<AccountId, Vec<Request>> =
            self.denying.iter().map(|account| (account.clone(), Vec::new())).collect();
        for request in core.agenda.closing() {
            accounts.entry(request.raised.target.account().clone()).or_default().push(request);
        }
        self.seen.retain(|account, _| accounts.contains_key(account));
        self.undone.retain(|account, _| accounts.contains_key(account));
        if accounts.is_empty() {
            return;
        }
        let on_duty = core.seems_on_duty().await;
        if matches!(on_duty, Ok(false)) {
            // It is told by who tries.
            self.undone.clear();
        }
        let ask = if matches!(on_duty, Ok(true)) { Ask::Aws } else { Ask::Nobody };
        for (account, closing) in accounts {
            if let Err(fault) = self.see_to(core, &account, &closing, ask).await {
                tracing::warn!(%account, %fault, "what is denied could not be seen to; tried again later");
                // The next account may take as long to fail.
                self.tell(core);
            }
        }
    }

    /// Someone is told once of every request whose sessions ought to be denied and are not for too long.
    fn tell(&mut self, core: &Core) {
        let (now, late_after) = (core.now(), core.settings.removal_late_after);
        let mut late = BTreeMap::new();
        for (account, undone) in &self.undone {
            let is_late = |since: Timestamp| now.duration_since(since) >= late_after;
            late.extend(undone.iter().filter(|(_, since)| is_late(**since)).map(|(id, _)| (*id, account)));
        }
        core.meters.denials_overdue(late.len());
        self.told.retain(|id| late.contains_key(id));
        for (request, account) in late {
            if self.told.insert(request) {
                tracing::error!(%request, %account, "live sessions are still not denied");
            }
        }
    }

    /// Notes whose sessions are not known to be denied, and since when; since longer, where that was noted before.
    fn note_undone(
        &mut self,
        account: &AccountId,
        mut undone: BTreeMap<RequestId, Timestamp>,
        now: Timestamp,
    ) {
        let before = self.undone.remove(account).unwrap_or_default();
        for (id, since) in &mut undone {
            // A clock that was ahead may have dated it.
            *since = before.get(id).map_or(*since, |noted| (*since).min(*noted)).min(now);
        }
        if !undone.is_empty() {
            self.undone.insert(account.clone(), undone);
        }
    }

    /// Asks the log now and then where something may be denied: a call that came late may have written what nobody wants.
    async fn ask(&mut self, core: &Core) -> Result<(), Fault> {
        let now = core.now();
        if self.asked_at.is_some_and(|at| waits(now, at, later(at, core.settings.sweep_interval))) {
            return Ok(());
        }
        self.denying = core.accounts_denying().await?;
        self.asked_at = Some(now);
        Ok(())
    }

    async fn see_to(
        &mut self,
        core: &Core,
        account: &AccountId,
        closing: &[Request],
        ask: Ask,
    ) -> Result<(), Fault> {
        let mut left = core.all_sessions_left(account, closing, ask).await?;
        if left.stuck
            && core.on_duty().await?
            && matches!(core.resolve_open(account, closing).await, Ok(true))
        {
            left = core.all_sessions_left(account, closing, ask).await?;
        }
        let wanted = left.denied();
        let perhaps = match ask {
            Ask::Aws => core.perhaps_not_denied(account, closing, &left.untold).await?,
            // It is told by who has the duty.
            Ask::Nobody => BTreeMap::new(),
        };
        let now = core.now();
        let mut undone = self.undone.get(account).cloned().unwrap_or_default();
        undone.retain(|id, _| left.may_have(id));
        undone.extend(perhaps.clone());
        if ask == Ask::Aws && left.stuck {
            // Those that could be denied wait with the others.
            undone.extend(core.not_denied(account, closing, &wanted).await);
        }
        self.note_undone(account, undone, now);
        let left = left.unless_stuck()?;
        for (id, sessions) in &left.sessions {
            if let Some(until) = core.held_until(sessions) {
                core.agenda.note_held(*id, until, now);
            }
        }
        let seen = self.seen.get(account);
        if seen.is_some_and(|seen| seen.wanted == wanted && waits(now, seen.at, seen.again_at)) {
            return left.told();
        }
        if !core.can_deny(account).await? {
            let mut undone = perhaps;
            if ask == Ask::Aws {
                undone.extend(core.not_denied(account, closing, &wanted).await);
            }
            self.nothing_to_do(core, account, closing, (wanted, undone));
            return left.told();
        }
        if !core.on_duty().await? && !self.takes_over(core, account, closing, &wanted).await? {
            return left.told();
        }
        let failures = self.seen.get(account).map_or(0, |seen| seen.failures);
        let done = core.see_to_denials(account).await;
        let as_it_should = matches!(done, Ok(true));
        let failures = if done.is_ok() { 0 } else { failures.saturating_add(1) };
        let pause = match failures {
            0 if as_it_should => core.settings.sweep_interval,
            // Another is at it, or what is to be denied changes as fast as it is written.
            0 => core.settings.operation_patience(),
            failures => core.settings.backoff(failures).try_into().unwrap_or(core.settings.sweep_interval),
        };
        let mut undone = if as_it_should {
            core.denied_in_vain(account, closing, &wanted).await
        } else {
            core.not_denied(account, closing, &wanted).await
        };
        undone.extend(perhaps);
        let at = core.now();
        self.note_undone(account, undone, at);
        let again_at = later(at, pause);
        self.seen.insert(
            account.clone(),
            Seen { wanted, at, again_at, failures, undone_since: None, by_log: false, looked_at: None },
        );
        // Where something was denied, a call of before may still arrive.
        self.denying.insert(account.clone());
        // What was held open for the sake of its sessions may be closed now.
        for request in closing {
            core.agenda.see_again(&request.raised.id, core.now());
        }
        done?;
        left.told()
    }

    /// Notes that nobody can do anything about an account, until something else is to be denied there; what waits for its sessions alone
    /// is closed once they are dead.
    fn nothing_to_do(
        &mut self,
        core: &Core,
        account: &AccountId,
        closing: &[Request],
        (wanted, undone): (Denied, BTreeMap<RequestId, Timestamp>),
    ) {
        let now = core.now();
        self.note_undone(account, undone, now);
        let again_at = later(now, core.settings.sweep_interval);
        let seen = Seen {
            wanted,
            at: now,
            again_at,
            failures: 0,
            undone_since: None,
            by_log: false,
            looked_at: None,
        };
        self.seen.insert(account.clone(), seen);
        for request in closing {
            core.agenda.see_again(&request.raised.id, now);
        }
    }

    /// Whether the duty is ours now, because whoever has it does not see to what is to be denied: as the log says, or as AWS does.
    async fn takes_over(
        &mut self,
        core: &Core,
        account: &AccountId,
        closing: &[Request],
        wanted: &Denied,
    ) -> Result<bool, Fault> {
        let now = core.now();
        let usual = core.settings.operation_patience();
        let by_log = !core.denies(account, wanted).await?;
        let seen = self.seen.get(account);
        let looked_at = seen.and_then(|seen| seen.looked_at).filter(|at| *at <= now);
        let same = seen.filter(|seen| seen.by_log == by_log && seen.wanted == *wanted);
        let known_since = same.and_then(|seen| seen.undone_since).map(|since| since.min(now));
        let (undone, patience, looked_at) = if by_log {
            (true, usual, looked_at)
        } else {
            // Nobody writes that somebody else has written over it, but who looks. Whoever has the duty looks as often.
            let interval = core.settings.sweep_interval;
            let patience = interval.saturating_add(usual);
            let is_over = known_since.is_some_and(|since| later(since, patience) <= now);
            if is_over || looked_at.is_none_or(|at| later(at, interval) <= now) {
                (core.is_denied_otherwise(account, closing, wanted).await, patience, Some(now))
            } else {
                (known_since.is_some(), patience, looked_at)
            }
        };
        let since = known_since.unwrap_or(now);
        let seen = Seen {
            wanted: wanted.clone(),
            at: now,
            again_at: later(now, usual),
            failures: 0,
            undone_since: undone.then_some(since),
            by_log,
            looked_at,
        };
        self.seen.insert(account.clone(), seen);
        if !undone || !core.may_take_over_denials(since, patience).await? {
            return Ok(false);
        }
        // Until now nobody has asked AWS whether a group holds the same.
        let asked = core.all_sessions_left(account, closing, Ask::Aws).await?.unless_stuck()?.denied();
        let undone = asked == *wanted
            || !core.denies(account, &asked).await?
            || core.is_denied_otherwise(account, closing, &asked).await;
        Ok(undone && core.take_over_denials(account, since, patience).await?)
    }
}

/// Whether it is too soon to look again after a look `at` that time. One that is still to come was dated by a clock that was ahead, and
/// what waits for such a date would wait for as long as that clock was wrong.
fn waits(now: Timestamp, at: Timestamp, again_at: Timestamp) -> bool {
    at <= now && now < again_at
}
