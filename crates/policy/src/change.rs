//! How a policy comes to be another: proposed by one administrator, accepted by a second, or discarded.
//!
//! Pure decisions over the one stream `policy`; that callers are administrators is checked before, by the deployment's
//! configuration. INVARIANT: what applies is what was proposed, unchanged, on the base that its author saw. Whether a
//! second administrator is needed is decided by the policy that applies, never by the one that is proposed.

use crate::check::Problem;
use crate::model::{Policy, Rule};
use domain::{Actor, EventId, Person, PrincipalId, RuleId};
use std::collections::{BTreeMap, BTreeSet};

/// Open proposals at one time; those that became stale count until they are discarded.
pub const PROPOSALS_MAX: usize = 20;

/// SHA-256 of what a policy was read from: the file's bytes, or [`Policy::digest`] where there is no file.
pub type SourceDigest = [u8; 32];

/// What happened to the policy.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum PolicyEvent {
    /// Someone wants another policy.
    Proposed(Proposed),
    /// Another policy applies from here on.
    Applied(Applied),
    /// A proposal will not be applied.
    Discarded(Discarded),
}

/// A whole policy that shall replace the one of `base`. The id of this event names the proposal.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Proposed {
    /// The `Applied` event of the policy that its author saw; `None` when none applied.
    pub base: Option<EventId>,
    /// The policy, sorted and checked.
    pub policy: Policy,
    /// Who wants it.
    pub author: Actor,
    /// Their user in Identity Center, where it was known: the same user under two identities is one person.
    pub author_principal: Option<PrincipalId>,
    /// What it was read from.
    pub source_digest: SourceDigest,
}

/// A policy that applies. The id of this event names the policy: decisions record it.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Applied {
    /// The `Applied` event before it; `None` for the first.
    pub base: Option<EventId>,
    /// The proposal that was accepted; `None` when the policy was seeded.
    pub proposal: Option<EventId>,
    /// The policy, sorted and checked.
    pub policy: Policy,
    /// Who proposed it, or seeded it.
    pub author: Actor,
    /// Their user in Identity Center, where it was known.
    pub author_principal: Option<PrincipalId>,
    /// Who accepted it, if that was not its author.
    pub second: Option<Actor>,
    /// What it was read from.
    pub source_digest: SourceDigest,
}

/// A proposal that was given up or refused.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Discarded {
    /// The proposal.
    pub proposal: EventId,
    /// By whom.
    pub by: Actor,
}

/// Where the policy stands.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct PolicyState {
    started: bool,
    applied: Option<(EventId, Policy)>,
    proposals: BTreeMap<EventId, Proposed>,
    authors: BTreeMap<RuleId, Author>,
}

/// Who last changed what a rule decides.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Author {
    /// The identity that acted.
    pub person: Person,
    /// Their user in Identity Center, where it was known.
    pub principal: Option<PrincipalId>,
}

/// Asks for another policy.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Propose {
    /// The policy that the author saw.
    pub base: Option<EventId>,
    /// The policy that shall replace it.
    pub policy: Policy,
    /// Who asks.
    pub author: Actor,
    /// Their user in Identity Center.
    pub author_principal: Option<PrincipalId>,
    /// What it was read from.
    pub source_digest: SourceDigest,
}

/// Agrees to a proposal.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Accept {
    /// Which.
    pub proposal: EventId,
    /// Who agrees.
    pub by: Actor,
    /// Other identifiers of the same human.
    pub linked: BTreeSet<Person>,
    /// Their user in Identity Center.
    pub principal: Option<PrincipalId>,
}

/// Gives up or refuses a proposal; any administrator may.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Discard {
    /// Which.
    pub proposal: EventId,
    /// By whom.
    pub by: Actor,
}

/// Applies the first policy, from a file at start-up.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Seed {
    /// The policy.
    pub policy: Policy,
    /// The program that starts, or the person who starts it.
    pub author: Actor,
    /// What it was read from.
    pub source_digest: SourceDigest,
}

/// Why a change of policy is refused.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, thiserror::Error)]
pub enum Rejection {
    /// Only humans change the policy.
    #[error("only a human may change the policy")]
    NotHuman,
    /// The policy is wrong in itself.
    #[error("the policy has {} problems", .0.len())]
    Invalid(Vec<Problem>),
    /// The policy already says so.
    #[error("nothing would change")]
    NothingChanged,
    /// Another policy applies than the one that the author saw.
    #[error("the policy has changed since: look at the change again on what applies now")]
    StaleBase {
        /// The `Applied` event of what applies now.
        applied: Option<EventId>,
    },
    /// Too many proposals are open.
    #[error("{PROPOSALS_MAX} proposals are open: discard some first")]
    TooManyProposals,
    /// There is no such proposal, or it is no longer open.
    #[error("there is no such open proposal")]
    NothingProposed(EventId),
    /// Their author cannot accept their own change.
    #[error("a second administrator must accept this")]
    NotAnotherPerson,
    /// A seed is for an empty log only.
    #[error("a policy has been proposed or applied before: a seed is for an empty log")]
    AlreadySeeded,
}

impl PolicyState {
    /// The state after `event`, whose id is `id`.
    #[must_use]
    pub fn evolve(mut self, id: EventId, event: &PolicyEvent) -> Self {
        self.started = true;
        match event {
            PolicyEvent::Proposed(proposed) => {
                self.proposals.insert(id, proposed.clone());
            }
            PolicyEvent::Discarded(discarded) => {
                self.proposals.remove(&discarded.proposal);
            }
            PolicyEvent::Applied(applied) => {
                if let Some(proposal) = &applied.proposal {
                    self.proposals.remove(proposal);
                }
                self.authors = self.authors_after(applied);
                self.applied = Some((id, applied.policy.clone()));
            }
        }
        self
    }

    /// The policy that applies, and the event that applied it. None: nothing is permitted.
    pub fn applied(&self) -> Option<(EventId, &Policy)> {
        self.applied.as_ref().map(|(id, policy)| (*id, policy))
    }

    /// The open proposals, by their event ids; also those whose base is no longer what applies.
    pub fn proposals(&self) -> &BTreeMap<EventId, Proposed> {
        &self.proposals
    }

    /// Who last changed what each rule decides.
    pub fn authors(&self) -> &BTreeMap<RuleId, Author> {
        &self.authors
    }

    /// Whether `requester` is who last changed `rule`. Such a person needs another's approval to use it: a plan that needs
    /// nobody is then no plan. Ask for each linked identifier.
    pub fn author_uses_own_rule(&self, rule: &RuleId, requester: &Person) -> bool {
        self.authors.get(rule).is_some_and(|author| author.person == *requester)
    }

    fn base(&self) -> Option<EventId> {
        self.applied.as_ref().map(|(id, _)| *id)
    }

    fn authors_after(&self, applied: &Applied) -> BTreeMap<RuleId, Author> {
        let before: BTreeMap<&RuleId, &Rule> =
            self.applied.iter().flat_map(|(_, policy)| &policy.rules).map(|rule| (&rule.id, rule)).collect();
        let author_of = |rule: &Rule| {
            let unchanged = before.get(&rule.id).is_some_and(|old| decides_the_same(old, rule));
            let author = self.authors.get(&rule.id).filter(|_| unchanged);
            let new = || Author {
                person: applied.author.person.clone(),
                principal: applied.author_principal.clone(),
            };
            (rule.id.clone(), author.cloned().unwrap_or_else(new))
        };
        applied.policy.rules.iter().map(author_of).collect()
    }
}

/// Whether two rules differ at most in their description: who mends its wording does not take over a rule.
fn decides_the_same(old: &Rule, new: &Rule) -> bool {
    let mut old = old.clone();
    old.description.clone_from(&new.description);
    old == *new
}

/// Decides on a proposal.
pub fn propose(state: &PolicyState, command: Propose) -> Result<PolicyEvent, Rejection> {
    if !command.author.is_human() {
        return Err(Rejection::NotHuman);
    }
    if command.base != state.base() {
        return Err(Rejection::StaleBase { applied: state.base() });
    }
    let policy = command.policy.sorted();
    policy.check().map_err(Rejection::Invalid)?;
    if state.applied().is_some_and(|(_, applied)| *applied == policy) {
        return Err(Rejection::NothingChanged);
    }
    if state.proposals.len() >= PROPOSALS_MAX {
        return Err(Rejection::TooManyProposals);
    }
    Ok(PolicyEvent::Proposed(Proposed {
        base: command.base,
        policy,
        author: command.author,
        author_principal: command.author_principal,
        source_digest: command.source_digest,
    }))
}

/// Decides whether a proposal now applies.
pub fn accept(state: &PolicyState, command: Accept) -> Result<PolicyEvent, Rejection> {
    if !command.by.is_human() {
        return Err(Rejection::NotHuman);
    }
    let proposed =
        state.proposals.get(&command.proposal).ok_or(Rejection::NothingProposed(command.proposal))?;
    if proposed.base != state.base() {
        return Err(Rejection::StaleBase { applied: state.base() });
    }
    let author = &proposed.author.person;
    let same_user = command.principal.is_some() && command.principal == proposed.author_principal;
    let own = same_user || command.by.person == *author || command.linked.contains(author);
    if own && state.second_administrator() {
        return Err(Rejection::NotAnotherPerson);
    }
    proposed.policy.check().map_err(Rejection::Invalid)?;
    Ok(PolicyEvent::Applied(Applied {
        base: proposed.base,
        proposal: Some(command.proposal),
        policy: proposed.policy.clone(),
        author: proposed.author.clone(),
        author_principal: proposed.author_principal.clone(),
        second: (!own).then_some(command.by),
        source_digest: proposed.source_digest,
    }))
}

/// Decides whether a proposal is discarded.
pub fn discard(state: &PolicyState, command: Discard) -> Result<PolicyEvent, Rejection> {
    if !command.by.is_human() {
        return Err(Rejection::NotHuman);
    }
    if !state.proposals.contains_key(&command.proposal) {
        return Err(Rejection::NothingProposed(command.proposal));
    }
    Ok(PolicyEvent::Discarded(Discarded { proposal: command.proposal, by: command.by }))
}

/// Decides on the first policy. Only an empty stream can be seeded.
pub fn seed(state: &PolicyState, command: Seed) -> Result<PolicyEvent, Rejection> {
    if state.started {
        return Err(Rejection::AlreadySeeded);
    }
    let policy = command.policy.sorted();
    policy.check().map_err(Rejection::Invalid)?;
    Ok(PolicyEvent::Applied(Applied {
        base: None,
        proposal: None,
        policy,
        author: command.author,
        author_principal: None,
        second: None,
        source_digest: command.source_digest,
    }))
}

impl PolicyState {
    /// Whether a change needs a second administrator; so also where no policy says otherwise yet.
    fn second_administrator(&self) -> bool {
        self.applied().is_none_or(|(_, policy)| policy.settings.second_administrator)
    }
}

#[cfg(test)]
mod tests;
