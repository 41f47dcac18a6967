//! What is told of access that is on its way, or of which something is left.

use crate::denials::{denying, revoked_at};
use crate::house::{
    HOUR, House, Process, aws_key, call, instant, key_of, permission_set, role, role_for_users,
};
use activation::Missing;
use api::activation::v1 as wire;
use api::activation::v1::activation_service_server::ActivationService as Rpcs;
use api::types::v1 as types;
use aws::simulated::{Behaviour, Fault, Operation as AwsOperation, sample};
use domain::{RequestId, SignedDuration, Target};
use lifecycle::assignment::{AssignmentEvent, Operation};
use lifecycle::event::{ClosedHow, EndedBecause};
use lifecycle::state::EndReason;
use tonic::{Code, Status};

async fn ask(process: &Process, name: &str, id: RequestId) -> Result<wire::Activation, Status> {
    let asked =
        wire::GetActivationRequest { request_id: id.to_string(), ..wire::GetActivationRequest::default() };
    let answer = Rpcs::get_activation(&process.service, call(name, asked)).await?;
    Ok(answer.into_inner().activation.unwrap())
}

#[tokio::test(start_paused = true)]
async fn who_waits_is_told_how_many_go_before_and_about_how_long_it_takes() {
    let house = House::with(Behaviour::like_aws()).await;
    let accounts = house.many_accounts(101);
    let one = house.start_as("one").await;
    let two = house.start_as("two").await;
    house.at(5).await;
    let mut ids = Vec::new();
    for account in &accounts {
        ids.push(house.grant(&read_only_in(account), 10, 2 * HOUR).await);
        // One after the other, so that the order is known.
        tokio::time::sleep(std::time::Duration::from_millis(1)).await;
    }
    house.at(40).await;
    let last = *ids.last().unwrap();
    let mut told = Vec::new();
    for process in [&one, &two] {
        let shown = ask(process, "ada", last).await.unwrap();
        assert_eq!(shown.access_phase(), types::AccessPhase::Activating);
        assert!(shown.obstacles.is_empty() && shown.past_end.is_none());
        let estimate = shown.estimate.unwrap();
        told.push((estimate.ahead, estimate.active_in.unwrap().seconds));
    }
    let mut at = 40;
    while !house.is_active(last).await {
        at += 1;
        house.at(at).await;
    }
    let took = at - 40;
    for (ahead, seconds) in told {
        assert!((30..=60).contains(&ahead), "{ahead} ahead");
        assert!((took * 7 / 10..=took * 13 / 10).contains(&seconds), "{seconds} told, {took} it was");
    }
    assert!(ask(&one, "ada", last).await.unwrap().estimate.is_none(), "nothing to wait for");
}

#[tokio::test(start_paused = true)]
async fn what_is_scheduled_says_when_and_what_is_in_the_way_by_its_code() {
    let house = House::new().await;
    let process = house.start().await;
    let scheduled = house.grant(&permission_set(), 600, HOUR).await;
    let credentials = house.grant(&role(), 300, HOUR).await;
    house.at(10).await;
    let shown = ask(&process, "ada", scheduled).await.unwrap();
    assert_eq!(shown.access_phase(), types::AccessPhase::Scheduled);
    let seconds = shown.estimate.unwrap().active_in.unwrap().seconds;
    assert!((590..=600).contains(&seconds), "{seconds}");
    let shown = ask(&process, "ada", credentials).await.unwrap();
    assert_eq!(shown.estimate.unwrap().active_in.unwrap().seconds, 290);
    house.aws.throttle_next(AwsOperation::Create, 1_000);
    house.at(660).await;
    for name in ["ada", "bob", "carol", "eve"] {
        let shown = ask(&process, name, scheduled).await.unwrap();
        assert_eq!(shown.obstacles, ["ThrottlingException"], "{name}");
        assert_eq!(shown.obstacle_detail, "", "the code says all");
    }
    assert_eq!(ask(&process, "mallory", scheduled).await.unwrap_err().code(), Code::NotFound);
}

#[tokio::test(start_paused = true)]
async fn why_an_operation_failed_is_told_in_awss_words_while_it_is_tried_and_once_it_is_given_up() {
    let house = House::new().await;
    let process = house.start().await;
    for _ in 0..1_000 {
        let reason = "no such user: it is gone".to_owned();
        house.aws.fail_next(AwsOperation::Create, Fault::FailsLater { reason });
    }
    let id = house.grant(&permission_set(), 0, HOUR).await;
    house.at(60).await;
    let told = ask(&process, "ada", id).await.unwrap();
    assert_eq!(told.obstacles, ["FAILED"]);
    assert_eq!(told.obstacle_detail, "no such user: it is gone");
    house.at(HOUR - 60).await;
    let because = EndedBecause::Failed { reason: "FAILED: no such user: it is gone".to_owned() };
    assert_eq!(house.over(id).await.map(|(why, _)| why), Some(EndReason::Ended(because)));
}

#[tokio::test(start_paused = true)]
async fn what_aws_refused_is_not_expected_before_it_is_tried_again() {
    let house = House::new().await;
    let process = house.start().await;
    let id = house.grant(&permission_set(), 0, HOUR).await;
    house.aws.throttle_next(AwsOperation::Create, 1_000);
    let mut at = 60;
    house.at(at).await;
    let tried = house.calls(AwsOperation::Create);
    while house.calls(AwsOperation::Create) == tried {
        at += 1;
        house.at(at).await;
    }
    at += 1;
    house.at(at).await;
    let (asked_at, tried) = (at, house.calls(AwsOperation::Create));
    let told = ask(&process, "ada", id).await.unwrap().estimate.unwrap().active_in.unwrap().seconds;
    while house.calls(AwsOperation::Create) == tried {
        at += 1;
        house.at(at).await;
    }
    let waited = at - asked_at;
    assert!(waited > 8, "by now it is tried rarely: {waited}");
    assert!((waited - 1..waited + 15).contains(&told), "{told} told, tried again after {waited}");
}

fn read_only_in(account: &str) -> Target {
    Target::parse(account, sample::READ_ONLY).unwrap()
}

/// Twelve grants that end after a minute, and AWS refuses to remove.
async fn stuck_in(house: &House, accounts: &[String]) {
    for account in accounts.iter().take(12) {
        house.grant(&read_only_in(account), 0, 60).await;
    }
    house.at(50).await;
    assert_eq!(house.aws.assignments().len(), 12);
    for _ in 0..10_000 {
        house.aws.fail_next(AwsOperation::Delete, Fault::Refused(aws::ErrorKind::Denied));
    }
}

/// One grant every ten minutes.
async fn quiet_traffic(house: &House, accounts: &[String]) {
    for (account, at) in accounts.iter().zip((660..).step_by(600)) {
        house.at(at).await;
        let id = house.grant(&read_only_in(account), at, 5 * HOUR).await;
        house.at(at + 10).await;
        assert!(house.is_active(id).await);
    }
}

#[tokio::test(start_paused = true)]
async fn what_cannot_be_removed_goes_before_nobody() {
    let house = House::new().await;
    let accounts = house.many_accounts(20);
    let one = house.start_as("one").await;
    let two = house.start_as("two").await;
    stuck_in(&house, &accounts).await;
    quiet_traffic(&house, &accounts[12..18]).await;
    house.at(4_200).await;
    let id = house.grant(&read_only_in(&accounts[19]), 4_200, 5 * HOUR).await;
    tokio::time::sleep(std::time::Duration::from_millis(100)).await;
    for process in [&one, &two] {
        let told = ask(process, "ada", id).await.unwrap().estimate.unwrap();
        assert_eq!(told.ahead, 0);
        let seconds = told.active_in.unwrap().seconds;
        assert!(seconds <= 5, "{seconds} told");
    }
    house.at(4_210).await;
    assert!(house.is_active(id).await);
    assert_eq!(house.aws.assignments().len(), 12 + 7, "nothing was removed");
}

#[tokio::test(start_paused = true)]
async fn what_cannot_be_removed_makes_no_start_early() {
    let mut house = House::new().await;
    house.settings.start_lead_max = SignedDuration::from_mins(5);
    let accounts = house.many_accounts(20);
    let _process = house.start().await;
    stuck_in(&house, &accounts).await;
    quiet_traffic(&house, &accounts[12..18]).await;
    let id = house.grant(&read_only_in(&accounts[19]), 4_500, 5 * HOUR).await;
    let made = house.calls(AwsOperation::Create);
    house.at(4_480).await;
    assert_eq!(house.calls(AwsOperation::Create), made, "nothing is in its way");
    house.at(4_503).await;
    assert!(house.is_active(id).await);
}

#[tokio::test(start_paused = true)]
async fn what_waits_for_its_fence_goes_before_nobody() {
    let house = House::new().await;
    let accounts = house.many_accounts(13);
    let one = house.start_as("one").await;
    let two = house.start_as("two").await;
    for _ in 0..1_000 {
        house.aws.fail_next(AwsOperation::Create, Fault::REQUEST_LOST);
    }
    let mut fenced = Vec::new();
    for account in &accounts[..12] {
        fenced.push(house.grant(&read_only_in(account), 0, 120).await);
    }
    house.at(690).await;
    house.aws.heal();
    house.at(700).await;
    for id in fenced {
        assert!(house.request(id).await.is_closing());
    }
    let id = house.grant(&read_only_in(&accounts[12]), 700, HOUR).await;
    tokio::time::sleep(std::time::Duration::from_millis(100)).await;
    for process in [&one, &two] {
        assert_eq!(ask(process, "ada", id).await.unwrap().estimate.unwrap().ahead, 0);
    }
}

#[tokio::test(start_paused = true)]
async fn a_slow_service_of_awss_makes_nothing_of_the_other_late_or_early() {
    let mut house = House::new().await;
    house.settings.start_lead_max = SignedDuration::from_mins(5);
    let accounts = house.many_accounts(2);
    let process = house.start().await;
    house.aws.fail_next(AwsOperation::Create, Fault::Slow(SignedDuration::from_secs(40)));
    let slow = house.grant(&read_only_in(&accounts[0]), 0, HOUR).await;
    house.at(60).await;
    assert!(house.is_active(slow).await);
    let role = house.grant(&role_for_users(), 400, HOUR).await;
    let assigned = house.grant(&read_only_in(&accounts[1]), 2 * HOUR, 3 * HOUR).await;
    house.at(100).await;
    for (id, expected) in [(role, 300..=306), (assigned, 2 * HOUR - 65..=2 * HOUR - 54)] {
        let told = ask(&process, "ada", id).await.unwrap().estimate.unwrap().active_in.unwrap().seconds;
        assert!(expected.contains(&told), "{told} told, not {expected:?}");
    }
    house.at(390).await;
    assert!(!house.has(&key_of(&role_for_users())), "led by what its own service needs");
    house.at(403).await;
    assert!(house.is_active(role).await);
}

/// It was taken away again when AWS turned out to be faster than it had been.
#[tokio::test(start_paused = true)]
async fn what_was_made_in_the_lead_of_a_start_stays_although_less_would_do() {
    let mut house = House::new().await;
    house.settings.start_lead_max = SignedDuration::from_mins(5);
    let accounts = house.many_accounts(2);
    let _process = house.start().await;
    house.aws.fail_next(AwsOperation::Create, Fault::Slow(SignedDuration::from_secs(40)));
    let slow = house.grant(&read_only_in(&accounts[0]), 0, HOUR).await;
    house.at(60).await;
    assert!(house.is_active(slow).await);
    let next = house.grant(&read_only_in(&accounts[1]), 400, HOUR).await;
    house.at(365).await;
    let key = key_of(&read_only_in(&accounts[1]));
    assert!(house.has(&key), "AWS is expected to need as long as it did");
    for second in 366..400 {
        house.at(second).await;
        assert!(house.has(&key), "at {second}");
    }
    house.at(401).await;
    assert!(house.is_active(next).await);
    assert_eq!(house.calls(AwsOperation::Delete), 0);
}

/// It was taken away, and made again for the start: who was granted it only afterwards counted as who it had been made for.
#[tokio::test(start_paused = true)]
async fn what_was_made_in_the_lead_of_a_start_stays_when_an_earlier_request_comes_and_goes_after_that() {
    let mut house = House::new().await;
    house.settings.start_lead_max = SignedDuration::from_mins(5);
    let key = key_of(&permission_set());
    let next = house.grant(&permission_set(), 400, HOUR).await;
    house.at(310).await;
    // By a process that knew of a queue. The one that comes after it knows of none, and would begin a few seconds before the start.
    let (operation, deadline) = (Operation::Create, instant(HOUR));
    let attempted = AssignmentEvent::Attempted { key: key.clone(), operation, deadline };
    let attempt = house.write_ledger(&key, attempted).await;
    house.aws.standing(aws_key(&key));
    house.write_ledger(&key, AssignmentEvent::Confirmed { attempt }).await;
    let process = house.start().await;
    house.at(320).await;
    assert!(house.has(&key), "made in the lead of its start");
    let earlier = house.grant(&permission_set(), 320, HOUR).await;
    house.at(340).await;
    assert!(house.is_active(earlier).await);
    process.revoke("ada", earlier).await.unwrap();
    house.at(385).await;
    assert!(house.has(&key));
    assert_eq!(house.closed(earlier).await, Some(ClosedHow::CarriedBy(next)));
    house.at(401).await;
    assert!(house.is_active(next).await);
    assert_eq!((house.calls(AwsOperation::Create), house.calls(AwsOperation::Delete)), (0, 0));
}

/// It stayed until the later one began: the removal's own attempt, or what the earlier one had made, counted as made in the lead.
#[tokio::test(start_paused = true)]
async fn what_ends_before_the_lead_of_a_later_start_goes_although_its_lead_could_be_longer() {
    for (granted_at, end) in [(0, 300), (200, 300), (200, 3_000)] {
        let mut house = House::new().await;
        house.settings.start_lead_max = SignedDuration::from_mins(5);
        let process = house.start().await;
        let key = key_of(&permission_set());
        house.at(granted_at).await;
        let first = house.grant(&permission_set(), granted_at, end).await;
        let next = house.grant(&permission_set(), 450, HOUR).await;
        house.at(290).await;
        assert!(house.is_active(first).await);
        if end > 300 {
            process.revoke("ada", first).await.unwrap();
        }
        house.at(330).await;
        assert!(!house.has(&key), "granted at {granted_at}, until {end}");
        assert_eq!(house.closed(first).await, Some(ClosedHow::Deleted));
        house.at(460).await;
        assert!(house.is_active(next).await);
    }
}

#[tokio::test(start_paused = true)]
async fn the_starts_of_a_day_that_are_done_by_then_are_not_ahead_of_a_start() {
    let house = House::with(Behaviour::like_aws()).await;
    let accounts = house.many_accounts(101);
    let process = house.start().await;
    for (account, start) in accounts.iter().take(100).zip((600..).step_by(60)) {
        house.grant(&read_only_in(account), start, 10 * HOUR).await;
    }
    let start = 600 + 100 * 60 + 30;
    // Last in the order of keys.
    let id = house.grant(&read_only_in(&accounts[100]), start, 10 * HOUR).await;
    house.at(10).await;
    let told = ask(&process, "ada", id).await.unwrap().estimate.unwrap();
    assert_eq!(told.ahead, 0);
    let seconds = told.active_in.unwrap().seconds;
    assert!((start - 10..=start - 4).contains(&seconds), "{seconds} told");
}

#[tokio::test(start_paused = true)]
async fn what_is_left_past_its_end_is_told_while_it_is_and_after() {
    let house = House::new().await;
    let process = house.start().await;
    let id = house.grant(&permission_set(), 0, 600).await;
    house.at(599).await;
    for _ in 0..8 {
        house.aws.fail_next(AwsOperation::Delete, Fault::Refused(aws::ErrorKind::Conflict));
    }
    house.at(660).await;
    let shown = ask(&process, "ada", id).await.unwrap();
    assert_eq!(shown.closure_phase(), types::ClosurePhase::Closing);
    assert!(shown.closing_since.is_some());
    assert_eq!(shown.past_end.unwrap().seconds, 60);
    assert!(shown.bound.is_some(), "for how long what was handed out may outlive it");
    house.at(HOUR).await;
    let shown = ask(&process, "ada", id).await.unwrap();
    assert!(shown.closing_since.is_none());
    assert!(shown.past_end.unwrap().seconds > 60);
    // As GetRequest and the auditors' GetAsOf show it.
    let story = process.views.requests.get(&id).unwrap().unwrap();
    let recorded = process.views.show(&story).await.past_end.unwrap();
    assert!(recorded.seconds > 60 && recorded == shown.past_end.unwrap());
}

#[tokio::test(start_paused = true)]
async fn until_when_what_is_absent_may_still_appear_is_told() {
    let house = House::new().await;
    let process = house.start().await;
    house.aws.fail_next(AwsOperation::Create, Fault::ArrivesLater(SignedDuration::from_secs(240)));
    for _ in 0..40 {
        house.aws.fail_next(AwsOperation::Create, Fault::Refused(aws::ErrorKind::Throttled));
    }
    let id = house.grant(&permission_set(), 0, 120).await;
    house.at(60).await;
    assert_eq!(ask(&process, "ada", id).await.unwrap().fenced_until, None, "it is live");
    house.at(200).await;
    let shown = ask(&process, "ada", id).await.unwrap();
    assert_eq!(shown.closure_phase(), types::ClosurePhase::Closing);
    let until = shown.fenced_until.unwrap().seconds - house.clock.now().as_second();
    assert!((15 * 60..20 * 60).contains(&until), "signature and effect: {until}");
    house.at(25 * 60).await;
    let shown = ask(&process, "ada", id).await.unwrap();
    assert_eq!((shown.closure_phase(), shown.fenced_until), (types::ClosurePhase::Closed, None));
}

/// What GetActivation and GetRequest agree on, of a closed request.
async fn left_past_end(process: &Process, id: RequestId) -> prost_types::Duration {
    let shown = ask(process, "ada", id).await.unwrap();
    assert_eq!(shown.closure_phase(), types::ClosurePhase::Closed);
    let story = process.views.requests.get(&id).unwrap().unwrap();
    assert_eq!(process.views.show(&story).await.past_end, shown.past_end);
    shown.past_end.unwrap()
}

#[tokio::test(start_paused = true)]
async fn what_is_left_past_its_end_counts_until_the_removal_although_closure_waits_for_sessions() {
    let house = denying().await;
    let process = house.start().await;
    let id = revoked_at(&house, &process, 600).await;
    house.at(1_800).await;
    let closing = ask(&process, "ada", id).await.unwrap();
    assert!(closing.closing_since.is_some(), "what denies its sessions is left");
    let told = closing.past_end.unwrap();
    assert!(told.seconds < 30, "the assignment was gone soon: {told:?}");
    house.at(700 + HOUR).await;
    assert_eq!(left_past_end(&process, id).await, told);
}

#[tokio::test(start_paused = true)]
async fn what_someone_else_removed_before_its_end_is_not_left_past_it() {
    let mut house = denying().await;
    house.settings.missing = Missing::End;
    let process = house.start().await;
    let id = house.grant(&permission_set(), 0, 2 * HOUR).await;
    house.at(60).await;
    house.aws.remove(aws_key(&key_of(&permission_set())));
    house.at(1_800).await;
    let nothing = prost_types::Duration::default();
    assert_eq!(
        ask(&process, "ada", id).await.unwrap().past_end,
        Some(nothing),
        "its sessions are waited for"
    );
    house.at(3 * HOUR).await;
    assert_eq!(left_past_end(&process, id).await, nothing);
}

#[tokio::test(start_paused = true)]
async fn credentials_are_left_past_an_early_end_until_the_window_refuses_them() {
    let house = House::new().await;
    let process = house.start().await;
    let id = house.grant(&role(), 0, 600).await;
    house.at(10).await;
    process.issue("ada", id, "one", None).await.unwrap();
    house.at(300).await;
    process.revoke("ada", id).await.unwrap();
    house.at(800).await;
    assert!(house.closed(id).await.is_none(), "STS has them live for 900 seconds");
    assert!(ask(&process, "ada", id).await.unwrap().past_end.is_none());
    house.at(1_000).await;
    let left = left_past_end(&process, id).await;
    assert!((299..=300).contains(&left.seconds), "{left:?}");
}
