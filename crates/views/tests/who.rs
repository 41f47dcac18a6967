//! From a verified caller to their user in Identity Center.

#![expect(clippy::unwrap_used, reason = "tests")]

use aws::simulated::{Behaviour, SimulatedAws, sample};
use aws::{CachedDirectory, RefreshPace};
use domain::ports::{Clock, Entropy};
use domain::{Actor, ActorKind, Person, Timestamp};
use identity::{Caller, DirectoryId};
use std::sync::Arc;
use views::who::principal_of_caller;

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

async fn user_of(issuer: &str, id: DirectoryId) -> Option<String> {
    let clock = Arc::new(Fixed);
    let aws = SimulatedAws::with_sample_organisation(clock.clone(), Behaviour::default(), ISSUER);
    let directory = CachedDirectory::new(Arc::new(aws), clock, Arc::new(Fixed), RefreshPace::default());
    directory.refresh().await.unwrap();
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
