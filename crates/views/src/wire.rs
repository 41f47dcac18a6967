//! Values ↔ the messages of the APIs.
//!
//! What comes from a caller has passed the constraints of the proto; what those cannot say is checked here, and the error names
//! the field.

use api::types::v1 as wire;
use aws::Directory;
use domain::{
    Actor, ActorKind, AskedWindow, GroupRef, Invalid, Person, Plan, PrincipalId, Provider, SignedDuration,
    Step, Target, Timestamp, Window,
};

/// An instant.
pub fn time(at: Timestamp) -> prost_types::Timestamp {
    prost_types::Timestamp { seconds: at.as_second(), nanos: at.subsec_nanosecond() }
}

/// An instant, from a caller: whole milliseconds, as everything in the log.
pub fn read_time(at: &prost_types::Timestamp) -> Result<Timestamp, Invalid> {
    Timestamp::new(at.seconds, at.nanos)
        .and_then(|at| Timestamp::from_millisecond(at.as_millisecond()))
        .map_err(|_| Invalid::new("instant", "must be within the calendar"))
}

/// A length of time.
pub fn duration(length: SignedDuration) -> prost_types::Duration {
    prost_types::Duration { seconds: length.as_secs(), nanos: length.subsec_nanos() }
}

/// A length of time, from a caller: whole milliseconds.
pub fn read_duration(length: &prost_types::Duration) -> Result<SignedDuration, Invalid> {
    const WRONG: Invalid = Invalid::new("duration", "must be a length of time of less than a thousand years");
    let millis = length
        .seconds
        .checked_mul(1_000)
        .and_then(|millis| millis.checked_add(i64::from(length.nanos) / 1_000_000))
        .filter(|millis| millis.unsigned_abs() < 1_000 * 366 * 86_400 * 1_000);
    millis.map(SignedDuration::from_millis).ok_or(WRONG)
}

/// A person.
pub fn person(person: &Person) -> wire::Person {
    wire::Person { issuer: person.issuer.to_string(), subject: person.subject.to_string() }
}

/// A person, from a caller.
pub fn read_person(person: &wire::Person) -> Result<Person, Invalid> {
    Person::new(&person.issuer, &person.subject)
}

/// A person with the names that the directory has for them now.
pub fn party(person: &Person, principal: Option<&PrincipalId>, directory: Option<&Directory>) -> wire::Party {
    let user = directory.and_then(|directory| {
        let known = principal.or_else(|| {
            directory.user_by_external_id(person.issuer.as_str(), person.subject.as_str()).ok()
        })?;
        directory.user(known)
    });
    wire::Party {
        person: Some(self::person(person)),
        display_name: user.map(|user| user.display_name.clone()).unwrap_or_default(),
        user_name: user.map(|user| user.user_name.to_string()).unwrap_or_default(),
    }
}

/// Who acted.
pub fn actor(actor: &Actor) -> wire::Actor {
    let kind = match actor.kind {
        ActorKind::Human => wire::ActorKind::Human,
        ActorKind::Workload => wire::ActorKind::Workload,
    };
    wire::Actor {
        person: Some(person(&actor.person)),
        kind: kind.into(),
        client_id: actor.client_id.clone().unwrap_or_default(),
        auth_time: actor.auth_time.map(time),
        acr: actor.acr.clone().unwrap_or_default(),
    }
}

/// A target.
pub fn target(target: &Target) -> wire::Target {
    wire::Target {
        account_id: target.account().to_string(),
        entitlement_arn: target.entitlement().arn().to_owned(),
    }
}

/// A target, from a caller.
pub fn read_target(target: &wire::Target) -> Result<Target, Invalid> {
    Target::parse(&target.account_id, &target.entitlement_arn)
}

/// A window.
pub fn window(window: &Window) -> wire::Window {
    wire::Window { start: Some(time(window.start())), end: Some(time(window.end())) }
}

/// What was asked for.
pub fn asked(asked: &AskedWindow) -> wire::AskedWindow {
    wire::AskedWindow { start: asked.start.map(time), duration: Some(duration(asked.duration)) }
}

/// What is asked for, from a caller.
pub fn read_asked(asked: &wire::AskedWindow) -> Result<AskedWindow, Invalid> {
    Ok(AskedWindow {
        start: asked.start.as_ref().map(read_time).transpose()?,
        duration: read_duration(&asked.duration.unwrap_or_default())?,
    })
}

/// A group.
pub fn group(group: &GroupRef) -> wire::GroupRef {
    wire::GroupRef { source: group.source.to_string(), id: group.id.clone() }
}

/// A group, from a caller.
pub fn read_group(group: &wire::GroupRef) -> Result<GroupRef, Invalid> {
    GroupRef::new(&group.source, &group.id)
}

/// A plan.
pub fn plan(plan: &Plan) -> wire::Plan {
    let steps = plan.steps.iter().map(|step| wire::Step {
        count: u32::from(step.count),
        groups: step.groups.iter().map(group).collect(),
        people: step.people.iter().map(person).collect(),
    });
    wire::Plan { steps: steps.collect() }
}

/// A plan, from a caller.
pub fn read_plan(plan: &wire::Plan) -> Result<Plan, Invalid> {
    let steps = plan.steps.iter().map(|step| {
        Ok(Step {
            count: u8::try_from(step.count)
                .map_err(|_| Invalid::new("step", "must need at most 255 people"))?,
            groups: step.groups.iter().map(read_group).collect::<Result<_, _>>()?,
            people: step.people.iter().map(read_person).collect::<Result<_, _>>()?,
        })
    });
    Ok(Plan { steps: steps.collect::<Result<_, _>>()? })
}

/// A provider.
pub fn provider(provider: Provider) -> wire::Provider {
    match provider {
        Provider::IdentityCenter => wire::Provider::IdentityCenter,
        Provider::Sts => wire::Provider::Sts,
        Provider::AccountAccess => wire::Provider::AccountAccess,
    }
}

/// A provider, from a caller.
pub fn read_provider(provider: i32) -> Result<Provider, Invalid> {
    match wire::Provider::try_from(provider) {
        Ok(wire::Provider::IdentityCenter) => Ok(Provider::IdentityCenter),
        Ok(wire::Provider::Sts) => Ok(Provider::Sts),
        Ok(wire::Provider::AccountAccess) => Ok(Provider::AccountAccess),
        Ok(wire::Provider::Unspecified) | Err(_) => {
            Err(Invalid::new("provider", "must be a provider that Daypass knows"))
        }
    }
}
