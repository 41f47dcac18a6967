//! Revoking and listing.

use crate::house::{HOUR, House, call, key_of, permission_set, reason, role};
use api::activation::v1 as wire;
use api::activation::v1::activation_service_server::ActivationService as Rpcs;
use api::types::v1 as types;
use aws::simulated::{Fault, Operation as AwsOperation};
use lifecycle::event::{ClosedHow, RevokedAs};
use lifecycle::state::EndReason;
use tonic::Code;

#[tokio::test(start_paused = true)]
async fn requester_approver_and_administrator_end_access_and_the_capacity_is_recorded() {
    for (name, capacity) in
        [("ada", RevokedAs::Requester), ("bob", RevokedAs::Approver), ("carol", RevokedAs::Administrator)]
    {
        let house = House::new().await;
        let process = house.start().await;
        let id = house.grant(&permission_set(), 0, HOUR).await;
        house.at(30).await;
        let answer = process.revoke(name, id).await.unwrap();
        let shown = answer.request.unwrap();
        assert_eq!(shown.status(), types::RequestStatus::Ended);
        assert_eq!(shown.justification, "pager");
        assert!(!answer.position.is_empty());
        assert_eq!(house.over(id).await.unwrap().0, EndReason::Revoked(capacity));
        let again = process.revoke(name, id).await.unwrap();
        assert_eq!(again.position, answer.position, "a retry is the same event");
        house.at(40).await;
        assert!(!house.has(&key_of(&permission_set())));
        assert_eq!(house.closed(id).await, Some(ClosedHow::Deleted));
    }
}

#[tokio::test(start_paused = true)]
async fn others_cannot_end_access() {
    let house = House::new().await;
    let process = house.start().await;
    let id = house.grant(&permission_set(), 0, HOUR).await;
    house.at(30).await;
    let refused = process.revoke("eve", id).await.unwrap_err();
    assert_eq!((refused.code(), reason(&refused).as_str()), (Code::PermissionDenied, "NOT_ENTITLED"));
    assert_eq!(process.revoke("mallory", id).await.unwrap_err().code(), Code::NotFound);
    let nobody = tonic::Request::new(wire::RevokeAccessRequest::default());
    let refused = Rpcs::revoke_access(&process.service, nobody).await.unwrap_err();
    assert_eq!(refused.code(), Code::Unauthenticated);
    assert!(house.is_active(id).await);
}

#[tokio::test(start_paused = true)]
async fn revoking_works_before_approval_and_with_an_old_directory() {
    let house = House::new().await;
    let process = house.start().await;
    let pending = house.ask(&permission_set()).await;
    house.at(5).await;
    process.revoke("ada", pending).await.unwrap();
    house.at(10).await;
    assert_eq!(house.closed(pending).await, Some(ClosedHow::NothingCreated));
    let active = house.grant(&permission_set(), 10, 4 * HOUR).await;
    house.at(60).await;
    for _ in 0..1_000 {
        house.aws.fail_next(AwsOperation::FetchDirectory, Fault::Refused(aws::ErrorKind::Unavailable));
    }
    house.at(HOUR).await;
    process.revoke("ada", active).await.unwrap();
    house.at(HOUR + 10).await;
    assert_eq!(house.closed(active).await, Some(ClosedHow::Deleted), "removal waits for no proof");
}

#[tokio::test(start_paused = true)]
async fn lists_are_ordered_by_end_scoped_and_paged() {
    let house = House::new().await;
    let process = house.start().await;
    let late = house.grant(&permission_set(), 0, 3 * HOUR).await;
    let soon = house.grant(&role(), 0, HOUR).await;
    let scheduled = house.grant(&role(), HOUR, 2 * HOUR).await;
    house.at(30).await;
    let list = async |name: &str, scope: wire::ActiveScope, page_size: i32, page_token: String| {
        let asked =
            wire::ListActiveRequest { scope: scope.into(), page_size, page_token, ..Default::default() };
        Rpcs::list_active(&process.service, call(name, asked)).await.map(tonic::Response::into_inner)
    };
    let ids = |answer: &wire::ListActiveResponse| -> Vec<String> {
        answer.requests.iter().map(|request| request.request_id.clone()).collect()
    };
    let all = [soon.to_string(), scheduled.to_string(), late.to_string()];
    for (name, scope) in [
        ("ada", wire::ActiveScope::Own),
        ("bob", wire::ActiveScope::Decidable),
        ("carol", wire::ActiveScope::All),
        ("eve", wire::ActiveScope::All),
    ] {
        assert_eq!(ids(&list(name, scope, 0, String::new()).await.unwrap()), all, "{name}");
    }
    assert!(list("bob", wire::ActiveScope::Own, 0, String::new()).await.unwrap().requests.is_empty());
    assert!(list("ada", wire::ActiveScope::Decidable, 0, String::new()).await.unwrap().requests.is_empty());
    let refused = list("ada", wire::ActiveScope::All, 0, String::new()).await.unwrap_err();
    assert_eq!(refused.code(), Code::PermissionDenied);

    let first = list("ada", wire::ActiveScope::Own, 2, String::new()).await.unwrap();
    assert_eq!(ids(&first), all[..2]);
    let rest = list("ada", wire::ActiveScope::Own, 2, first.next_page_token.clone()).await.unwrap();
    assert_eq!(ids(&rest), all[2..]);
    assert!(rest.next_page_token.is_empty());
    let foreign = list("bob", wire::ActiveScope::Decidable, 2, first.next_page_token).await.unwrap_err();
    assert_eq!(foreign.code(), Code::InvalidArgument);
}
