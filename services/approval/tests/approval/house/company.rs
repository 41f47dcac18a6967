//! The people of a company, their tokens, its time.

use aws::{Contents, ExternalId, Group, GroupId, User, UserName};
use domain::ports::{Clock, Entropy};
use domain::{Actor, ActorKind, GroupRef, Groups, Person, PrincipalId, SignedDuration, Timestamp};
use identity::{AuthError, Caller, DirectoryId};
use service_runtime::Authenticate;
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Mutex;
use std::sync::atomic::{AtomicU64, Ordering};
use tokio::time::Instant;

pub(crate) const ISSUER: &str = "https://idp.example";

/// Time as tokio tells it, which a test stops and moves.
pub(crate) struct TokioClock {
    pub(crate) from: Timestamp,
    pub(crate) since: Instant,
}

impl Clock for TokioClock {
    fn now(&self) -> Timestamp {
        self.from + SignedDuration::try_from(self.since.elapsed()).unwrap()
    }
}

pub(crate) struct Counting(pub(crate) AtomicU64);

impl Entropy for Counting {
    fn fill(&self, bytes: &mut [u8]) {
        for byte in bytes {
            *byte = self.0.fetch_add(1, Ordering::Relaxed).to_le_bytes()[0];
        }
    }
}

/// Who has which token: the token is a number.
#[derive(Default)]
pub(crate) struct Tokens(Mutex<BTreeMap<String, Caller>>);

impl Tokens {
    pub(crate) fn give(&self, caller: Caller) -> String {
        let mut tokens = self.0.lock().unwrap();
        let token = tokens.len().to_string();
        tokens.insert(token.clone(), caller);
        token
    }
}

#[async_trait::async_trait]
impl Authenticate for Tokens {
    async fn authenticate(&self, bearer: &str) -> Result<Caller, AuthError> {
        Ok(self.0.lock().unwrap()[bearer].clone())
    }
}

pub(crate) fn person(name: &str) -> Person {
    Person::new(ISSUER, name).unwrap()
}

pub(crate) fn human(person: Person) -> Actor {
    Actor { person, kind: ActorKind::Human, client_id: None, auth_time: None, acr: None }
}

/// Someone whom the directory knows by this name, with a token that is good for an hour.
pub(crate) fn caller(name: &str) -> Caller {
    Caller {
        actor: human(person(name)),
        groups: None,
        directory_id: Some(DirectoryId::External(name.to_owned())),
        expires_at: start() + SignedDuration::from_hours(48),
    }
}

/// The same, whose token names these groups as well.
pub(crate) fn with_groups(name: &str, groups: &[&str]) -> Caller {
    let groups = groups.iter().map(|group| GroupRef::new("corp", group).unwrap()).collect();
    Caller { groups: Some(Groups::Known(groups)), ..caller(name) }
}

pub(crate) fn administrator(name: &str) -> Caller {
    with_groups(name, &["admins"])
}

pub(crate) fn start() -> Timestamp {
    Timestamp::from_second(1_800_000_000).unwrap()
}

pub(crate) fn hours(hours: i64) -> SignedDuration {
    SignedDuration::from_hours(hours)
}

/// Adds a user to the organisation, whom `ISSUER` calls `name`.
pub(crate) fn add_user(contents: &mut Contents, number: u8, name: &str, groups: &[&str]) {
    let id = PrincipalId::new(format!("00000000-0000-4000-8000-0000000001{number:02}")).unwrap();
    let external_ids = BTreeSet::from([ExternalId { issuer: ISSUER.to_owned(), id: name.to_owned() }]);
    let user =
        User { user_name: UserName::new(name), display_name: name.to_owned(), external_ids, enabled: true };
    contents.users.insert(id.clone(), user);
    for group in groups {
        let group = GroupId::new(*group).unwrap();
        contents.groups.entry(group.clone()).or_insert(Group { display_name: group.to_string() });
        contents.memberships.entry(id.clone()).or_default().insert(group);
    }
}
