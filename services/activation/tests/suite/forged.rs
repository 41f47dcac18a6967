//! Events that nobody may write, and events that nobody can read: they give no access, and keep none.

use crate::house::{HOUR, House, group, human, instant, key_of, permission_set};
use aws::simulated::{Operation as AwsOperation, sample};
use domain::{Endorsement, EventId, PrincipalId, RequestId, Window};
use event_log::{Envelope, EventLog as _, Expected, Revision, Writer};
use journal::{Event, Fact, Service, Stream};
use lifecycle::RequestEvent;
use lifecycle::event::{ApprovalBasis, Approved};

/// Bob's yes to a request, as the approval service would write it.
fn approved(house: &House, id: RequestId) -> RequestEvent {
    RequestEvent::Approved(Approved {
        window: Window::new(instant(0), instant(HOUR)).unwrap(),
        basis: ApprovalBasis::People,
        approvers: vec![Endorsement {
            approver: human("bob"),
            principal: Some(PrincipalId::new(sample::BOB).unwrap()),
            groups: [group(sample::APPROVERS)].into(),
            at: house.clock.now(),
        }],
        policy_event: EventId::from_parts([id.to_string().as_bytes()]),
        comment: None,
    })
}

/// Puts bytes at the end of a request's stream, past every decider. `subject` is who the engine knows the writer to be.
async fn append_bytes(house: &House, id: RequestId, subject: &str, event: EventId, body: Vec<u8>) {
    let stream = Stream::Request(id).to_string();
    let count = house.log.recorded().iter().filter(|event| event.stream.as_str() == stream).count() as u64;
    let envelope =
        Envelope { event_id: *event.as_uuid(), writer: Writer::new(subject).unwrap(), body: body.into() };
    let expected = Expected::after(count.checked_sub(1).map(Revision));
    house.log.append(&stream.parse().unwrap(), expected, envelope).await.unwrap();
}

/// Adds an event whose envelope says that `writer` wrote it.
async fn forge(house: &House, id: RequestId, subject: &str, writer: Service, fact: RequestEvent) {
    let stream = Stream::Request(id);
    let name = stream.to_string();
    let last = house.log.recorded().into_iter().rfind(|event| event.stream.as_str() == name).unwrap();
    let event = Event {
        id: EventId::from_parts([b"forged".as_slice(), name.as_bytes()]),
        stream,
        at: house.clock.now(),
        writer,
        actor: Some(human("bob")),
        previous: Some(EventId::from_uuid(last.envelope.event_id)),
        trace: None,
        command_digest: None,
        fact: Fact::Request(fact),
    };
    append_bytes(house, id, subject, event.id, journal::encode(&event)).await;
}

/// An approval that the approval service did not write.
#[tokio::test(start_paused = true)]
async fn a_forged_approved_gives_no_access() {
    let house = House::new().await;
    let process = house.start().await;
    // Written by a service under its own name; and under the name of the approval service, which the engine tells apart.
    for (subject, writer) in
        [("activation", Service::Activation), ("request", Service::Request), ("request", Service::Approval)]
    {
        let id = house.ask(&permission_set()).await;
        forge(&house, id, subject, writer, approved(&house, id)).await;
        house.at(house.clock.now().duration_since(instant(0)).as_secs() + 60).await;
        assert!(!house.has(&key_of(&permission_set())), "{subject} as {writer}");
        process.issue("ada", id, "one", None).await.unwrap_err();
    }
    assert_eq!(house.calls(AwsOperation::Create), 0);
    // Neither does it keep others from theirs.
    let id = house.grant(&permission_set(), 0, HOUR).await;
    house.at(600).await;
    assert!(house.is_active(id).await && house.has(&key_of(&permission_set())));
}

/// What was active when its history became unreadable is removed at the last end that is known, also by a process that started since.
#[tokio::test(start_paused = true)]
async fn access_whose_history_cannot_be_read_ends_at_its_last_known_end() {
    for restarts in [false, true] {
        let house = House::new().await;
        let mut process = house.start().await;
        let key = key_of(&permission_set());
        let id = house.grant(&permission_set(), 0, HOUR).await;
        house.at(60).await;
        assert!(house.has(&key));
        let event = EventId::from_parts([b"noise".as_slice()]);
        append_bytes(&house, id, "activation", event, b"not an event".to_vec()).await;
        house.at(120).await;
        if restarts {
            process.kill().await;
            process = house.start().await;
        }
        house.at(HOUR - 1).await;
        assert!(house.has(&key), "restarted: {restarts}");
        house.at(HOUR + 60).await;
        assert!(!house.has(&key), "restarted: {restarts}");
        drop(process);
    }
}
