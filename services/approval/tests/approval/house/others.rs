//! What others write to the log, for this service to meet: requests that are raised and withdrawn, links, policies.

use super::House;
use crate::house::company::{ISSUER, hours, human, person};
use aws::simulated::sample;
use command::aggregate::{PolicyAggregate, RequestAggregate};
use command::{Command, Commander};
use domain::{Actor, AskedWindow, EventId, GroupRef, Groups, Person, RequestId, RuleId, Target};
use journal::{Fact, Service, Stream};
use lifecycle::event::{Grounds, Requested};
use lifecycle::signal::{SignalEvent, SignalKind, SignalReceived};
use lifecycle::state::Acting;
use lifecycle::{Rejection, RequestEvent};
use policy::change::{Accept, Propose};
use policy::{Ask, Policy, change};
use std::collections::BTreeSet;
use views::{InForce, Place};

impl House {
    /// Ada asks for an hour of reading in production.
    pub(crate) async fn raised(&self) -> RequestId {
        self.raised_by("ada", sample::WEB_PROD, "prod-read").await
    }

    pub(crate) async fn raised_by(&self, name: &str, account: &str, rule: &str) -> RequestId {
        self.raised_as(human(person(name)), name, account, rule).await
    }

    /// `raiser` asks for the user of this name.
    pub(crate) async fn raised_as(&self, raiser: Actor, name: &str, account: &str, rule: &str) -> RequestId {
        let in_force = self.views.policy.current().await.unwrap();
        self.raised_under(&in_force, raiser, name, account, rule).await
    }

    /// Ada asked for an hour of reading in production while this policy was in force.
    pub(crate) async fn raised_late(&self, in_force: &InForce) -> RequestId {
        self.raised_under(in_force, human(person("ada")), "ada", sample::WEB_PROD, "prod-read").await
    }

    /// Ada asks for reading in production with a token that names these groups of `corp`.
    pub(crate) async fn raised_for(&self, asked: AskedWindow, told: &[&str]) -> RequestId {
        let in_force = self.views.policy.current().await.unwrap();
        let told = told.iter().map(|group| GroupRef::new("corp", group).unwrap()).collect();
        let place = (sample::WEB_PROD, "prod-read");
        self.raised_with(&in_force, human(person("ada")), "ada", place, asked, told).await
    }

    async fn raised_under(
        &self,
        in_force: &InForce,
        raiser: Actor,
        name: &str,
        account: &str,
        rule: &str,
    ) -> RequestId {
        let asked = AskedWindow { start: None, duration: hours(1) };
        self.raised_with(in_force, raiser, name, (account, rule), asked, BTreeSet::new()).await
    }

    async fn raised_with(
        &self,
        in_force: &InForce,
        raiser: Actor,
        name: &str,
        (account, rule): (&str, &str),
        asked: AskedWindow,
        told: BTreeSet<GroupRef>,
    ) -> RequestId {
        let requester = person(name);
        let target = Target::parse(account, sample::READ_ONLY).unwrap();
        let now = self.views.clock.now();
        let place = Place::of(&self.views.directory, &target, now, hours(1)).unwrap();
        let principal = place.directory().user_by_external_id(ISSUER, name).unwrap().clone();
        let groups: BTreeSet<GroupRef> =
            place.directory().groups_of(&principal).into_iter().chain(told).collect();
        let known = Groups::Known(groups.clone());
        let ask = Ask {
            requester: &requester,
            groups: &known,
            target: &target,
            account: place.facts(),
            duration: asked.duration,
        };
        let rule = RuleId::new(rule).unwrap();
        let found = in_force.compiled.current(&rule, &ask).unwrap();
        let id = RequestId::derive(&requester, "create", &self.key());
        let sealed = views::resource::justification_place(&id);
        let key = self.views.keys.as_ref();
        let justification = key
            .obtain(&requester.id())
            .await
            .unwrap()
            .seal(&sealed, "the pager went off", self.views.entropy.as_ref())
            .unwrap();
        let event = Requested {
            id,
            requester,
            raiser,
            raiser_principal: None,
            target: target.clone(),
            asked,
            ticket: None,
            justification,
            emergency: false,
            extends: None,
            chain_duration: asked.duration,
            batch: None,
            decide_by: now + hours(24),
            grounds: Grounds {
                rule,
                policy_event: in_force.event,
                determining: found.determining,
                provider: found.provider,
                groups,
                ou_path: place.ou_path().clone(),
                plan: found.plan,
                principal: Some(principal),
            },
        };
        self.write(id, Service::Request, RequestEvent::Requested(Box::new(event))).await;
        self.seen().await;
        id
    }

    /// Another service writes about a request.
    async fn write(&self, id: RequestId, service: Service, event: RequestEvent) {
        let commander = Commander::new(self.views.log.clone(), service, self.views.clock.clone());
        let written = commander.execute::<RequestAggregate, Rejection>(
            Stream::Request(id),
            self.some_command(),
            |_, _| Ok(Fact::Request(event.clone())),
        );
        written.await.unwrap();
    }

    fn some_command(&self) -> Command {
        let event_id = EventId::from_parts([b"test", self.key().as_bytes()]);
        Command { event_id, actor: None, digest: None, trace: None }
    }

    /// The requester takes a request back.
    pub(crate) async fn withdraw(&self, id: RequestId) -> bool {
        let by = Acting::alone(human(person("ada")));
        let commander = Commander::new(self.views.log.clone(), Service::Request, self.views.clock.clone());
        let written = commander.execute::<RequestAggregate, Rejection>(
            Stream::Request(id),
            self.some_command(),
            |loaded, at| {
                let request = loaded.state.as_ref().ok_or(Rejection::NotFound)?;
                lifecycle::raise::withdraw(request, &by, at).map(Fact::Request)
            },
        );
        written.await.is_ok()
    }

    /// Says that two identities are one human. Whether the read model shows it is for the service to see to.
    pub(crate) async fn link(&self, one: &Person, other: &Person) {
        let commander = Commander::new(self.views.log.clone(), Service::Request, self.views.clock.clone());
        let linked = lifecycle::signal::PersonLinked { person: one.clone(), same_as: other.clone() };
        let written = commander.execute::<command::aggregate::DutyAggregate, Rejection>(
            Stream::Person(one.id()),
            self.some_command(),
            |_, _| Ok(Fact::Person(linked.clone())),
        );
        written.await.unwrap();
    }

    /// A source says that someone left.
    pub(crate) async fn left(&self, name: &str) {
        let told = SignalReceived {
            source: "hr".into(),
            source_id: name.into(),
            kind: SignalKind::PersonLeft,
            occurred_at: self.views.clock.now(),
            about: Some(person(name)),
            about_principal: None,
            decided_by: None,
            target: None,
            ticket: None,
            may_revoke: true,
            ask: None,
        };
        let commander = Commander::new(self.views.log.clone(), Service::Request, self.views.clock.clone());
        let written = commander.execute::<command::aggregate::SignalAggregate, Rejection>(
            Stream::Signal(name.to_owned()),
            self.some_command(),
            |_, _| Ok(Fact::Signal(SignalEvent::Received(Box::new(told.clone())))),
        );
        written.await.unwrap();
    }

    /// Puts another policy in force, by two administrators.
    pub(crate) async fn apply(&self, toml: &str) -> EventId {
        self.apply_by("carol", toml).await
    }

    pub(crate) async fn apply_by(&self, author: &str, toml: &str) -> EventId {
        self.apply_as(person(author), toml).await
    }

    pub(crate) async fn apply_as(&self, author: Person, toml: &str) -> EventId {
        let commander = Commander::new(self.views.log.clone(), Service::Approval, self.views.clock.clone());
        let base = self.views.policy.current().await.unwrap().event;
        let policy = Policy::from_toml(toml).unwrap();
        let source_digest = policy.digest();
        let propose = Propose {
            base: Some(base),
            policy,
            author: human(author),
            author_principal: None,
            source_digest,
        };
        let proposed = commander
            .execute::<PolicyAggregate, change::Rejection>(
                Stream::Policy,
                self.some_command(),
                |loaded, _| {
                    change::propose(loaded.state.as_ref().unwrap(), propose.clone()).map(Fact::Policy)
                },
            )
            .await
            .unwrap();
        let accept = Accept {
            proposal: proposed.event.id,
            by: human(person("dave")),
            linked: BTreeSet::new(),
            principal: None,
        };
        let applied = commander
            .execute::<PolicyAggregate, change::Rejection>(
                Stream::Policy,
                self.some_command(),
                |loaded, _| change::accept(loaded.state.as_ref().unwrap(), accept.clone()).map(Fact::Policy),
            )
            .await
            .unwrap();
        applied.event.id
    }
}
