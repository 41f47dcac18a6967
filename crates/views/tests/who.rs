//! From a verified caller to their user in Identity Center.

#![expect(clippy::unwrap_used, reason = "tests")]

use aws::simulated::{Behaviour, SimulatedAws, sample};
use aws::{CachedDirectory, RefreshPace};
use domain::ports::{Clock, Entropy};
use domain::{Actor, ActorKind, GroupRef, Groups, Person, PrincipalId, SignedDuration, Timestamp};
use identity::{Caller, DirectoryId};
use std::collections::BTreeSet;
use std::sync::Arc;
use views::who::{Recorded, groups_of_recorded, principal_of_caller};

const ISSUER: &str = "https://idp.example";

struct Fixed;

impl Clock for Fixed {
    fn now(&self) -> Timestamp {
        Timestamp::from_second(1_800_000_000).unwrap()
    }
}

impl Entropy for Fixed {
    fn fill(&self, bytes: &mut [u8]) {
        bytes.fill(7);
    }
}

async fn directory() -> CachedDirectory {
    let clock = Arc::new(Fixed);
    let aws = SimulatedAws::with_sample_organisation(clock.clone(), Behaviour::default(), ISSUER);
    let directory = CachedDirectory::new(Arc::new(aws), clock, Arc::new(Fixed), RefreshPace::default());
    directory.refresh().await.unwrap();
    directory
}

async fn user_of(issuer: &str, id: DirectoryId) -> Option<String> {
    let directory = directory().await;
    let person = Person::new(issuer, "someone").unwrap();
    let caller = Caller {
        actor: Actor { person, kind: ActorKind::Human, client_id: None, auth_time: None, acr: None },
        groups: None,
        directory_id: Some(id),
        expires_at: Timestamp::MAX,
    };
    principal_of_caller(&directory, &caller).unwrap().map(|user| user.to_string())
}

fn external(id: &str) -> DirectoryId {
    DirectoryId::External(id.to_owned())
}

#[tokio::test(start_paused = true)]
async fn an_issuer_speaks_for_the_users_that_it_is_known_to_call_so() {
    assert_eq!(user_of(ISSUER, external("ada")).await.as_deref(), Some(sample::ADA));
    assert_eq!(user_of("https://other.example", external("ada")).await, None);
}

/// Whoever can choose a claim's value at a second issuer could otherwise be any user, an administrator too.
#[tokio::test(start_paused = true)]
async fn an_external_id_is_never_taken_for_a_users_own_id() {
    assert_eq!(user_of("https://other.example", external(sample::CAROL)).await, None);
    assert_eq!(user_of(ISSUER, external(sample::CAROL)).await, None);
    let own = DirectoryId::User(sample::CAROL.to_owned());
    assert_eq!(user_of(ISSUER, own).await.as_deref(), Some(sample::CAROL));
}

#[tokio::test(start_paused = true)]
async fn what_a_token_told_of_groups_counts_until_it_is_too_old() {
    let directory = directory().await;
    let now = Fixed.now();
    let ada = PrincipalId::new(sample::ADA).unwrap();
    let told = GroupRef::new("okta", "dba").unwrap();
    let left = GroupRef::new("identity-store", "left-since").unwrap();
    let developers = GroupRef::new("identity-store", sample::DEVELOPERS).unwrap();
    let recorded = BTreeSet::from([told.clone(), left]);
    let age_max = SignedDuration::from_mins(15);
    let groups = |age: SignedDuration| {
        let recorded = Recorded { groups: &recorded, decided_at: now - age };
        groups_of_recorded(&directory, Some(&ada), recorded, now, age_max)
    };
    assert_eq!(groups(age_max), Groups::Known([developers.clone(), told].into()));
    assert_eq!(groups(age_max + SignedDuration::from_secs(1)), Groups::Known([developers].into()));
}
