//! The life of an assignment when everything goes well.

use crate::house::{HOUR, House, aws_key, call, instant, key_of, permission_set, wire_key};
use api::activation::v1 as wire;
use api::activation::v1::activation_service_server::ActivationService as Rpcs;
use aws::simulated::{Operation as AwsOperation, sample};
use domain::SignedDuration;
use lifecycle::assignment::Presence;
use lifecycle::event::{ClosedHow, EndedBecause};
use lifecycle::state::EndReason;

#[tokio::test(start_paused = true)]
async fn an_assignment_appears_at_the_start_and_is_gone_after_the_end() {
    let house = House::new().await;
    let process = house.start().await;
    let key = key_of(&permission_set());
    let id = house.grant(&permission_set(), 60, HOUR).await;
    house.at(59).await;
    assert!(!house.has(&key) && house.calls(AwsOperation::Create) == 0, "not before the window");
    house.at(60).await;
    assert!(!house.is_active(id).await, "an operation in progress confirms nothing");
    house.at(65).await;
    assert!(house.has(&key) && house.is_active(id).await);
    let request = house.request(id).await;
    let (_, active) = request.approved().unwrap();
    let bound = active.unwrap().activated.bound;
    assert_eq!(bound.at_end, instant(2 * HOUR), "the window's end and the permission set's session");
    assert_eq!(bound.after_early_end, SignedDuration::from_hours(1));
    house.at(HOUR - 1).await;
    assert!(house.has(&key));
    house.at(HOUR + 5).await;
    assert!(!house.has(&key));
    assert_eq!(house.over(id).await.unwrap().0, EndReason::Ended(EndedBecause::Elapsed));
    assert_eq!(house.closed(id).await, Some(ClosedHow::Deleted));
    assert_eq!((house.calls(AwsOperation::Create), house.calls(AwsOperation::Delete)), (1, 1));
    assert_eq!(process.service.overdue(), 0);
    process.stop().await;
}

#[tokio::test(start_paused = true)]
async fn the_removal_is_called_for_within_a_tenth_of_a_second_of_the_end() {
    let house = House::new().await;
    let _process = house.start().await;
    house.grant(&permission_set(), 0, HOUR).await;
    house.at(HOUR + 60).await;
    let calls = house.aws.calls();
    let removal = calls.iter().find(|record| record.call.operation() == AwsOperation::Delete).unwrap();
    assert!(removal.at >= instant(HOUR));
    assert!(removal.at.duration_since(instant(HOUR)) < SignedDuration::from_millis(100), "{}", removal.at);
}

#[tokio::test(start_paused = true)]
async fn a_request_that_never_began_is_closed_without_a_call() {
    let house = House::new().await;
    let _process = house.start().await;
    let withdrawn = house.grant(&permission_set(), HOUR, 2 * HOUR).await;
    house.at(10).await;
    house.withdraw(withdrawn).await;
    house.at(20).await;
    assert_eq!(house.closed(withdrawn).await, Some(ClosedHow::NothingCreated));
    assert!(house.calls(AwsOperation::Create) + house.calls(AwsOperation::Holders) == 0);
}

#[tokio::test(start_paused = true)]
async fn what_vanishes_behind_our_back_is_noticed_and_made_again() {
    let house = House::new().await;
    let _process = house.start().await;
    let key = key_of(&permission_set());
    house.grant(&permission_set(), 0, 2 * HOUR).await;
    house.at(30).await;
    house.aws.remove(aws_key(&key));
    house.at(30 + 15 * 60).await;
    assert!(house.has(&key));
    assert_eq!(house.ledger(&key).await.unwrap().presence, Presence::Ours);
}

#[tokio::test(start_paused = true)]
async fn many_assignments_never_exceed_what_aws_takes_at_a_time() {
    use aws::simulated::Behaviour;
    let house = House::with(Behaviour::like_aws()).await;
    let _process = house.start().await;
    let accounts = [sample::WEB_PROD, sample::PAYMENTS_PROD, sample::WEB_DEV, sample::PAYMENTS_DEV];
    let targets = accounts.map(|account| domain::Target::parse(account, sample::READ_ONLY).unwrap());
    let mut ids = Vec::new();
    for target in &targets {
        ids.push(house.grant(target, 0, HOUR).await);
    }
    house.at(120).await;
    for id in &ids {
        assert!(house.is_active(*id).await);
    }
    house.at(HOUR + 120).await;
    for id in &ids {
        assert_eq!(house.closed(*id).await, Some(ClosedHow::Deleted));
    }
    assert!(house.aws.assignments().is_empty());
    let refused = house.aws.calls().into_iter().filter(|record| record.error.is_some()).count();
    assert_eq!(refused, 0, "nothing that AWS had to refuse");
}

#[tokio::test(start_paused = true)]
async fn the_ledger_is_shown_to_administrators_and_auditors_alone() {
    let house = House::new().await;
    let process = house.start().await;
    let id = house.grant(&permission_set(), 0, HOUR).await;
    house.at(30).await;
    let asked = || wire::GetAssignmentRequest {
        key: Some(wire::AssignmentKey {
            principal_id: key_of(&permission_set()).principal.to_string(),
            target: Some(views::wire::target(&permission_set())),
        }),
        wait_for_position: String::new(),
    };
    for name in ["carol", "eve"] {
        let shown = Rpcs::get_assignment(&process.service, call(name, asked())).await.unwrap().into_inner();
        let shown = shown.assignment.unwrap();
        assert_eq!(shown.state(), wire::AssignmentState::Present);
        assert!(shown.wanted && shown.request_ids == [id.to_string()]);
        assert_eq!(shown.attempts.len(), 1);
        assert_eq!(shown.attempts[0].outcome(), wire::AttemptOutcome::Confirmed);
    }
    let refused = Rpcs::get_assignment(&process.service, call("ada", asked())).await.unwrap_err();
    assert_eq!(refused.code(), tonic::Code::PermissionDenied);
}

#[tokio::test(start_paused = true)]
async fn who_holds_the_same_through_a_group_is_told_so() {
    let house = House::new().await;
    let set = permission_set();
    for group in [sample::DEVELOPERS, sample::AUDITORS] {
        let group = aws::GroupId::new(group).unwrap();
        house.aws.standing_of_group(group, set.account().clone(), set.entitlement().clone());
    }
    let process = house.start().await;
    let id = house.grant(&set, 0, HOUR).await;
    house.at(30).await;
    let asked =
        wire::GetActivationRequest { request_id: id.to_string(), ..wire::GetActivationRequest::default() };
    let told = Rpcs::get_activation(&process.service, call("ada", asked)).await.unwrap().into_inner();
    assert_eq!(told.activation.unwrap().standing_groups, ["developers"], "not that of others");
    let asked = wire::GetAssignmentRequest {
        key: Some(wire_key(&key_of(&set))),
        ..wire::GetAssignmentRequest::default()
    };
    let shown = Rpcs::get_assignment(&process.service, call("carol", asked)).await.unwrap().into_inner();
    assert_eq!(shown.assignment.unwrap().standing_groups, ["developers"]);
}

#[tokio::test(start_paused = true)]
async fn an_extension_carries_the_assignment_on_without_a_gap() {
    let house = House::new().await;
    let _process = house.start().await;
    let key = key_of(&permission_set());
    let first = house.grant(&permission_set(), 0, 600).await;
    house.at(60).await;
    let more = house.extend(first, &permission_set(), 600, 1_200).await;
    house.at(599).await;
    assert!(house.is_active(first).await && !house.is_active(more).await);
    house.at(610).await;
    assert!(house.is_active(more).await && house.has(&key));
    assert_eq!(house.closed(first).await, Some(ClosedHow::CarriedBy(more)));
    house.at(1_210).await;
    assert_eq!(house.closed(more).await, Some(ClosedHow::Deleted));
    assert_eq!(house.aws.changes().len(), 2, "made once, removed once");
}

#[tokio::test(start_paused = true)]
async fn an_extension_that_is_taken_back_takes_nothing_away() {
    let house = House::new().await;
    let process = house.start().await;
    let key = key_of(&permission_set());
    let first = house.grant(&permission_set(), 0, 600).await;
    house.at(60).await;
    let more = house.extend(first, &permission_set(), 300, 1_200).await;
    house.at(400).await;
    assert!(house.is_active(more).await);
    process.revoke("ada", more).await.unwrap();
    house.at(590).await;
    assert!(house.is_active(first).await && house.has(&key));
    assert_eq!(house.closed(more).await, Some(ClosedHow::CarriedBy(first)));
    house.at(610).await;
    assert!(!house.has(&key));
}
