//! One request, as an OpenTelemetry collector sees it: from the call that raised it, through the log, to the call that changed AWS.

use crate::deployment::{Apart, Deployment};
use crate::job::{ask, until_status};
use crate::world::{World, until};
use api::request::v1::CreateRequestRequest;
use api::types::v1::AccessPhase;
use domain::SignedDuration;
use test_servers::collector::{Collector, Span};
use tonic::Request;

/// What the caller's own tracing would have made.
const TRACE: &str = "4bf92f3577b34da6a3ce929d0e0e4736";
const CALLER: &str = "00f067aa0ba902b7";

pub(crate) async fn make_one_trace() {
    let world = World::new().await;
    let collector = Collector::start().await.unwrap();
    let how = Apart { certificates: true, collector: Some(collector.endpoint()), ..Apart::default() };
    let deployment = Deployment::apart(&world, how).await;
    let (account, set) =
        (&world.organisation.accounts.playground, &world.organisation.permission_sets.administrator);
    let mut call = Request::new(CreateRequestRequest {
        idempotency_key: "traced".to_owned(),
        ask: Some(ask(account, set, SignedDuration::from_mins(5))),
    });
    call.metadata_mut().insert("traceparent", format!("00-{TRACE}-{CALLER}-01").parse().unwrap());
    let answer = world.requests(&deployment, "ada").create_request(call).await.unwrap().into_inner();
    let id = answer.request.unwrap().request_id;
    until_status(&world, &deployment, &id, |request| request.access_phase() == AccessPhase::Active).await;

    // The call, and what it wrote.
    let seen = |service: &'static str, name: &'static str| {
        let collector = &collector;
        until(name, &deployment, async move || {
            let mut of_trace = collector.spans().into_iter().filter(|span| span.trace == TRACE);
            of_trace.find(|span| span.service == service && span.name == name)
        })
    };
    let raised = seen("request", "call").await;
    assert_eq!(raised.attribute("rpc.method"), Some("CreateRequest"));
    assert_eq!(raised.parent, CALLER);
    // Through NATS to every process.
    for service in ["request", "approval", "activation", "audit"] {
        let came = seen(service, "request.requested.v1").await;
        assert_eq!(came.parent, raised.id, "{service}");
    }
    // A rule that asks nobody decides; the decision is written; access is made, and AWS called for it.
    let decided = seen("approval", "decide").await;
    assert_eq!(decided.parent, raised.id);
    let attempted = seen("activation", "attempt").await;
    assert_eq!(attempted.parent, decided.id);
    // Once it is there, that is recorded because of the decision as well, and comes to every process from where it was recorded.
    let activated = seen("activation", "request.activated.v1").await;
    let recorded = until("the span that recorded the access", &deployment, async || {
        collector.spans().into_iter().find(|span| span.id == activated.parent)
    })
    .await;
    assert_eq!((recorded.service.as_str(), recorded.name.as_str()), ("activation", "react"));
    assert_eq!(recorded.parent, decided.id);
    for service in ["request", "approval", "activation", "audit"] {
        let came = seen(service, "request.activated.v1").await;
        assert_eq!(came.parent, recorded.id, "{service}");
    }
    let called = seen("activation", "CreateAccountAssignment").await;
    let spans = collector.spans();
    let parent = |span: &Span| spans.iter().find(|other| other.id == span.parent).cloned();
    assert_eq!(parent(&called).map(|span| span.id), Some(attempted.id));
    for (service, stream) in [
        ("request", format!("request-{id}")),
        ("approval", format!("request-{id}")),
        ("activation", format!("request-{id}")),
        ("activation", "assignment-".to_owned()),
    ] {
        let wrote = spans.iter().any(|span| {
            let to = span.attribute("messaging.destination.name");
            span.trace == TRACE && span.service == service && to.is_some_and(|to| to.starts_with(&stream))
        });
        assert!(wrote, "{service} wrote to {stream}");
    }
}
