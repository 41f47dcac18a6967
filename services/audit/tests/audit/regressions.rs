//! What went wrong in systems of this kind, where history is concerned; `docs/regressions.md` has the list.

use crate::support::{World, filter, human, person};
use api::audit::v1::{EventFilter, ListEventsRequest};
use journal::{Fact, Service, Stream};
use lifecycle::duty::DutyClaimed;

/// Who acts in these histories: names that a pattern, a careless comparison or a string in SQL takes for one another.
const NAMES: [&str; 9] =
    ["bob", "bobby", "Bob", "bo_", "bo%", "%", "b' OR '1'='1", "bob'; DROP TABLE event; --", "bob\\"];

/// The activity of a user was looked for with `LIKE '%:user%'`: bob sees bobby's. And SQL was made by putting names into it.
#[tokio::test]
async fn team_like_user_an_actor_is_matched_exactly() {
    let world = World::new().await;
    for (seconds, name) in (0..).zip(NAMES) {
        let claimed = Fact::Duty(DutyClaimed { holder: name.into() });
        let stream = Stream::Duty("relay".into());
        world.append(stream, Service::Audit, Some(human(name)), seconds, claimed).await;
    }
    world.settle().await;
    for name in NAMES {
        let actor = Some(views::wire::person(&person(name)));
        let request =
            ListEventsRequest { filter: Some(EventFilter { actor, ..filter() }), ..Default::default() };
        let events = world.client().list_events(request).await.unwrap().into_inner().events;
        let actors: Vec<_> = events
            .iter()
            .map(|event| event.actor.as_ref().unwrap().person.as_ref().unwrap().subject.as_str())
            .collect();
        assert_eq!(actors, [name]);
    }
    // Of another issuer, nobody is known by these names.
    for name in NAMES {
        let mut actor = views::wire::person(&person(name));
        actor.issuer = "https://idp.example.org".to_owned();
        let filter = EventFilter { actor: Some(actor), ..filter() };
        let request = ListEventsRequest { filter: Some(filter), ..Default::default() };
        assert!(world.client().list_events(request).await.unwrap().into_inner().events.is_empty());
    }
}
