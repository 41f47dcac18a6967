//! Lists of events.

use crate::support::{World, filter, human, ids, person, recorded_ids, time};
use api::audit::v1::{Event, EventFilter, ListEventsRequest};
use audit::AuditService;
use journal::{Fact, Service, Stream};
use lifecycle::duty::DutyClaimed;
use tonic::Code;
use uuid::Uuid;

async fn all(world: &World, request: ListEventsRequest) -> Vec<Event> {
    let mut found = Vec::new();
    let mut token = String::new();
    loop {
        let page = ListEventsRequest { page_token: token, ..request.clone() };
        let answer = world.client().list_events(page).await.unwrap().into_inner();
        assert!(answer.events.len() <= usize::try_from(request.page_size).unwrap().max(50));
        found.extend(answer.events);
        token = answer.next_page_token;
        if token.is_empty() {
            return found;
        }
    }
}

#[tokio::test]
async fn pages_of_any_size_cover_everything_exactly_once_newest_first() {
    let world = World::new().await;
    world.history().await;
    let mut expected = recorded_ids(&world.log.recorded());
    expected.reverse();
    for page_size in [0, 1, 3, 7, 20, 1000] {
        let found = all(&world, ListEventsRequest { page_size, ..Default::default() }).await;
        assert_eq!(ids(&found), expected, "pages of {page_size}");
    }
}

#[tokio::test]
async fn a_page_token_holds_while_new_events_come() {
    let world = World::new().await;
    world.history().await;
    let expected = recorded_ids(&world.log.recorded()).into_iter().rev().collect::<Vec<_>>();
    let request = ListEventsRequest { page_size: 8, ..Default::default() };
    let first = world.client().list_events(request.clone()).await.unwrap().into_inner();
    let late = Fact::Duty(DutyClaimed { holder: "late".into() });
    world.append(Stream::Duty("other".into()), Service::Audit, None, 999, late).await;
    world.settle().await;
    let mut found = first.events;
    let next = ListEventsRequest { page_token: first.next_page_token, page_size: 1000, ..request };
    found.extend(world.client().list_events(next).await.unwrap().into_inner().events);
    assert_eq!(ids(&found), expected);
}

#[tokio::test]
async fn filters_select_what_they_say_and_combine() {
    let world = World::new().await;
    world.history().await;
    let found = async |filter: EventFilter| {
        let request = ListEventsRequest { filter: Some(filter), page_size: 2, ..Default::default() };
        all(&world, request).await
    };
    let by_type = |names: &[&str]| names.iter().map(|name| (*name).to_owned()).collect::<Vec<_>>();
    let actor = |name: &str| Some(views::wire::person(&person(name)));

    let request = format!("request-{}", crate::support::request_id("b"));
    let events = found(EventFilter { stream: request.clone(), ..filter() }).await;
    assert_eq!(events.len(), 3);
    assert!(events.iter().all(|event| event.stream == request));

    let types = by_type(&["request.approved.v1", "duty.claimed.v1", "no.such_type.v1"]);
    let events = found(EventFilter { event_types: types.clone(), ..filter() }).await;
    assert_eq!(events.len(), 3 + 7);
    assert!(events.is_sorted_by_key(|event| std::cmp::Reverse(position(event))));

    // Approvals, the rejection; never what a service did by itself.
    assert_eq!(found(EventFilter { actor: actor("bob"), ..filter() }).await.len(), 4);
    assert_eq!(found(EventFilter { actor: actor("nobody"), ..filter() }).await.len(), 0);

    // Everything of requests a and d, and of the assignment, also where the event itself does not name the account.
    let account_id = "111111111111".to_owned();
    let events = found(EventFilter { account_id: account_id.clone(), ..filter() }).await;
    assert_eq!(events.len(), 3 + 3 + 2);
    let both = EventFilter { account_id, event_types: types, actor: actor("bob"), ..filter() };
    assert_eq!(found(both).await.len(), 2);
}

fn position(event: &Event) -> u64 {
    event.position.split_once('.').unwrap().1.parse().unwrap()
}

#[tokio::test]
async fn a_range_of_times_holds_its_begin_and_not_its_end_whatever_the_order_in_the_log() {
    let world = World::new().await;
    world.history().await;
    for (from, to, expected) in
        [(0, 20, 3), (15, 16, 1), (20, 90, 8), (85, 91, 2), (170, 171, 1), (171, 999, 0)]
    {
        let request = ListEventsRequest {
            from: Some(time(from)),
            to: Some(time(to)),
            page_size: 2,
            ..Default::default()
        };
        let found = all(&world, request).await;
        assert_eq!(found.len(), expected, "from {from} to {to}");
    }
}

#[tokio::test]
async fn an_event_says_everything_and_its_envelope_only_when_asked() {
    let world = World::new().await;
    world.history().await;
    let stored = world.log.recorded().into_iter().next().unwrap();
    for with_envelope in [false, true] {
        let found = all(&world, ListEventsRequest { with_envelope, ..Default::default() }).await;
        let event = found.last().unwrap();
        assert_eq!(event.position, world.token(1));
        assert_eq!((event.revision, event.event_type.as_str()), (0, "request.requested.v1"));
        assert_eq!(event.happened_at, Some(time(0)));
        assert_eq!(event.writer, "request");
        assert_eq!(event.actor, Some(views::wire::actor(&human("ada"))));
        assert!(event.undecodable.is_empty());
        let body = if with_envelope { stored.envelope.body.to_vec() } else { Vec::new() };
        assert_eq!(event.envelope, body);
    }
}

#[tokio::test]
async fn a_token_of_another_question_is_refused() {
    let world = World::new().await;
    world.history().await;
    let request = ListEventsRequest { page_size: 2, ..Default::default() };
    let page_token = world.client().list_events(request).await.unwrap().into_inner().next_page_token;
    for page_token in [page_token, "nonsense".into()] {
        let other = ListEventsRequest { page_token, from: Some(time(1)), ..Default::default() };
        let refused = world.client().list_events(other).await.unwrap_err();
        assert_eq!(refused.code(), Code::InvalidArgument);
    }
}

#[tokio::test]
async fn an_index_that_is_opened_again_goes_on_where_it_was() {
    let folder = tempfile::tempdir().unwrap();
    let world = World::new().await;
    let open = async || {
        let (service, follower) = AuditService::open(world.views.clone(), Some(folder.path())).unwrap();
        let (stop, stopped) = tokio::sync::oneshot::channel::<()>();
        let running = tokio::spawn(follower.run(async { drop(stopped.await) }));
        service.events().projection().reach_head().await.unwrap();
        (service, stop, running)
    };
    world.raise("z", "ada", "333333333333", -20).await;
    let (_, stop, running) = open().await;
    stop.send(()).unwrap();
    running.await.unwrap();

    // Its account was told before; what cannot be read happened with the event before it.
    world.append_bytes("duty-x", "audit", Uuid::from_u128(1), vec![0xff]).await;
    world.approve("z", -10, 1).await;
    let (service, _stop, _running) = open().await;
    let again = world.with(service);
    let filter = EventFilter { account_id: "333333333333".into(), ..filter() };
    let request = ListEventsRequest { filter: Some(filter), ..Default::default() };
    assert_eq!(all(&again, request).await.len(), 2);
    let request = ListEventsRequest { from: Some(time(-20)), to: Some(time(-19)), ..Default::default() };
    assert_eq!(all(&again, request).await.len(), 2);
}
