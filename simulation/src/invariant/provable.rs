//! S10: unprovable means denied. What gives access, or is a step to it, is in no event of a process that could not prove it: because
//! the policy or the story cannot be read, the directory is too old, somebody's groups are not known, or the clock is wrong and
//! known to be.
//!
//! A decision takes its time, so what was lost less than [`GRACE`] ago, or while the process was paused, may still have been there.

use super::{Violation, later};
use crate::machine::Machine;
use crate::people;
use crate::process::DIRECTORY_AGE_MAX;
use crate::truth::Truth;
use crate::words;
use domain::ports::Clock as _;
use domain::{PrincipalId, SignedDuration, Timestamp};
use journal::{Event, Fact, Stream};
use lifecycle::RequestEvent;
use lifecycle::assignment::{AssignmentEvent, Operation};

/// The longest that a command may be under way.
const GRACE: SignedDuration = SignedDuration::from_mins(1);

/// By how much a clock may be wrong: what a process must notice (5 s), what an answer's date leaves open, and its time under way.
const SKEW_MAX: SignedDuration = SignedDuration::from_secs(8);

/// Checks one event that the process on `machine` has written at `now`.
pub(crate) fn check(
    event: &Event,
    machine: &Machine,
    truth: &Truth,
    now: Timestamp,
) -> Result<(), Violation> {
    if !gives(event, truth) {
        return Ok(());
    }
    let lasting = |since: Timestamp| now > later(since.max(machine.awake_since), GRACE);
    let why = if truth.policy_damaged.is_some_and(lasting) {
        Some("the policy cannot be read".to_owned())
    } else if is_damaged(event, truth) {
        Some("its story cannot be read".to_owned())
    } else {
        old_directory(event, machine, now)
            .or_else(|| unknown_groups(event, machine, truth, now))
            .or_else(|| wrong_clock(machine, now))
    };
    match why {
        Some(why) => {
            let name = journal::types::type_name(&event.fact);
            let about = words::about(event, truth);
            Err(Violation::new("S10", format!("{name} {about} by {} although {why}", machine.name)))
        }
        None => Ok(()),
    }
}

/// Whether an event gives access, or is a step to it.
fn gives(event: &Event, truth: &Truth) -> bool {
    match &event.fact {
        Fact::Request(fact) => matches!(
            fact,
            RequestEvent::Requested(_)
                | RequestEvent::Endorsed(_)
                | RequestEvent::Approved(_)
                | RequestEvent::Activated(_)
                | RequestEvent::CredentialsIssued(_)
                | RequestEvent::ConsoleOpened(_)
        ),
        // What is held already is made again without asking.
        Fact::Assignment(AssignmentEvent::Attempted { key, operation: Operation::Create, .. }) => {
            !truth.is_held(key, event.at)
        }
        Fact::Assignment(_)
        | Fact::Denial(_)
        | Fact::Policy(_)
        | Fact::Duty(_)
        | Fact::Signal(_)
        | Fact::Person(_)
        | Fact::Log(_) => false,
    }
}

fn is_damaged(event: &Event, truth: &Truth) -> bool {
    match event.stream {
        Stream::Request(id) => truth.is_damaged(&id),
        Stream::Assignment(_)
        | Stream::Denial(_)
        | Stream::Policy
        | Stream::Duty(_)
        | Stream::Signal(_)
        | Stream::Person(_)
        | Stream::Log => false,
    }
}

fn old_directory(event: &Event, machine: &Machine, now: Timestamp) -> Option<String> {
    // Facts may be older than the decision by what a process was paused, and times do not compare over a jump of the clock.
    let settled = machine.awake_since.max(machine.clock_since);
    if now <= later(settled, GRACE) {
        return None;
    }
    let Some((_, newest)) = machine.snapshots.back() else {
        return Some("the directory was never read".to_owned());
    };
    let age = event.at.min(machine.clock.now()).duration_since(newest.fetched_at());
    (age > DIRECTORY_AGE_MAX + SignedDuration::from_secs(30)).then(|| format!("the directory is {age:#} old"))
}

/// Who acts, or whose access it is, is locked out or gone in everything that the process has known lately.
fn unknown_groups(event: &Event, machine: &Machine, truth: &Truth, now: Timestamp) -> Option<String> {
    let subject = match (&event.actor, &event.fact) {
        (Some(actor), _) => people::principal(actor.person.subject.as_str()),
        (None, Fact::Request(RequestEvent::Activated(_))) => {
            let Stream::Request(id) = event.stream else { return None };
            truth.requests.get(&id)?.request.raised.grounds.principal.clone()?
        }
        (None, _) => return None,
    };
    if now <= later(machine.awake_since, GRACE) {
        return None;
    }
    let from = now.checked_sub(GRACE).unwrap_or(Timestamp::MIN);
    let snapshots = machine.snapshots.iter().enumerate().filter(|(nth, _)| {
        let until = machine.snapshots.get(nth + 1).map_or(Timestamp::MAX, |(since, _)| *since);
        until >= from
    });
    let locked_out = |user: &PrincipalId, directory: &aws::Directory| {
        directory.user(user).is_none_or(|user| !user.enabled)
    };
    let mut any = false;
    for (_, (_, directory)) in snapshots {
        if !locked_out(&subject, directory) {
            return None;
        }
        any = true;
    }
    any.then(|| format!("{} is locked out", people::name_of(&subject)))
}

/// The clock is wrong, and AWS has said so.
fn wrong_clock(machine: &Machine, now: Timestamp) -> Option<String> {
    let ahead = machine.clock.ahead();
    let told = machine.told_at().filter(|at| *at > machine.clock_since)?;
    let wrong = ahead.abs() > SKEW_MAX && now > later(told.max(machine.awake_since), GRACE);
    wrong.then(|| format!("its clock is wrong by {ahead:#}"))
}
