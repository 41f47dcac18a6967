//! What a request has come to: the fold of its events.

use crate::Rejection;
use crate::event::{
    Activated, Approved, ClosedHow, CredentialsIssued, EndedBecause, ExpiredBecause, RejectedBecause,
    RequestEvent, Requested, RevokedAs, Verdict,
};
use domain::{Actor, Endorsement, IssueId, Person, PrincipalId, SignedDuration, Timestamp, Window};
use std::collections::BTreeSet;

/// One request, as its story stands.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Request {
    /// What was asked; never changes.
    pub raised: Requested,
    /// When.
    pub raised_at: Timestamp,
    /// The time of the latest event. The next is not before it.
    pub last_at: Timestamp,
    /// Who agreed so far.
    pub endorsements: Vec<Endorsement>,
    /// Where it stands.
    pub phase: Phase,
    /// Credentials and console sessions that were handed out.
    pub issues: Vec<Issue>,
    /// The review that an emergency owes, once done.
    pub reviewed_after: Option<Verdict>,
}

/// Where a request stands.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Phase {
    /// Nobody has decided.
    Pending,
    /// Nobody decided in time.
    Expired {
        /// When.
        at: Timestamp,
        /// What ran out.
        because: ExpiredBecause,
    },
    /// Someone said no.
    Rejected {
        /// When.
        at: Timestamp,
        /// Why.
        because: RejectedBecause,
    },
    /// Everyone agreed who must.
    Approved {
        /// What was agreed.
        grant: Grant,
        /// Set when the access exists.
        active: Option<Active>,
    },
    /// It is over.
    Ended {
        /// What was agreed, if it came to that.
        grant: Option<Grant>,
        /// The access, if it came to that.
        active: Option<Active>,
        /// Since when it is over.
        at: Timestamp,
        /// Why.
        because: EndReason,
        /// Whether something may be left in AWS.
        closure: Closure,
    },
}

/// What was agreed.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Grant {
    /// When.
    pub at: Timestamp,
    /// The window, the approvers, the policy.
    pub approved: Approved,
}

/// Access that exists.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Active {
    /// Since when.
    pub at: Timestamp,
    /// How, and how long it can outlive its end.
    pub activated: Activated,
}

/// Why a request is over that was not rejected and did not expire.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum EndReason {
    /// Taken back.
    Withdrawn,
    /// Ended early.
    Revoked(RevokedAs),
    /// Ended by itself.
    Ended(EndedBecause),
}

/// Whether something of an ended request may be left in AWS.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Closure {
    /// Perhaps.
    Closing,
    /// Nothing is.
    Closed {
        /// Since when that is known.
        at: Timestamp,
        /// How.
        how: ClosedHow,
        /// When its assignment was gone, where that is recorded.
        removed_at: Option<Timestamp>,
    },
}

/// Something that was handed out.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Issue {
    /// Which.
    pub id: IssueId,
    /// When AWS stops accepting it.
    pub expires_at: Timestamp,
}

/// The five words for where a request stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Status {
    /// Waiting for a decision.
    Requested,
    /// Not decided in time.
    Expired,
    /// Refused.
    Rejected,
    /// Agreed, not over.
    Approved,
    /// Over.
    Ended,
}

/// Everyone that one acting person is known to be: their linked identities and their user in Identity Center.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Identities {
    /// The acting identity and every linked one.
    pub people: BTreeSet<Person>,
    /// Their user in Identity Center.
    pub principal: Option<PrincipalId>,
}

impl Identities {
    /// Someone with one identity and no known user.
    pub fn of(person: Person) -> Self {
        Self { people: BTreeSet::from([person]), principal: None }
    }

    /// Whether this is the same human as `person` with `principal`.
    pub fn same_as(&self, person: &Person, principal: Option<&PrincipalId>) -> bool {
        self.people.contains(person) || (self.principal.is_some() && self.principal.as_ref() == principal)
    }

    /// Whether this and `other` are the same human.
    pub fn overlaps(&self, other: &Self) -> bool {
        other.people.iter().any(|person| self.same_as(person, other.principal.as_ref()))
    }
}

impl Request {
    /// Folds one event. An event that cannot follow is a fault elsewhere; it leaves the state as it is, so that nothing
    /// that is over comes back.
    pub fn evolve(state: Option<Self>, event: &RequestEvent, at: Timestamp) -> Option<Self> {
        match (state, event) {
            (None, RequestEvent::Requested(raised)) => Some(Self {
                raised: raised.as_ref().clone(),
                raised_at: at,
                last_at: at,
                endorsements: Vec::new(),
                phase: Phase::Pending,
                issues: Vec::new(),
                reviewed_after: None,
            }),
            (
                None,
                RequestEvent::Withdrawn
                | RequestEvent::Endorsed(_)
                | RequestEvent::Approved(_)
                | RequestEvent::Rejected(_)
                | RequestEvent::Expired(_)
                | RequestEvent::Activated(_)
                | RequestEvent::CredentialsIssued(_)
                | RequestEvent::ConsoleOpened(_)
                | RequestEvent::Revoked(_)
                | RequestEvent::Ended(_)
                | RequestEvent::Closed(_)
                | RequestEvent::ReviewedAfter(_),
            ) => None,
            (Some(request), event) => Some(request.then(event, at)),
        }
    }

    /// Folds a whole story.
    pub fn fold<'a>(events: impl IntoIterator<Item = (&'a RequestEvent, Timestamp)>) -> Option<Self> {
        events.into_iter().fold(None, |state, (event, at)| Self::evolve(state, event, at))
    }

    fn then(mut self, event: &RequestEvent, at: Timestamp) -> Self {
        self.last_at = self.last_at.max(at);
        match event {
            RequestEvent::Requested(_) => {}
            RequestEvent::Endorsed(endorsed) => {
                if self.phase == Phase::Pending {
                    // Who says it again is known by the later one.
                    let approver = &endorsed.endorsement.approver.person;
                    self.endorsements.retain(|earlier| earlier.approver.person != *approver);
                    self.endorsements.push(endorsed.endorsement.clone());
                }
            }
            RequestEvent::Approved(approved) => {
                if self.phase == Phase::Pending {
                    self.endorsements.clone_from(&approved.approvers);
                    self.phase =
                        Phase::Approved { grant: Grant { at, approved: approved.clone() }, active: None };
                }
            }
            RequestEvent::Rejected(rejected) => {
                if self.phase == Phase::Pending {
                    self.phase = Phase::Rejected { at, because: rejected.because.clone() };
                }
            }
            RequestEvent::Expired(expired) => {
                if self.phase == Phase::Pending {
                    self.phase = Phase::Expired { at, because: expired.because };
                }
            }
            RequestEvent::Activated(activated) => {
                if let Phase::Approved { active: active @ None, .. } = &mut self.phase {
                    *active = Some(Active { at, activated: *activated });
                }
            }
            // Credentials that left count whatever else was said: closing waits until the last of them has expired.
            RequestEvent::CredentialsIssued(CredentialsIssued { issue, expires_at, .. }) => {
                self.issues.push(Issue { id: *issue, expires_at: *expires_at });
            }
            RequestEvent::ConsoleOpened(opened) => {
                self.issues.push(Issue { id: opened.issue, expires_at: opened.expires_at });
            }
            RequestEvent::Withdrawn => self.end(at, EndReason::Withdrawn),
            RequestEvent::Revoked(revoked) => self.end(at, EndReason::Revoked(revoked.capacity)),
            RequestEvent::Ended(ended) => self.end(at, EndReason::Ended(ended.because.clone())),
            RequestEvent::Closed(closed) => {
                if let Phase::Ended { closure: closure @ Closure::Closing, .. } = &mut self.phase {
                    *closure = Closure::Closed { at, how: closed.how.clone(), removed_at: closed.removed_at };
                }
            }
            RequestEvent::ReviewedAfter(reviewed) => {
                if self.owes_review() {
                    self.reviewed_after = Some(reviewed.verdict);
                }
            }
        }
        self
    }

    fn end(&mut self, at: Timestamp, because: EndReason) {
        let (grant, active) = match &self.phase {
            Phase::Pending => (None, None),
            Phase::Approved { grant, active } => (Some(grant.clone()), *active),
            Phase::Expired { .. } | Phase::Rejected { .. } | Phase::Ended { .. } => return,
        };
        self.phase = Phase::Ended { grant, active, at, because, closure: Closure::Closing };
    }

    /// The status.
    pub fn status(&self) -> Status {
        match self.phase {
            Phase::Pending => Status::Requested,
            Phase::Expired { .. } => Status::Expired,
            Phase::Rejected { .. } => Status::Rejected,
            Phase::Approved { .. } => Status::Approved,
            Phase::Ended { .. } => Status::Ended,
        }
    }

    /// The time that an event written now has: never before the last one.
    pub fn time_of_next(&self, now: Timestamp) -> Timestamp {
        self.last_at.max(now)
    }

    /// Refuses unless nobody has decided.
    pub fn pending(&self) -> Result<(), Rejection> {
        match self.phase {
            Phase::Pending => Ok(()),
            Phase::Expired { .. } | Phase::Rejected { .. } | Phase::Approved { .. } | Phase::Ended { .. } => {
                Err(Rejection::NotPending)
            }
        }
    }

    /// What was agreed, if it stands.
    pub fn approved(&self) -> Result<(&Grant, Option<&Active>), Rejection> {
        match &self.phase {
            Phase::Approved { grant, active } => Ok((grant, active.as_ref())),
            Phase::Pending => Err(Rejection::NotApproved),
            Phase::Expired { .. } | Phase::Rejected { .. } | Phase::Ended { .. } => Err(Rejection::Over),
        }
    }

    /// The window that was agreed, whether or not it is over.
    pub fn window(&self) -> Option<Window> {
        match &self.phase {
            Phase::Approved { grant, .. } | Phase::Ended { grant: Some(grant), .. } => {
                Some(grant.approved.window)
            }
            Phase::Pending
            | Phase::Expired { .. }
            | Phase::Rejected { .. }
            | Phase::Ended { grant: None, .. } => None,
        }
    }

    /// Whether access should exist at `at`: approved, not over, inside the window.
    pub fn is_live(&self, at: Timestamp) -> bool {
        self.approved().is_ok_and(|(grant, _)| grant.approved.window.contains(at))
    }

    /// Whether an ended request may have left something in AWS.
    pub fn is_closing(&self) -> bool {
        matches!(self.phase, Phase::Ended { closure: Closure::Closing, .. })
    }

    /// Whether the person behind `identities` requested or raised it.
    pub fn involves(&self, identities: &Identities) -> bool {
        identities.same_as(&self.raised.requester, self.raised.grounds.principal.as_ref())
            || identities.same_as(&self.raised.raiser.person, self.raised.raiser_principal.as_ref())
    }

    /// Whether the person behind `identities` agreed before.
    pub fn endorsed_by(&self, identities: &Identities) -> bool {
        self.endorsements.iter().any(|e| identities.same_as(&e.approver.person, e.principal.as_ref()))
    }

    /// When the last thing that was handed out has expired, and what can have been chained from it.
    pub fn issues_expire_at(&self) -> Option<Timestamp> {
        self.issues.iter().map(|issue| issue.expires_at).chain(self.issues_work_until()).max()
    }

    /// When nothing works any more that was handed out: with the window its session policy refuses everything, and what can have
    /// been chained until then lives on for as long as was told.
    pub fn issues_work_until(&self) -> Option<Timestamp> {
        let expire_at = self.issues.iter().map(|issue| issue.expires_at).max()?;
        let usable_until = self.window().map_or(expire_at, |window| window.end().min(expire_at));
        Some(usable_until.checked_add(self.chained()).unwrap_or(Timestamp::MAX))
    }

    /// What the bound that was told has for chained sessions.
    fn chained(&self) -> SignedDuration {
        let active = match &self.phase {
            Phase::Approved { active, .. } | Phase::Ended { active, .. } => active.as_ref(),
            Phase::Pending | Phase::Expired { .. } | Phase::Rejected { .. } => None,
        };
        active.map_or(SignedDuration::ZERO, |active| active.activated.bound.chained)
    }

    /// For how long access was left past its end, once it is closed: until its assignment was gone or given up, or its credentials
    /// were worthless. `None` where it left nothing of its own.
    pub fn past_end(&self) -> Option<SignedDuration> {
        let Phase::Ended { at: ended_at, closure: Closure::Closed { at, how, removed_at }, .. } = &self.phase
        else {
            return None;
        };
        let until = match how {
            ClosedHow::Deleted | ClosedHow::Abandoned => removed_at.unwrap_or(*at),
            ClosedHow::CredentialsExpired => self.issues_work_until()?,
            ClosedHow::CarriedBy(_) | ClosedHow::Standing | ClosedHow::NothingCreated => return None,
        };
        Some(until.duration_since(*ended_at).max(SignedDuration::ZERO))
    }

    /// Until when it can be decided: the deadline, or the end of the asked window if that is sooner.
    pub fn decide_until(&self) -> Timestamp {
        let deadline = self.raised.decide_by;
        self.raised.asked.passes_at().map_or(deadline, |passes| passes.min(deadline))
    }

    /// Whether a review is owed: an emergency that was used as one.
    pub fn owes_review(&self) -> bool {
        let grant = match &self.phase {
            Phase::Approved { grant, .. } | Phase::Ended { grant: Some(grant), .. } => grant,
            Phase::Pending
            | Phase::Expired { .. }
            | Phase::Rejected { .. }
            | Phase::Ended { grant: None, .. } => {
                return false;
            }
        };
        grant.approved.basis == crate::event::ApprovalBasis::BreakGlass && self.reviewed_after.is_none()
    }
}

/// Who acts, with everything that is known of who they are.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Acting {
    /// As the token says.
    pub actor: Actor,
    /// Everyone they are known to be.
    pub identities: Identities,
}

impl Acting {
    /// Someone with one identity.
    pub fn alone(actor: Actor) -> Self {
        let identities = Identities::of(actor.person.clone());
        Self { actor, identities }
    }

    /// Everyone they are known to be, the acting identity always among them: what every rule about "the same human" looks at.
    pub fn everyone(&self) -> Identities {
        let mut everyone = self.identities.clone();
        everyone.people.insert(self.actor.person.clone());
        everyone
    }
}
