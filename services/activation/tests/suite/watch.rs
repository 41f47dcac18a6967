//! Those who watch see what is active, and every change of it that is for them.

use crate::house::{HOUR, House, call, permission_set, role};
use api::activation::v1 as wire;
use api::activation::v1::activation_service_server::ActivationService as Rpcs;
use api::types::v1::{AccessPhase, ClosurePhase};
use futures::StreamExt as _;
use tonic::Code;

fn asked(scope: wire::ActiveScope) -> wire::WatchActiveRequest {
    wire::WatchActiveRequest { scope: scope.into(), wait_for_position: String::new() }
}

#[tokio::test(start_paused = true)]
async fn a_watch_tells_what_is_active_then_every_change_and_the_end() {
    let house = House::new().await;
    let process = house.start().await;
    let first = house.grant(&permission_set(), 0, HOUR).await;
    house.at(30).await;
    let own = asked(wire::ActiveScope::Own);
    let mut watch = Rpcs::watch_active(&process.service, call("ada", own)).await.unwrap().into_inner();
    let told = watch.next().await.unwrap().unwrap().request.unwrap();
    assert_eq!((told.request_id.clone(), told.access_phase()), (first.to_string(), AccessPhase::Active));
    assert!(watch.next().await.unwrap().unwrap().caught_up);

    house.ask(&role()).await;
    let second = house.grant(&role(), 40, HOUR).await;
    let told = watch.next().await.unwrap().unwrap().request.unwrap();
    assert_eq!(told.request_id, second.to_string(), "what is not approved is not told");
    let mut closed = Vec::new();
    while closed.len() < 2 {
        let told = watch.next().await.unwrap().unwrap().request.unwrap();
        if told.closure_phase() == ClosurePhase::Closed {
            closed.push(told.request_id);
        }
    }
    assert!(closed.contains(&first.to_string()) && closed.contains(&second.to_string()));
}

#[tokio::test(start_paused = true)]
async fn a_watch_tells_nobody_what_is_not_for_them() {
    let house = House::new().await;
    let process = house.start().await;
    house.grant(&permission_set(), 0, HOUR).await;
    house.at(30).await;
    let refused = Rpcs::watch_active(&process.service, call("ada", asked(wire::ActiveScope::All))).await;
    assert_eq!(refused.err().unwrap().code(), Code::PermissionDenied);
    for (name, scope, seen) in [
        ("eve", wire::ActiveScope::Own, false),
        ("eve", wire::ActiveScope::All, true),
        ("eve", wire::ActiveScope::Decidable, false),
        ("bob", wire::ActiveScope::Decidable, true),
    ] {
        let watch = Rpcs::watch_active(&process.service, call(name, asked(scope))).await.unwrap();
        let first = watch.into_inner().next().await.unwrap().unwrap();
        assert_eq!(first.request.is_some(), seen, "{name} {scope:?}");
    }
}
