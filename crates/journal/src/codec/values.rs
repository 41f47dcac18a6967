//! Values that several stored types share.

use crate::proto;
use domain::{
    Actor, ActorKind, AskedWindow, Endorsement, GroupRef, Person, Plan, Provider, Sealed, SignedDuration,
    Step, Target, Timestamp, Window,
};
use std::collections::BTreeSet;

/// A field that is not what it must be.
#[derive(Clone, Copy, Debug)]
pub(super) struct Malformed(pub(super) &'static str);

/// A value with a stored form.
pub(super) trait Stored: Sized {
    type Proto;
    fn store(&self) -> Self::Proto;
    fn load(proto: Self::Proto) -> Result<Self, Malformed>;
}

pub(super) fn required<T>(value: Option<T>, field: &'static str) -> Result<T, Malformed> {
    value.ok_or(Malformed(field))
}

/// A text that means "none" when it is empty.
pub(super) fn empty_as_none<T: std::str::FromStr>(
    text: &str,
    field: &'static str,
) -> Result<Option<T>, Malformed> {
    if text.is_empty() { Ok(None) } else { read(text, field).map(Some) }
}

/// A text that must be a value.
pub(super) fn read<T: std::str::FromStr>(text: &str, field: &'static str) -> Result<T, Malformed> {
    text.parse().map_err(|_| Malformed(field))
}

pub(super) fn text<T: ToString>(value: Option<&T>) -> String {
    value.map(ToString::to_string).unwrap_or_default()
}

pub(super) fn store_all<'a, T: Stored + 'a>(values: impl IntoIterator<Item = &'a T>) -> Vec<T::Proto> {
    values.into_iter().map(Stored::store).collect()
}

pub(super) fn load_all<T: Stored, C: FromIterator<T>>(values: Vec<T::Proto>) -> Result<C, Malformed> {
    values.into_iter().map(T::load).collect()
}

pub(super) fn texts<'a, T: ToString + 'a>(values: impl IntoIterator<Item = &'a T>) -> Vec<String> {
    values.into_iter().map(ToString::to_string).collect()
}

pub(super) fn read_all<T: std::str::FromStr, C: FromIterator<T>>(
    values: &[String],
    field: &'static str,
) -> Result<C, Malformed> {
    values.iter().map(|value| read(value, field)).collect()
}

pub(super) fn store_time(at: Timestamp) -> prost_types::Timestamp {
    prost_types::Timestamp { seconds: at.as_second(), nanos: at.subsec_nanosecond() }
}

pub(super) fn load_time(
    at: Option<prost_types::Timestamp>,
    field: &'static str,
) -> Result<Timestamp, Malformed> {
    let at = required(at, field)?;
    Timestamp::new(at.seconds, at.nanos).map_err(|_| Malformed(field))
}

pub(super) fn store_duration(duration: SignedDuration) -> prost_types::Duration {
    prost_types::Duration { seconds: duration.as_secs(), nanos: duration.subsec_nanos() }
}

pub(super) fn load_duration(
    duration: Option<prost_types::Duration>,
    field: &'static str,
) -> Result<SignedDuration, Malformed> {
    let duration = required(duration, field)?;
    // SignedDuration::new panics where seconds and nanos together overflow; both are bounded before.
    if duration.seconds.unsigned_abs() < u64::from(u32::MAX) * 10
        && duration.nanos.unsigned_abs() < 1_000_000_000
    {
        Ok(SignedDuration::new(duration.seconds, duration.nanos))
    } else {
        Err(Malformed(field))
    }
}

impl Stored for Person {
    type Proto = proto::Person;
    fn store(&self) -> proto::Person {
        proto::Person { issuer: self.issuer.to_string(), subject: self.subject.to_string() }
    }
    fn load(proto: proto::Person) -> Result<Self, Malformed> {
        Self::new(&proto.issuer, &proto.subject).map_err(|_| Malformed("person"))
    }
}

impl Stored for Actor {
    type Proto = proto::Actor;
    fn store(&self) -> proto::Actor {
        let kind = match self.kind {
            ActorKind::Human => proto::ActorKind::Human,
            ActorKind::Workload => proto::ActorKind::Workload,
        };
        proto::Actor {
            person: Some(self.person.store()),
            kind: kind.into(),
            client_id: self.client_id.clone().unwrap_or_default(),
            auth_time: self.auth_time.map(store_time),
            acr: self.acr.clone().unwrap_or_default(),
        }
    }
    fn load(proto: proto::Actor) -> Result<Self, Malformed> {
        let kind = match proto::ActorKind::try_from(proto.kind) {
            Ok(proto::ActorKind::Human) => ActorKind::Human,
            Ok(proto::ActorKind::Workload) => ActorKind::Workload,
            Ok(proto::ActorKind::Unspecified) | Err(_) => return Err(Malformed("actor.kind")),
        };
        Ok(Self {
            person: Person::load(required(proto.person, "actor.person")?)?,
            kind,
            client_id: Some(proto.client_id).filter(|id| !id.is_empty()),
            auth_time: proto.auth_time.map(|at| load_time(Some(at), "actor.auth_time")).transpose()?,
            acr: Some(proto.acr).filter(|acr| !acr.is_empty()),
        })
    }
}

impl Stored for Target {
    type Proto = proto::Target;
    fn store(&self) -> proto::Target {
        proto::Target {
            account_id: self.account().to_string(),
            entitlement_arn: self.entitlement().arn().to_owned(),
        }
    }
    fn load(proto: proto::Target) -> Result<Self, Malformed> {
        Self::parse(&proto.account_id, &proto.entitlement_arn).map_err(|_| Malformed("target"))
    }
}

impl Stored for AskedWindow {
    type Proto = proto::AskedWindow;
    fn store(&self) -> proto::AskedWindow {
        proto::AskedWindow {
            start: self.start.map(store_time),
            duration: Some(store_duration(self.duration)),
        }
    }
    fn load(proto: proto::AskedWindow) -> Result<Self, Malformed> {
        Ok(Self {
            start: proto.start.map(|at| load_time(Some(at), "asked.start")).transpose()?,
            duration: load_duration(proto.duration, "asked.duration")?,
        })
    }
}

impl Stored for Window {
    type Proto = proto::Window;
    fn store(&self) -> proto::Window {
        proto::Window { start: Some(store_time(self.start())), end: Some(store_time(self.end())) }
    }
    fn load(proto: proto::Window) -> Result<Self, Malformed> {
        Self::new(load_time(proto.start, "window.start")?, load_time(proto.end, "window.end")?)
            .map_err(|_| Malformed("window"))
    }
}

impl Stored for GroupRef {
    type Proto = proto::GroupRef;
    fn store(&self) -> proto::GroupRef {
        proto::GroupRef { source: self.source.to_string(), id: self.id.clone() }
    }
    fn load(proto: proto::GroupRef) -> Result<Self, Malformed> {
        Self::new(&proto.source, &proto.id).map_err(|_| Malformed("group"))
    }
}

impl Stored for Step {
    type Proto = proto::Step;
    fn store(&self) -> proto::Step {
        proto::Step {
            count: u32::from(self.count),
            groups: store_all(&self.groups),
            people: store_all(&self.people),
        }
    }
    fn load(proto: proto::Step) -> Result<Self, Malformed> {
        Ok(Self {
            count: u8::try_from(proto.count).map_err(|_| Malformed("step.count"))?,
            groups: load_all::<_, BTreeSet<_>>(proto.groups)?,
            people: load_all::<_, BTreeSet<_>>(proto.people)?,
        })
    }
}

impl Stored for Plan {
    type Proto = proto::Plan;
    fn store(&self) -> proto::Plan {
        proto::Plan { steps: store_all(&self.steps) }
    }
    fn load(proto: proto::Plan) -> Result<Self, Malformed> {
        Ok(Self { steps: load_all(proto.steps)? })
    }
}

impl Stored for Endorsement {
    type Proto = proto::Endorsement;
    fn store(&self) -> proto::Endorsement {
        proto::Endorsement {
            approver: Some(self.approver.store()),
            principal_id: text(self.principal.as_ref()),
            groups: store_all(&self.groups),
            at: Some(store_time(self.at)),
        }
    }
    fn load(proto: proto::Endorsement) -> Result<Self, Malformed> {
        Ok(Self {
            approver: Actor::load(required(proto.approver, "endorsement.approver")?)?,
            principal: empty_as_none(&proto.principal_id, "endorsement.principal_id")?,
            groups: load_all(proto.groups)?,
            at: load_time(proto.at, "endorsement.at")?,
        })
    }
}

impl Stored for Sealed {
    type Proto = proto::Sealed;
    fn store(&self) -> proto::Sealed {
        proto::Sealed {
            key_of: self.key_of.to_string(),
            nonce: self.nonce.to_vec(),
            ciphertext: self.ciphertext.clone(),
        }
    }
    fn load(proto: proto::Sealed) -> Result<Self, Malformed> {
        Ok(Self {
            key_of: read(&proto.key_of, "sealed.key_of")?,
            nonce: proto.nonce.try_into().map_err(|_| Malformed("sealed.nonce"))?,
            ciphertext: proto.ciphertext,
        })
    }
}

pub(super) fn store_provider(provider: Provider) -> i32 {
    match provider {
        Provider::IdentityCenter => proto::Provider::IdentityCenter,
        Provider::Sts => proto::Provider::Sts,
        Provider::AccountAccess => proto::Provider::AccountAccess,
    }
    .into()
}

pub(super) fn load_provider(provider: i32) -> Result<Provider, Malformed> {
    match proto::Provider::try_from(provider) {
        Ok(proto::Provider::IdentityCenter) => Ok(Provider::IdentityCenter),
        Ok(proto::Provider::Sts) => Ok(Provider::Sts),
        Ok(proto::Provider::AccountAccess) => Ok(Provider::AccountAccess),
        Ok(proto::Provider::Unspecified) | Err(_) => Err(Malformed("provider")),
    }
}
