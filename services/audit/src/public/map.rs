//! From what is stored to what is said. INVARIANT: no wildcard arms: a new fact breaks the build until it is decided what others see.

use super::data::{self as public, Details};
use domain::SignedDuration;
use journal::{Event, Fact};
use lifecycle::RequestEvent;
use lifecycle::assignment::{AssignmentEvent, Operation};
use lifecycle::denial::DenialEvent;
use lifecycle::event::{
    ApprovalBasis, ClosedHow, EndedBecause, ExpiredBecause, RejectedBecause, Requested, RevokedAs, Verdict,
};
use lifecycle::log::LogEvent;
use lifecycle::signal::{SignalEvent, SignalKind, SignalReceived};
use policy::PolicyEvent;

pub(super) fn details(event: &Event) -> Details<'_> {
    match &event.fact {
        Fact::Request(fact) => request(fact),
        Fact::Assignment(fact) => assignment(fact),
        Fact::Denial(fact) => denial(fact),
        Fact::Policy(fact) => policy(fact),
        Fact::Duty(claimed) => Details::DutyClaimed(public::DutyClaimed { holder: &claimed.holder }),
        Fact::Signal(SignalEvent::Received(received)) => Details::SignalReceived(signal(received)),
        Fact::Signal(SignalEvent::Refused(refused)) => {
            Details::SignalRefused(public::SignalRefused { reason: &refused.reason })
        }
        Fact::Person(linked) => Details::PersonLinked(public::PersonLinked {
            person: (&linked.person).into(),
            same_as: (&linked.same_as).into(),
        }),
        Fact::Log(LogEvent::Restored { backup, events }) => {
            Details::LogRestored(public::LogRestored { backup: backup.to_string(), events: *events })
        }
        Fact::Log(LogEvent::Swept { unknown }) => Details::LogSwept(public::LogSwept { unknown: *unknown }),
    }
}

fn request(fact: &RequestEvent) -> Details<'_> {
    match fact {
        RequestEvent::Requested(requested) => Details::Requested(Box::new(raised(requested))),
        RequestEvent::Withdrawn => Details::Nothing(public::Nothing {}),
        RequestEvent::Endorsed(endorsed) => Details::Endorsed(public::Endorsed {
            approver: (&endorsed.endorsement.approver.person).into(),
            policy_event: endorsed.policy_event.to_string(),
        }),
        RequestEvent::Approved(approved) => Details::Approved(public::Approved {
            window: public::Window { start: approved.window.start(), end: approved.window.end() },
            basis: match approved.basis {
                ApprovalBasis::People => public::Basis::People,
                ApprovalBasis::Rule => public::Basis::Rule,
                ApprovalBasis::Signal => public::Basis::Signal,
                ApprovalBasis::BreakGlass => public::Basis::BreakGlass,
            },
            approvers: approved.approvers.iter().map(|yes| (&yes.approver.person).into()).collect(),
            policy_event: approved.policy_event.to_string(),
        }),
        RequestEvent::Rejected(rejected) => Details::Rejected(public::Rejected {
            because: match &rejected.because {
                RejectedBecause::Approver { .. } => public::RejectedBecause::Approver,
                RejectedBecause::RuleVanished => public::RejectedBecause::RuleVanished,
            },
            policy_event: rejected.policy_event.map(|id| id.to_string()),
        }),
        RequestEvent::Expired(expired) => Details::Expired(public::Expired {
            because: match expired.because {
                ExpiredBecause::NotDecided => public::ExpiredBecause::NotDecided,
                ExpiredBecause::WindowPassed => public::ExpiredBecause::WindowPassed,
            },
        }),
        RequestEvent::Activated(activated) => Details::Activated(public::Activated {
            provider: activated.provider.into(),
            ends_by: activated.bound.at_end,
            after_early_end_seconds: seconds(activated.bound.after_early_end),
            standing: activated.standing,
        }),
        RequestEvent::CredentialsIssued(issued) => Details::Issued(public::Issued {
            issue: issued.issue.to_string(),
            access_key_id: &issued.access_key_id,
            session_name: &issued.session_name,
            expires_at: issued.expires_at,
        }),
        RequestEvent::ConsoleOpened(opened) => Details::Issued(public::Issued {
            issue: opened.issue.to_string(),
            access_key_id: &opened.access_key_id,
            session_name: &opened.session_name,
            expires_at: opened.expires_at,
        }),
        RequestEvent::Revoked(revoked) => Details::Revoked(public::Revoked {
            capacity: match revoked.capacity {
                RevokedAs::Requester => public::Capacity::Requester,
                RevokedAs::Approver => public::Capacity::Approver,
                RevokedAs::Administrator => public::Capacity::Administrator,
                RevokedAs::Signal => public::Capacity::Signal,
            },
        }),
        RequestEvent::Ended(ended) => Details::Ended(public::Ended {
            because: match &ended.because {
                EndedBecause::Elapsed => public::EndedBecause::Elapsed,
                EndedBecause::Failed { .. } => public::EndedBecause::Failed,
                EndedBecause::NoLongerEligible { .. } => public::EndedBecause::NoLongerEligible,
                EndedBecause::RemovedOutside => public::EndedBecause::RemovedOutside,
            },
        }),
        RequestEvent::Closed(closed) => Details::Closed(closing(&closed.how)),
        RequestEvent::ReviewedAfter(reviewed) => Details::Reviewed(public::Reviewed {
            verdict: match reviewed.verdict {
                Verdict::Justified => public::Verdict::Justified,
                Verdict::NotJustified => public::Verdict::NotJustified,
            },
        }),
    }
}

fn raised(requested: &Requested) -> public::Requested<'_> {
    let grounds = &requested.grounds;
    public::Requested {
        request: requested.id.to_string(),
        requester: (&requested.requester).into(),
        raiser: (&requested.raiser.person).into(),
        target: (&requested.target).into(),
        start: requested.asked.start,
        duration_seconds: seconds(requested.asked.duration),
        ticket: requested.ticket.as_ref().map(domain::Ticket::as_str),
        emergency: requested.emergency,
        extends: requested.extends.map(|id| id.to_string()),
        batch: requested.batch.map(|id| id.to_string()),
        decide_by: requested.decide_by,
        rule: grounds.rule.as_str(),
        policy_event: grounds.policy_event.to_string(),
        provider: grounds.provider.into(),
        people_needed: grounds.plan.people_needed(),
    }
}

fn closing(how: &ClosedHow) -> public::Closed {
    let (how, carried_by) = match how {
        ClosedHow::Deleted => (public::ClosedHow::Deleted, None),
        ClosedHow::CarriedBy(request) => (public::ClosedHow::CarriedBy, Some(request.to_string())),
        ClosedHow::Standing => (public::ClosedHow::Standing, None),
        ClosedHow::NothingCreated => (public::ClosedHow::NothingCreated, None),
        ClosedHow::CredentialsExpired => (public::ClosedHow::CredentialsExpired, None),
        ClosedHow::Abandoned => (public::ClosedHow::Abandoned, None),
    };
    public::Closed { how, carried_by }
}

fn assignment(fact: &AssignmentEvent) -> Details<'_> {
    match fact {
        AssignmentEvent::Attempted { key, operation, deadline } => Details::Attempted(public::Attempted {
            principal: key.principal.as_str(),
            target: (&key.target).into(),
            operation: match operation {
                Operation::Create => public::Operation::Create,
                Operation::Delete => public::Operation::Delete,
            },
            deadline: *deadline,
        }),
        AssignmentEvent::AttemptAbandoned { attempt } | AssignmentEvent::Confirmed { attempt } => {
            Details::Outcome(public::Outcome { attempt: attempt.to_string() })
        }
        AssignmentEvent::Failed { attempt, reason: _, definite } => {
            Details::Failed(public::Failed { attempt: attempt.to_string(), definite: *definite })
        }
        AssignmentEvent::StandingFound { key } | AssignmentEvent::Adopted { key } => {
            Details::Assignment(public::Assignment {
                principal: key.principal.as_str(),
                target: (&key.target).into(),
            })
        }
        AssignmentEvent::DriftFound { present } => Details::Drift(public::Drift { present: *present }),
        AssignmentEvent::AbandonAsked { by, .. } | AssignmentEvent::Abandoned { by, .. } => {
            Details::Abandoned(public::Abandoned { by: (&by.person).into() })
        }
    }
}

fn denial(fact: &DenialEvent) -> Details<'_> {
    match fact {
        DenialEvent::Attempted { account, requests, names: _, deadline } => {
            Details::DenialAttempted(public::DenialAttempted {
                account: account.as_str(),
                requests: requests.keys().map(ToString::to_string).collect(),
                deadline: *deadline,
            })
        }
        DenialEvent::AttemptAbandoned { attempt } | DenialEvent::Confirmed { attempt } => {
            Details::Outcome(public::Outcome { attempt: attempt.to_string() })
        }
        DenialEvent::Failed { attempt, reason: _ } => {
            Details::DenialFailed(public::DenialFailed { attempt: attempt.to_string() })
        }
        DenialEvent::DriftFound => Details::Nothing(public::Nothing {}),
    }
}

fn policy(fact: &PolicyEvent) -> Details<'_> {
    match fact {
        PolicyEvent::Proposed(proposed) => Details::PolicyProposed(public::PolicyProposed {
            base: proposed.base.map(|id| id.to_string()),
            author: (&proposed.author.person).into(),
            rules: proposed.policy.rules.len(),
        }),
        PolicyEvent::Applied(applied) => Details::PolicyApplied(public::PolicyApplied {
            base: applied.base.map(|id| id.to_string()),
            proposal: applied.proposal.map(|id| id.to_string()),
            author: (&applied.author.person).into(),
            second: applied.second.as_ref().map(|second| (&second.person).into()),
            rules: applied.policy.rules.len(),
        }),
        PolicyEvent::Discarded(discarded) => {
            Details::PolicyDiscarded(public::PolicyDiscarded { proposal: discarded.proposal.to_string() })
        }
    }
}

fn signal(received: &SignalReceived) -> public::SignalReceived<'_> {
    public::SignalReceived {
        source: &received.source,
        kind: match received.kind {
            SignalKind::TicketApproved => public::SignalKind::TicketApproved,
            SignalKind::IncidentOpened => public::SignalKind::IncidentOpened,
            SignalKind::IncidentClosed => public::SignalKind::IncidentClosed,
            SignalKind::PersonLeft => public::SignalKind::PersonLeft,
            SignalKind::FindingRaised => public::SignalKind::FindingRaised,
            SignalKind::RaiseForPerson => public::SignalKind::RaiseForPerson,
            SignalKind::PersonReturned => public::SignalKind::PersonReturned,
        },
        occurred_at: received.occurred_at,
        about: received.about.as_ref().map(Into::into),
        decided_by: received.decided_by.as_ref().map(Into::into),
        target: received.target.as_ref().map(Into::into),
        ticket: received.ticket.as_ref().map(domain::Ticket::as_str),
    }
}

fn seconds(duration: SignedDuration) -> i64 {
    duration.as_secs()
}

impl<'a> From<&'a domain::Person> for public::Person<'a> {
    fn from(person: &'a domain::Person) -> Self {
        Self { issuer: person.issuer.as_str(), subject: person.subject.as_str() }
    }
}

impl<'a> From<&'a domain::Target> for public::Target<'a> {
    fn from(target: &'a domain::Target) -> Self {
        Self { account: target.account().as_str(), entitlement: target.entitlement().arn() }
    }
}

impl From<domain::Provider> for public::Provider {
    fn from(provider: domain::Provider) -> Self {
        match provider {
            domain::Provider::IdentityCenter => Self::IdentityCenter,
            domain::Provider::Sts => Self::Sts,
            domain::Provider::AccountAccess => Self::AccountAccess,
        }
    }
}

impl<'a> public::Actor<'a> {
    pub(super) fn of(actor: &'a domain::Actor) -> Self {
        Self {
            issuer: actor.person.issuer.as_str(),
            subject: actor.person.subject.as_str(),
            kind: match actor.kind {
                domain::ActorKind::Human => public::ActorKind::Human,
                domain::ActorKind::Workload => public::ActorKind::Workload,
            },
        }
    }
}
