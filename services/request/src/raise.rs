//! Raising: gathers everything that the decision rests on, as it is at this instant, and puts it before the decider.

use crate::RequestService;
use crate::answer::Shown;
use crate::ask::{Ask, Justification};
use crate::deciders::deciders;
use crate::requester::Requester;
use crate::status::Refused;
use api::types::v1 as wire;
use command::aggregate::RequestAggregate;
use command::{Command, CommandError, Outcome};
use domain::{BatchId, EventId, Groups, Person, Provider, RequestId, Sealed, Timestamp};
use identity::Caller;
use journal::{Fact, Stream};
use lifecycle::event::Grounds;
use lifecycle::raise::{Deciders, Limits, Raise};
use lifecycle::{Rejection, Request, raise};
use policy::{Ask as PolicyAsk, Match, Settings};
use service_runtime::Call;
use std::collections::BTreeSet;
use std::sync::Arc;
use tonic::Status;
use views::policy_book::InForce;
use views::scheduled::{self, StartNeedsDirectory};
use views::{Place, Who, refusal, resource};

/// What a new request is called, and the digest by which a repeat of its command is known.
#[derive(Clone, Copy)]
pub(crate) struct Naming {
    pub(crate) request: RequestId,
    pub(crate) event: EventId,
    pub(crate) digest: Option<[u8; 32]>,
    pub(crate) batch: Option<BatchId>,
}

/// Who raises.
#[derive(Clone, Copy)]
pub(crate) enum Raiser<'a> {
    /// Whoever calls, with the rights that they have.
    Caller(&'a Caller),
    /// The source of a recorded signal: that it may raise for others was decided when the signal was.
    Signal(&'a Caller),
}

impl<'a> Raiser<'a> {
    const fn caller(self) -> &'a Caller {
        match self {
            Self::Caller(caller) | Self::Signal(caller) => caller,
        }
    }
}

impl RequestService {
    /// Raises `ask`, the field `at` of its message; or finds what the same command raised before.
    pub(crate) async fn raise(
        &self,
        call: &Call,
        ask: &wire::Ask,
        at: &str,
        naming: Naming,
    ) -> Result<Shown, Status> {
        let ask = Ask::read(ask, at)?;
        let raiser = Raiser::Caller(&call.caller);
        let outcome = self.raise_as(raiser, &ask, &naming, call.trace()).await.map_err(refusal::command)?;
        self.shown(naming.request, outcome).await
    }

    /// Raises `ask`, whoever has it raised.
    pub(crate) async fn raise_as(
        &self,
        raiser: Raiser<'_>,
        ask: &Ask,
        naming: &Naming,
        trace: Option<String>,
    ) -> Result<Outcome<Request>, CommandError<Refused>> {
        let command = Command {
            event_id: naming.event,
            actor: Some(raiser.caller().actor.clone()),
            digest: naming.digest,
            trace,
        };
        self.commander
            .execute_first::<RequestAggregate, _, _>(
                Stream::Request(naming.request),
                command,
                |_, now| async move {
                    let (who, in_force) = self.circumstances(raiser).await?;
                    self.decide(&who, &in_force, ask, naming, now).await
                },
            )
            .await
    }

    /// The policy in force, and the raiser as it looks at them.
    async fn circumstances(&self, raiser: Raiser<'_>) -> Result<(Who, Arc<InForce>), Refused> {
        let in_force = self.views.policy.current().await?;
        let age_max = in_force.compiled.settings().group_age_max;
        let mut who = self.views.recognise(raiser.caller(), age_max)?;
        who.may_raise_for_others |= matches!(raiser, Raiser::Signal(_));
        Ok((who, in_force))
    }

    async fn decide(
        &self,
        who: &Who,
        in_force: &InForce,
        ask: &Ask,
        naming: &Naming,
        now: Timestamp,
    ) -> Result<Fact, Refused> {
        self.views.certain_of_time()?;
        let settings = in_force.compiled.settings();
        let requester = self.requester(who, ask.on_behalf_of.as_ref(), settings)?;
        if self.views.requests.has_left(&requester.identities)? {
            return Err(Rejection::HasLeft.into());
        }
        self.has_room(&requester)?;
        let place = Place::of(&self.views.directory, &ask.target, now, settings.directory_age_max)?;
        let found = self.matching(in_force, &requester, ask, &place, now)?;
        let raiser = who.acting.everyone();
        let deciders = deciders(&found.plan, place.directory(), &[&requester.identities, &raiser]);
        if deciders == Deciders::Unknown
            && scheduled::outlasts_tokens(ask.window.start, now, settings.group_age_max)
        {
            return Err(StartNeedsDirectory { age_max: settings.group_age_max }.into());
        }
        let extended = self.extended(ask).await?;
        let fact = raise::raise(Raise {
            id: naming.request,
            requester: requester.person.clone(),
            raiser: who.acting.actor.clone(),
            raiser_principal: who.principal().cloned(),
            target: ask.target.clone(),
            asked: ask.window,
            ticket: ask.ticket.clone(),
            justification: match &ask.justification {
                Justification::Text(text) => {
                    self.seal(&requester.person, &resource::justification_place(&naming.request), text)
                        .await?
                }
                Justification::Sealed(sealed) => sealed.clone(),
            },
            emergency: false,
            extends: extended.as_ref(),
            batch: naming.batch,
            own_rule: [&requester.identities, &raiser]
                .into_iter()
                .any(|identities| in_force.wrote(&found.rule, identities, Some(place.directory()))),
            limits: limits(settings, &found),
            deciders,
            grounds: grounds(in_force, found, &requester, &place),
            at: now,
        })?;
        Ok(Fact::Request(fact))
    }

    /// The rule to go by. Where access is to begin so late that what the requester's token tells is too old by then, it must allow
    /// this by groups of the directory.
    fn matching(
        &self,
        in_force: &InForce,
        requester: &Requester,
        ask: &Ask,
        place: &Place,
        now: Timestamp,
    ) -> Result<Match, Refused> {
        let age_max = in_force.compiled.settings().group_age_max;
        let by = |groups: &Groups| matching(in_force, requester, groups, ask, place, self.served);
        if !scheduled::outlasts_tokens(ask.window.start, now, age_max) {
            return by(&requester.groups);
        }
        by(&scheduled::of_directory(&requester.groups)).map_err(|refused| {
            if by(&requester.groups).is_ok() {
                Refused::from(StartNeedsDirectory { age_max })
            } else {
                refused
            }
        })
    }

    /// Whether the requester may have one more request pending. As the read model knows: several at once may pass together, since
    /// this bounds a flood and is no rule of access.
    fn has_room(&self, requester: &Requester) -> Result<(), Refused> {
        if self.pending_max == usize::MAX {
            return Ok(());
        }
        let mut pending = 0;
        for person in &requester.identities.people {
            pending += self.views.requests.pending_of(person, self.pending_max)?;
        }
        if pending < self.pending_max {
            Ok(())
        } else {
            Err(Refused::TooManyPending { max: self.pending_max })
        }
    }

    /// The request that is to be extended, with everything that the log holds of it now. One that is not there is answered like
    /// somebody else's.
    async fn extended(&self, ask: &Ask) -> Result<Option<Request>, Refused> {
        let Some(id) = ask.extends else { return Ok(None) };
        let loaded = self.commander.load::<RequestAggregate>(&Stream::Request(id)).await?;
        loaded.state.clone().map(Some).ok_or(Refused::Rejected(Rejection::ExtendsAnother))
    }

    /// The justification under the requester's own key: theirs to have erased.
    pub(crate) async fn seal(&self, requester: &Person, place: &str, text: &str) -> Result<Sealed, Refused> {
        let key = self.views.keys.obtain(&requester.id()).await?;
        key.seal(place, text, self.views.entropy.as_ref()).map_err(|_| Refused::KeyStore)
    }
}

/// The rule to go by, and what it says, for a requester in `groups`. Where the requester names none, rules whose provider is served
/// come before others.
fn matching(
    in_force: &InForce,
    requester: &Requester,
    groups: &Groups,
    ask: &Ask,
    place: &Place,
    served: Served,
) -> Result<Match, Refused> {
    let mut matches = in_force.compiled.eligible(&PolicyAsk {
        requester: &requester.person,
        groups,
        target: &ask.target,
        account: place.facts(),
        duration: ask.window.duration,
    })?;
    if ask.rule.is_none() && matches.iter().any(|found| served.includes(found.provider)) {
        matches.retain(|found| served.includes(found.provider));
    }
    let found = policy::choose(matches, ask.rule.as_ref())?;
    if !served.includes(found.provider) {
        return Err(Refused::ProviderNotServed);
    }
    match found.provider {
        Provider::IdentityCenter | Provider::AccountAccess if requester.identities.principal.is_none() => {
            Err(Refused::NoDirectoryUser)
        }
        Provider::IdentityCenter | Provider::AccountAccess | Provider::Sts => Ok(found),
    }
}

/// By which providers access can be given here.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Served {
    /// Whether this deployment has Account Access Manager.
    pub(crate) account_access: bool,
}

impl Served {
    /// Whether access by `provider` can be given.
    pub(crate) const fn includes(self, provider: Provider) -> bool {
        match provider {
            Provider::IdentityCenter | Provider::Sts => true,
            Provider::AccountAccess => self.account_access,
        }
    }
}

fn limits(settings: &Settings, found: &Match) -> Limits {
    Limits {
        decide_within: settings.decide_within,
        start_horizon: settings.start_horizon,
        duration_min: settings.duration_min,
        duration_max: found.duration_max,
        chain_duration_max: settings.chain_duration_max,
    }
}

/// What is recorded of why. Of the requester's groups only those that the rule names: the rest is nobody's business.
fn grounds(in_force: &InForce, found: Match, requester: &Requester, place: &Place) -> Grounds {
    let rule = in_force.compiled.policy().rule(&found.rule);
    let groups = match (requester.groups.known(), rule) {
        (Ok(groups), Some(rule)) => groups.intersection(&rule.requesters.groups).cloned().collect(),
        (Err(_), _) | (_, None) => BTreeSet::new(),
    };
    Grounds {
        rule: found.rule,
        policy_event: in_force.event,
        determining: found.determining,
        provider: found.provider,
        groups,
        ou_path: place.ou_path().clone(),
        plan: found.plan,
        principal: requester.identities.principal.clone(),
    }
}
