//! What no request asks for, and what is missing although one does.

use crate::house::{
    HOUR, House, Process, aws_key, call, human, instant, key_of, permission_set, reason, role_for_users,
    wire_key,
};
use activation::{Missing, Settings};
use api::activation::v1::activation_service_server::ActivationService as Rpcs;
use api::activation::v1::{AssignmentState, GetActivationRequest, GetAssignmentRequest};
use aws::ErrorKind;
use aws::simulated::{Behaviour, Call, CallRecord, Fault, Operation as AwsOperation, sample};
use domain::{PrincipalId, SignedDuration, Target};
use lifecycle::assignment::{AssignmentEvent, AssignmentKey, Operation, Presence};
use lifecycle::event::{ClosedHow, EndedBecause};
use lifecycle::state::EndReason;
use opentelemetry::metrics::MeterProvider as _;
use std::collections::BTreeSet;
use test_servers::measured::Measured;
use tonic::Code;

/// The organisation is looked through every ten minutes.
async fn house() -> House {
    let mut house = House::new().await;
    house.settings =
        Settings { organisation_sweep_interval: SignedDuration::from_mins(10), ..Settings::default() };
    house
}

/// Dave's assignment in an account of which no request ever was.
fn someone_elses() -> AssignmentKey {
    AssignmentKey {
        principal: PrincipalId::new(sample::DAVE).unwrap(),
        target: Target::parse(sample::PAYMENTS_DEV, sample::ADMINISTRATOR_ACCESS).unwrap(),
    }
}

/// As a process left it that made an assignment, while the request that asked for it was lost.
async fn orphan(house: &House, key: &AssignmentKey) {
    let deadline = instant(60);
    let attempted = AssignmentEvent::Attempted { key: key.clone(), operation: Operation::Create, deadline };
    let attempt = house.write_ledger(key, attempted).await;
    house.write_ledger(key, AssignmentEvent::Confirmed { attempt }).await;
    house.aws.standing(aws_key(key));
}

fn standing_found(house: &House) -> usize {
    let events = house.events();
    let found = |event: &&journal::Event| {
        matches!(event.fact, journal::Fact::Assignment(AssignmentEvent::StandingFound { .. }))
    };
    events.iter().filter(found).count()
}

/// A sweep revokes every assignment that it does not know.
#[tokio::test(start_paused = true)]
async fn elevator_108_a_sweep_notes_once_what_is_someone_elses_and_leaves_it_alone() {
    let house = house().await;
    let key = someone_elses();
    house.aws.standing(aws_key(&key));
    let _process = house.start().await;
    house.at(25 * 60).await;
    assert!(house.has(&key));
    assert_eq!(
        house.ledger(&key).await.unwrap().presence,
        Presence::Standing,
        "to be seen by administrators"
    );
    assert_eq!(standing_found(&house), 1, "once, in three sweeps");
    assert_eq!(house.calls(AwsOperation::Create) + house.calls(AwsOperation::Delete), 0);
}

/// How often it was noted that something is gone.
fn gone_found(house: &House) -> usize {
    let gone = journal::Fact::Assignment(AssignmentEvent::DriftFound { present: false });
    house.events().iter().filter(|event| event.fact == gone).count()
}

/// How often AWS was found to differ in this way.
fn drift(measured: &Measured, kind: &str) -> Option<u64> {
    let exported = measured.exported().unwrap();
    let (_, counter) = exported.split_once("daypass.drift.found")?;
    let (_, of_kind) = counter.split_once(&format!("\"{kind}\""))?;
    let (_, value) = of_kind.split_once("value: ")?;
    value.split(|next: char| !next.is_ascii_digit()).next()?.parse().ok()
}

/// What `GetAssignment` says.
async fn shown(process: &Process, key: &AssignmentKey) -> AssignmentState {
    let asked = GetAssignmentRequest { key: Some(wire_key(key)), ..GetAssignmentRequest::default() };
    let told = Rpcs::get_assignment(&process.service, call("carol", asked)).await.unwrap().into_inner();
    told.assignment.unwrap().state()
}

#[tokio::test(start_paused = true)]
async fn what_others_took_away_and_made_again_is_noted_again() {
    for asked in [false, true] {
        let measured = Measured::start();
        let mut house = house().await;
        house.meter = Some(measured.provider.meter("daypass"));
        let keys = [someone_elses(), of_dave(role_for_users())];
        for key in &keys {
            house.aws.standing(aws_key(key));
        }
        let process = house.start().await;
        house.at(15 * 60).await;
        assert_eq!((standing_found(&house), drift(&measured, "standing")), (2, Some(2)));
        for key in &keys {
            house.aws.remove(aws_key(key));
        }
        for key in keys.iter().filter(|_| asked) {
            let looked = process.reconcile("carol", Some(key), false).await.unwrap();
            assert_eq!(looked.assignment.unwrap().state(), AssignmentState::Absent, "{}", key.target);
        }
        house.at(30 * 60).await;
        for key in &keys {
            assert_eq!(shown(&process, key).await, AssignmentState::Absent, "{}", key.target);
        }
        house.at(55 * 60).await;
        assert_eq!((gone_found(&house), standing_found(&house)), (2, 2), "once, in four sweeps");
        assert_eq!(drift(&measured, "missing"), None, "nobody misses it");
        for key in &keys {
            house.aws.standing(aws_key(key));
        }
        house.at(95 * 60).await;
        for key in &keys {
            assert_eq!(shown(&process, key).await, AssignmentState::Standing, "{}", key.target);
            assert!(house.has(key));
        }
        assert_eq!((standing_found(&house), drift(&measured, "standing")), (4, Some(4)));
        assert_eq!((gone_found(&house), drift(&measured, "missing")), (2, None));
        assert_eq!(house.calls(AwsOperation::Create) + house.calls(AwsOperation::Delete), 0);
    }
}

#[tokio::test(start_paused = true)]
async fn what_others_made_is_not_gone_while_lists_may_not_show_it_yet_or_the_clock_is_in_doubt() {
    let house = House::new().await;
    let process = house.start().await;
    let key = someone_elses();
    let list_lag = |list_lag| house.aws.set_behaviour(Behaviour { list_lag, ..Behaviour::default() });
    house.at(60).await;
    house.aws.standing(aws_key(&key));
    process.reconcile("carol", Some(&key), false).await.unwrap();
    assert_eq!(shown(&process, &key).await, AssignmentState::Standing);
    // Another list, which is behind.
    list_lag(SignedDuration::from_secs(15));
    house.at(70).await;
    process.reconcile("carol", Some(&key), false).await.unwrap();
    assert_eq!(shown(&process, &key).await, AssignmentState::Standing);
    list_lag(SignedDuration::ZERO);
    house.at(120).await;
    house.aws.remove(aws_key(&key));
    process.aws_is_ahead(SignedDuration::from_secs(10));
    process.reconcile("carol", Some(&key), false).await.unwrap();
    assert_eq!(shown(&process, &key).await, AssignmentState::Standing);
    assert_eq!(gone_found(&house), 0);
    process.aws_is_ahead(SignedDuration::ZERO);
    house.at(150).await;
    process.reconcile("carol", Some(&key), false).await.unwrap();
    assert_eq!((shown(&process, &key).await, gone_found(&house)), (AssignmentState::Absent, 1));
}

#[tokio::test(start_paused = true)]
async fn what_aws_no_longer_tells_of_is_not_gone() {
    let settings = house().await.settings;
    let seen = Behaviour { delegated_administrator: false, ..Behaviour::default() };
    let mut house = House::with(seen.clone()).await;
    house.settings = settings;
    let key = of_dave(Target::parse(sample::MANAGEMENT, sample::ADMINISTRATOR_ACCESS).unwrap());
    house.aws.standing(aws_key(&key));
    let process = house.start().await;
    house.at(15 * 60).await;
    house.aws.set_behaviour(Behaviour { delegated_administrator: true, ..seen });
    house.at(40 * 60).await;
    assert_eq!((shown(&process, &key).await, gone_found(&house)), (AssignmentState::Standing, 0));
}

/// Nothing of ours is on its way that a list could hide.
#[tokio::test(start_paused = true)]
async fn what_others_make_again_just_before_a_request_begins_stays_theirs() {
    let house = House::new().await;
    let process = house.start().await;
    let key = key_of(&permission_set());
    house.at(60).await;
    house.aws.standing(aws_key(&key));
    process.reconcile("carol", Some(&key), false).await.unwrap();
    house.at(120).await;
    house.aws.remove(aws_key(&key));
    process.reconcile("carol", Some(&key), false).await.unwrap();
    assert_eq!(shown(&process, &key).await, AssignmentState::Absent);
    house.aws.standing(aws_key(&key));
    let id = house.grant(&permission_set(), 120, HOUR).await;
    house.at(180).await;
    assert!(house.is_active(id).await);
    assert_eq!(shown(&process, &key).await, AssignmentState::Standing);
    house.at(HOUR + 120).await;
    assert_eq!(house.closed(id).await, Some(ClosedHow::Standing));
    assert!(house.has(&key));
    assert_eq!(house.calls(AwsOperation::Create) + house.calls(AwsOperation::Delete), 0);
}

/// A sweep by the hour, the row deleted before the removal is known: what falls between is there for ever.
#[tokio::test(start_paused = true)]
async fn lambda_hourly_sweep_what_is_ours_and_no_request_is_about_goes_within_minutes() {
    let house = house().await;
    let key = key_of(&permission_set());
    let _process = house.start().await;
    house.at(60).await;
    orphan(&house, &key).await;
    house.at(60 + 330).await;
    assert!(!house.has(&key));
    assert!(house.ledger(&key).await.unwrap().is_settled_absent());
    assert_eq!(house.calls(AwsOperation::Delete), 1);
}

#[tokio::test(start_paused = true)]
async fn an_orphan_is_found_again_by_a_process_that_starts() {
    let house = house().await;
    let key = key_of(&permission_set());
    orphan(&house, &key).await;
    house.aws.fail_next(AwsOperation::Delete, aws::simulated::Fault::Refused(aws::ErrorKind::Conflict));
    let _process = house.start().await;
    house.at(60).await;
    assert!(!house.has(&key), "removed, and tried again when AWS would not");
}

/// An administrator says that it is ours, and the process dies before it tries to remove it.
#[tokio::test(start_paused = true)]
async fn what_was_adopted_goes_after_a_restart_although_a_request_about_it_begins_later() {
    let house = house().await;
    let key = key_of(&permission_set());
    let later = house.grant(&permission_set(), 4 * HOUR, 5 * HOUR).await;
    house.aws.standing(aws_key(&key));
    house.write_ledger(&key, AssignmentEvent::Adopted { key: key.clone() }).await;
    for _ in 0..3 {
        house.aws.fail_next(AwsOperation::Delete, Fault::Refused(ErrorKind::Conflict));
    }
    let _process = house.start().await;
    house.at(60).await;
    assert!(!house.has(&key), "removed, and tried again when AWS would not");
    assert!(house.ledger(&key).await.unwrap().is_settled_absent());
    house.at(4 * HOUR + 30).await;
    assert!(house.has(&key) && house.is_active(later).await, "what it asks for is made at its start");
    house.at(5 * HOUR + 30).await;
    assert_eq!(house.closed(later).await, Some(ClosedHow::Deleted));
    assert_eq!((house.calls(AwsOperation::Create), house.calls(AwsOperation::Delete)), (1, 5));
}

/// It took its turn after all that was to be made by then.
#[tokio::test(start_paused = true)]
async fn what_is_adopted_goes_before_what_waits_to_be_made_although_a_request_about_it_begins_later() {
    let mut house = House::with(Behaviour { outstanding_max: Some(2), ..Behaviour::like_aws() }).await;
    house.settings.outstanding_max = 2;
    let accounts = house.many_accounts(40);
    let process = house.start().await;
    let key = key_of(&permission_set());
    house.grant(&permission_set(), 4 * HOUR, 5 * HOUR).await;
    house.aws.standing(aws_key(&key));
    house.at(5).await;
    let mut ids = Vec::new();
    for account in &accounts {
        ids.push(house.grant(&Target::parse(account, sample::READ_ONLY).unwrap(), 10, 4 * HOUR).await);
    }
    house.at(20).await;
    process.reconcile("carol", Some(&key), true).await.unwrap();
    house.at(60).await;
    assert!(!house.has(&key));
    let mut waiting = 0;
    for id in ids {
        waiting += usize::from(!house.is_active(id).await);
    }
    assert!(waiting > 0, "a queue was in its way");
}

#[tokio::test(start_paused = true)]
async fn what_is_ours_goes_on_being_removed_although_a_request_about_it_is_withdrawn() {
    let house = house().await;
    let key = key_of(&permission_set());
    let later = house.grant(&permission_set(), 4 * HOUR, 5 * HOUR).await;
    orphan(&house, &key).await;
    for _ in 0..6 {
        house.aws.fail_next(AwsOperation::Delete, Fault::Refused(ErrorKind::Conflict));
    }
    let _process = house.start().await;
    house.at(10).await;
    house.withdraw(later).await;
    house.at(150).await;
    assert!(!house.has(&key), "before the next sweep");
    assert_eq!(house.closed(later).await, Some(ClosedHow::NothingCreated));
}

#[tokio::test(start_paused = true)]
async fn what_comes_back_with_an_account_goes_although_a_request_about_it_begins_later() {
    let house = House::new().await;
    let key = key_of(&permission_set());
    orphan(&house, &key).await;
    house.aws.remove(aws_key(&key));
    let (by, principal, comment) = (human("carol"), None, None);
    house.write_ledger(&key, AssignmentEvent::AbandonAsked { by, principal, comment }).await;
    let (by, principal, comment) = (human("dave"), None, None);
    house.write_ledger(&key, AssignmentEvent::Abandoned { by, principal, comment }).await;
    house.grant(&permission_set(), 4 * HOUR, 5 * HOUR).await;
    let _process = house.start().await;
    house.at(60).await;
    house.aws.standing(aws_key(&key));
    house.at(60 + 330).await;
    assert!(!house.has(&key));
    assert!(house.ledger(&key).await.unwrap().is_settled_absent());
}

#[tokio::test(start_paused = true)]
async fn sweeps_touch_nothing_that_a_request_needs() {
    let mut house = house().await;
    house.settings.sweep_interval = SignedDuration::from_secs(1);
    house.settings.organisation_sweep_interval = SignedDuration::from_secs(5);
    let key = key_of(&permission_set());
    let _process = house.start().await;
    let id = house.grant(&permission_set(), 30, 600).await;
    house.at(590).await;
    assert!(house.has(&key) && house.is_active(id).await);
    house.at(700).await;
    assert!(!house.has(&key));
    assert_eq!(house.closed(id).await, Some(ClosedHow::Deleted));
    assert_eq!((house.calls(AwsOperation::Create), house.calls(AwsOperation::Delete)), (1, 1));
    assert_eq!(standing_found(&house), 0, "a list that is behind makes nothing of ours someone else's");
}

#[tokio::test(start_paused = true)]
async fn where_it_is_set_so_the_request_ends_whose_access_someone_else_removed() {
    let mut house = house().await;
    house.settings.missing = Missing::End;
    let key = key_of(&permission_set());
    let _process = house.start().await;
    let id = house.grant(&permission_set(), 0, 2 * HOUR).await;
    house.at(60).await;
    house.aws.remove(aws_key(&key));
    house.at(60 + 660).await;
    assert_eq!(house.over(id).await.unwrap().0, EndReason::Ended(EndedBecause::RemovedOutside));
    assert_eq!(house.calls(AwsOperation::Create), 1, "not made again");
    let again = house.grant(&permission_set(), 1200, 2 * HOUR).await;
    house.at(1300).await;
    assert!(house.is_active(again).await && house.has(&key), "who asks anew gets it anew");
    assert_eq!(house.closed(id).await, Some(ClosedHow::Deleted), "seen to be gone");
}

#[tokio::test(start_paused = true)]
async fn one_list_that_is_behind_does_not_make_ours_someone_elses() {
    // Further behind than lists are said to be.
    let list_lag = SignedDuration::from_secs(27);
    let mut house = House::with(Behaviour { list_lag, ..Behaviour::default() }).await;
    house.settings.missing = Missing::End;
    let key = key_of(&permission_set());
    let process = house.start().await;
    let id = house.grant(&permission_set(), 0, HOUR).await;
    house.at(26).await;
    assert!(house.is_active(id).await && house.has(&key));
    process.reconcile("carol", Some(&key), false).await.unwrap();
    house.at(28).await;
    assert_eq!(house.over(id).await.unwrap().0, EndReason::Ended(EndedBecause::RemovedOutside));
    assert_eq!(house.closed(id).await, None, "another list has to say so");
    house.at(180).await;
    assert!(!house.has(&key), "it was there, it was ours, and nobody needs it");
    assert_eq!(house.closed(id).await, Some(ClosedHow::Deleted));
    assert_eq!(standing_found(&house), 0);
}

#[tokio::test(start_paused = true)]
async fn what_a_late_removal_of_ours_takes_from_another_request_is_made_again() {
    for missing in [Missing::Restore, Missing::End] {
        let mut house = house().await;
        house.settings.missing = missing;
        let key = key_of(&permission_set());
        let process = house.start().await;
        house.aws.fail_next(AwsOperation::Delete, Fault::Slow(SignedDuration::from_secs(100)));
        let first = house.grant(&permission_set(), 0, 120).await;
        house.at(150).await;
        let second = house.grant(&permission_set(), 150, 2 * HOUR).await;
        house.at(200).await;
        assert!(house.is_active(second).await && house.has(&key), "counted as without effect");
        house.at(240).await;
        assert_eq!(house.aws.changes().iter().filter(|change| !change.present).count(), 1, "it had one");
        assert!(house.is_active(second).await && house.has(&key));
        assert!(matches!(house.closed(first).await, Some(ClosedHow::CarriedBy(_))));
        // Once it can have no effect any more, what others remove is theirs again, for whoever did not see all this as well.
        house.at(1_500).await;
        process.kill().await;
        house.aws.remove(aws_key(&key));
        let _process = house.start().await;
        house.at(1_510).await;
        assert_eq!(house.is_active(second).await, missing == Missing::Restore);
    }
}

#[tokio::test(start_paused = true)]
async fn an_administrator_who_looks_makes_no_removal_of_others_ours() {
    let mut house = house().await;
    house.settings.missing = Missing::End;
    let key = key_of(&permission_set());
    let process = house.start().await;
    house.aws.fail_next(AwsOperation::Delete, Fault::Slow(SignedDuration::from_secs(100)));
    house.grant(&permission_set(), 0, 120).await;
    house.at(150).await;
    let id = house.grant(&permission_set(), 150, 2 * HOUR).await;
    house.at(1_500).await;
    house.aws.remove(aws_key(&key));
    process.reconcile("carol", Some(&key), false).await.unwrap();
    house.at(1_510).await;
    assert_eq!(house.over(id).await.unwrap().0, EndReason::Ended(EndedBecause::RemovedOutside));
    assert!(!house.has(&key));
}

#[tokio::test(start_paused = true)]
async fn what_stands_there_is_removed_once_an_administrator_says_that_it_is_ours() {
    let house = house().await;
    let process = house.start().await;
    house.at(1).await;
    let key = someone_elses();
    let refused = process.reconcile("carol", Some(&key), true).await.unwrap_err();
    assert_eq!(reason(&refused), "NOT_THERE");
    house.aws.standing(aws_key(&key));
    let refused = process.reconcile("ada", Some(&key), true).await.unwrap_err();
    assert_eq!((refused.code(), reason(&refused)), (Code::PermissionDenied, "NOT_ENTITLED".to_owned()));
    let looked = process.reconcile("carol", Some(&key), false).await.unwrap();
    assert_eq!(looked.assignment.unwrap().state(), api::activation::v1::AssignmentState::Standing);
    house.at(60).await;
    assert!(house.has(&key), "a look changes nothing of someone else's");
    let adopted = process.reconcile("carol", Some(&key), true).await.unwrap();
    assert!(!adopted.position.is_empty());
    house.at(120).await;
    assert!(!house.has(&key));
}

#[tokio::test(start_paused = true)]
async fn what_is_adopted_stays_as_long_as_a_request_needs_it() {
    let house = house().await;
    let process = house.start().await;
    let key = key_of(&permission_set());
    house.aws.standing(aws_key(&key));
    let id = house.grant(&permission_set(), 0, HOUR).await;
    house.at(60).await;
    process.reconcile("carol", Some(&key), true).await.unwrap();
    house.at(HOUR - 60).await;
    assert!(house.has(&key));
    house.at(HOUR + 60).await;
    assert!(!house.has(&key));
    assert_eq!(house.closed(id).await, Some(ClosedHow::Deleted));
}

#[tokio::test(start_paused = true)]
async fn a_look_at_everything_finds_what_is_missing_at_once() {
    let house = house().await;
    let process = house.start().await;
    let key = key_of(&permission_set());
    house.grant(&permission_set(), 0, HOUR).await;
    house.at(60).await;
    house.aws.remove(aws_key(&key));
    let looked = process.reconcile("carol", None, false).await.unwrap();
    assert_eq!(looked.assignments, 1);
    house.at(80).await;
    assert!(house.has(&key));
    let refused = process.reconcile("carol", None, true).await.unwrap_err();
    assert_eq!(refused.code(), Code::InvalidArgument, "everything is never adopted");
}

#[tokio::test(start_paused = true)]
async fn an_administrator_is_told_what_aws_refuses_and_what_it_does_not_answer() {
    let house = House::new().await;
    let process = house.start().await;
    house.at(60).await;
    for (kind, code, why) in [
        (ErrorKind::Denied, Code::FailedPrecondition, "AWS_REFUSES"),
        (ErrorKind::Unavailable, Code::Unavailable, "AWS_UNAVAILABLE"),
    ] {
        house.aws.fail_next(AwsOperation::Holders, Fault::Refused(kind));
        let told = process.reconcile("carol", Some(&someone_elses()), false).await.unwrap_err();
        assert_eq!((told.code(), reason(&told).as_str()), (code, why));
    }
}

/// An active request.
async fn active(house: &House) -> domain::RequestId {
    let id = house.grant(&permission_set(), 0, 4 * HOUR).await;
    house.at(60).await;
    assert!(house.is_active(id).await);
    id
}

#[tokio::test(start_paused = true)]
async fn what_others_removed_is_not_made_again_for_who_lost_the_grounds() {
    let house = house().await;
    let _process = house.start().await;
    let id = active(&house).await;
    house.aws.change_directory(|contents| {
        contents.memberships.remove(&PrincipalId::new(sample::BOB).unwrap());
    });
    house.at(600).await;
    assert!(house.is_active(id).await, "losing them takes nothing from who has it");
    house.aws.remove(aws_key(&key_of(&permission_set())));
    house.at(600 + 330).await;
    let (because, _) = house.over(id).await.unwrap();
    assert!(matches!(because, EndReason::Ended(EndedBecause::NoLongerEligible { .. })), "{because:?}");
    house.at(HOUR).await;
    assert_eq!(house.calls(AwsOperation::Create), 1, "never made again");
    assert_eq!(house.closed(id).await, Some(ClosedHow::Deleted), "seen to be gone");
}

#[tokio::test(start_paused = true)]
async fn what_others_removed_is_not_made_again_while_nobody_can_tell_and_says_why() {
    let house = house().await;
    let process = house.start().await;
    let id = active(&house).await;
    for _ in 0..10_000 {
        house.aws.fail_next(
            AwsOperation::FetchDirectory,
            aws::simulated::Fault::Refused(aws::ErrorKind::Unavailable),
        );
    }
    let key = key_of(&permission_set());
    house.at(30 * 60).await;
    assert!(house.has(&key), "what is there stays, however old the directory is");
    house.aws.remove(aws_key(&key));
    house.at(50 * 60).await;
    assert!(!house.has(&key) && house.is_active(id).await);
    assert_eq!(house.calls(AwsOperation::Create), 1);
    let asked = GetActivationRequest { request_id: id.to_string(), ..GetActivationRequest::default() };
    let told = Rpcs::get_activation(&process.service, call("ada", asked)).await.unwrap().into_inner();
    let told = told.activation.unwrap();
    assert_eq!(told.obstacles, ["Unprovable"]);
    assert!(told.obstacle_detail.contains("too old to decide by"), "{}", told.obstacle_detail);
    house.aws.heal();
    house.at(70 * 60).await;
    assert!(house.has(&key), "made again as soon as that can be told");
    house.at(4 * HOUR + 60).await;
    assert_eq!(house.closed(id).await, Some(ClosedHow::Deleted));
    assert!(!house.has(&key));
}

/// Dave's, of a kind and in an account of which no request ever was.
fn of_dave(target: Target) -> AssignmentKey {
    AssignmentKey { principal: PrincipalId::new(sample::DAVE).unwrap(), target }
}

#[tokio::test(start_paused = true)]
async fn roles_that_others_gave_are_noted_and_ours_that_come_late_are_removed() {
    let house = house().await;
    let (theirs, ours) = (of_dave(role_for_users()), key_of(&role_for_users()));
    house.aws.standing(aws_key(&theirs));
    let _process = house.start().await;
    house.at(15 * 60).await;
    assert_eq!(house.ledger(&theirs).await.unwrap().presence, Presence::Standing);
    // A creation of which nothing was ever heard takes effect between two looks.
    let deadline = instant(HOUR);
    let attempted = AssignmentEvent::Attempted { key: ours.clone(), operation: Operation::Create, deadline };
    let attempt = house.write_ledger(&ours, attempted).await;
    let reason = "Timeout".to_owned();
    house.write_ledger(&ours, AssignmentEvent::Failed { attempt, reason, definite: false }).await;
    house.aws.standing(aws_key(&ours));
    house.at(30 * 60).await;
    assert!(!house.has(&ours) && house.has(&theirs));
    assert_eq!(standing_found(&house), 1, "once, in three sweeps");
}

/// Every place that was looked at, one call after the other.
fn looks(house: &House) -> Vec<CallRecord> {
    let calls = house.aws.calls().into_iter();
    calls.filter(|record| record.call.operation() == AwsOperation::Holders).collect()
}

#[tokio::test(start_paused = true)]
async fn a_place_that_aws_does_not_answer_about_is_looked_at_once_more_before_the_next_one() {
    for failures in [1, 2] {
        let house = house().await;
        for _ in 0..failures {
            house.aws.fail_next(AwsOperation::Holders, Fault::Refused(ErrorKind::Unavailable));
        }
        let _process = house.start().await;
        house.at(9 * 60).await;
        let looks = looks(&house);
        assert!(looks.iter().take(failures).all(|look| look.error.is_some()));
        assert_eq!(looks[1].error.is_some(), failures == 2);
        assert_eq!(looks[0].call, looks[1].call);
        assert_ne!(looks[1].call, looks[2].call, "what never can be looked at holds up nothing else");
    }
}

/// A round takes longer than the interval, and restarts come once in an interval.
#[tokio::test(start_paused = true)]
async fn restarts_in_a_long_round_of_the_organisation_go_on_where_it_was() {
    let mut house = House::new().await;
    house.account_access = false;
    house.settings.organisation_sweep_interval = SignedDuration::from_mins(1);
    house.settings.organisation_sweep_calls_per_second = 1;
    house.many_accounts(200);
    for run in 1..=5 {
        let process = house.start().await;
        house.at(60 * run).await;
        process.kill().await;
    }
    let mut places = BTreeSet::new();
    for look in looks(&house) {
        if let Call::Holders(account, entitlement) = look.call {
            places.insert((account, entitlement));
        }
    }
    assert!(places.len() > 250, "{} places in five minutes, with one call a second", places.len());
}

#[tokio::test(start_paused = true)]
async fn every_page_of_a_list_counts_against_the_calls_of_a_sweep() {
    let mut house = House::with(Behaviour { page_max: Some(1), ..Behaviour::default() }).await;
    house.account_access = false;
    house.settings.organisation_sweep_interval = SignedDuration::from_secs(5);
    house.settings.organisation_sweep_calls_per_second = 2;
    for account in [sample::WEB_PROD, sample::PAYMENTS_PROD, sample::WEB_DEV, sample::PAYMENTS_DEV] {
        for set in [sample::READ_ONLY, sample::ADMINISTRATOR_ACCESS] {
            for principal in [sample::ADA, sample::BOB, sample::CAROL, sample::DAVE] {
                let principal = PrincipalId::new(principal).unwrap();
                let target = Target::parse(account, set).unwrap();
                house.aws.standing(aws_key(&AssignmentKey { principal, target }));
            }
        }
    }
    let _process = house.start().await;
    house.at(10 * 60).await;
    let calls = looks(&house).iter().filter(|look| look.at > instant(9 * 60)).count();
    assert!((100..=125).contains(&calls), "{calls} calls in a minute, with two a second");
}

/// What AWS lets a delegated administrator see of the management account is not documented: either answer is fine.
#[tokio::test(start_paused = true)]
async fn the_management_account_is_looked_through_where_aws_lets_us_and_else_the_rest_is() {
    for delegated_administrator in [false, true] {
        let behaviour = Behaviour { delegated_administrator, ..Behaviour::default() };
        let settings = house().await.settings;
        let mut house = House::with(behaviour).await;
        house.settings = settings;
        let there = of_dave(Target::parse(sample::MANAGEMENT, sample::ADMINISTRATOR_ACCESS).unwrap());
        let keys = [there.clone(), someone_elses()];
        for key in &keys {
            house.aws.standing(aws_key(key));
        }
        let _process = house.start().await;
        house.at(15 * 60).await;
        assert_eq!(house.ledger(&there).await.is_some(), !delegated_administrator);
        assert!(house.ledger(&someone_elses()).await.is_some());
        assert!(keys.iter().all(|key| house.has(key)));
    }
}

#[tokio::test(start_paused = true)]
async fn a_suspended_account_is_looked_through_when_it_is_active_again() {
    let house = house().await;
    let key = someone_elses();
    let set_active = |active| {
        let account = key.target.account().clone();
        house.aws.change_directory(|contents| contents.accounts.get_mut(&account).unwrap().active = active);
    };
    set_active(false);
    house.aws.standing(aws_key(&key));
    let _process = house.start().await;
    house.at(25 * 60).await;
    assert!(house.ledger(&key).await.is_none(), "nobody can use anything there");
    set_active(true);
    house.at(60 * 60).await;
    assert_eq!(house.ledger(&key).await.unwrap().presence, Presence::Standing);
}
