//! What the request service decides: raising a request, and taking it back.

use crate::Rejection;
use crate::event::{Grounds, RequestEvent, Requested};
use crate::state::{Acting, Phase, Request};
use domain::{
    Actor, AskedWindow, BatchId, Person, PrincipalId, RequestId, Sealed, SignedDuration, Target, Ticket,
    Timestamp,
};

/// Limits that apply to every request; from the policy's settings.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Limits {
    /// How long a decision may take.
    pub decide_within: SignedDuration,
    /// How far ahead a start may lie.
    pub start_horizon: SignedDuration,
    /// The shortest window, and the least that must be left at approval.
    pub duration_min: SignedDuration,
    /// The longest window, by the rule.
    pub duration_max: SignedDuration,
    /// The longest chain of extensions.
    pub chain_duration_max: SignedDuration,
}

impl Limits {
    /// How long a decision may take when nothing else is said.
    pub const DECIDE_WITHIN: SignedDuration = SignedDuration::from_hours(24);
}

/// Whether somebody could meet the plan.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Deciders {
    /// Enough people other than the requester and raiser can.
    Enough,
    /// Not enough can; who is missing, in words.
    Missing(String),
    /// The directory alone does not tell.
    Unknown,
}

/// One person's ask for one target for one window.
#[derive(Clone, Debug)]
pub struct Raise<'a> {
    /// The new request's id; derives from the idempotency key.
    pub id: RequestId,
    /// Who will have the access.
    pub requester: Person,
    /// Who raises it.
    pub raiser: Actor,
    /// The raiser's user in Identity Center.
    pub raiser_principal: Option<PrincipalId>,
    /// What, and where.
    pub target: Target,
    /// For how long, from when.
    pub asked: AskedWindow,
    /// A reference to work elsewhere.
    pub ticket: Option<Ticket>,
    /// Why.
    pub justification: Sealed,
    /// Whether it claims an emergency.
    pub emergency: bool,
    /// The request that it continues, as it stands.
    pub extends: Option<&'a Request>,
    /// The batch that it is part of.
    pub batch: Option<BatchId>,
    /// What the policy said.
    pub grounds: Grounds,
    /// Whether the requester is the author of the rule.
    pub own_rule: bool,
    /// Limits that apply.
    pub limits: Limits,
    /// Whether somebody can decide.
    pub deciders: Deciders,
    /// Now.
    pub at: Timestamp,
}

/// Raises a request.
pub fn raise(command: Raise<'_>) -> Result<RequestEvent, Rejection> {
    let Limits { decide_within, start_horizon, duration_min, duration_max, chain_duration_max } =
        command.limits;
    if command.asked.duration < duration_min {
        return Err(Rejection::WindowTooShort { min: duration_min });
    }
    if command.asked.duration > duration_max {
        return Err(Rejection::WindowTooLong { max: duration_max });
    }
    if let Some(start) = command.asked.start {
        if start < command.at {
            return Err(Rejection::StartInPast);
        }
        // What can wait until later is no emergency.
        let horizon = if command.emergency { SignedDuration::ZERO } else { start_horizon };
        if start.duration_since(command.at) > horizon {
            return Err(Rejection::StartBeyondHorizon { horizon });
        }
    }
    command.asked.from_approval(command.at).map_err(|_| Rejection::WindowInvalid)?;
    if command.grounds.plan.is_none() && command.own_rule {
        return Err(Rejection::OwnRule);
    }
    if let Deciders::Missing(missing) = command.deciders {
        return Err(Rejection::NobodyCanDecide { missing });
    }
    let chain_duration = match command.extends {
        None => command.asked.duration,
        Some(extended) => extend(&command, extended, chain_duration_max)?,
    };
    let decide_by = command.at.checked_add(decide_within).map_err(|_| Rejection::WindowInvalid)?;
    Ok(RequestEvent::Requested(Box::new(Requested {
        id: command.id,
        requester: command.requester,
        raiser: command.raiser,
        raiser_principal: command.raiser_principal,
        target: command.target,
        asked: command.asked,
        ticket: command.ticket,
        justification: command.justification,
        emergency: command.emergency,
        extends: command.extends.map(|request| request.raised.id),
        chain_duration,
        batch: command.batch,
        decide_by,
        grounds: command.grounds,
    })))
}

/// The rules of extension; gives the length of the whole chain.
fn extend(command: &Raise<'_>, extended: &Request, max: SignedDuration) -> Result<SignedDuration, Rejection> {
    let before = &extended.raised;
    if before.requester != command.requester || before.target != command.target {
        return Err(Rejection::ExtendsAnother);
    }
    let window = match &extended.phase {
        Phase::Approved { grant, .. } => grant.approved.window,
        Phase::Pending | Phase::Expired { .. } | Phase::Rejected { .. } | Phase::Ended { .. } => {
            return Err(Rejection::ExtendsNothing);
        }
    };
    if command.emergency && before.emergency {
        return Err(Rejection::EmergencyExtendsEmergency);
    }
    if window.end() <= command.at {
        return Err(Rejection::ExtendsNothing);
    }
    if command.asked.start.is_some_and(|start| start > window.end()) {
        return Err(Rejection::ExtensionLeavesGap);
    }
    before
        .chain_duration
        .checked_add(command.asked.duration)
        .filter(|total| *total <= max)
        .ok_or(Rejection::ChainTooLong { max })
}

/// Takes a request back: by its requester or raiser, while it is pending or before its start.
pub fn withdraw(request: &Request, by: &Acting, at: Timestamp) -> Result<RequestEvent, Rejection> {
    if !request.involves(&by.everyone()) {
        return Err(Rejection::NotEntitled);
    }
    let at = request.time_of_next(at);
    match &request.phase {
        Phase::Pending => Ok(RequestEvent::Withdrawn),
        Phase::Approved { grant, active } => {
            if at < grant.approved.window.start() && active.is_none() {
                Ok(RequestEvent::Withdrawn)
            } else {
                Err(Rejection::AlreadyStarted)
            }
        }
        Phase::Expired { .. } | Phase::Rejected { .. } | Phase::Ended { .. } => Err(Rejection::Over),
    }
}
