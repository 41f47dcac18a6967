//! Every no to an ask, and what is never said in one.

use crate::world::*;
use api::request::v1::{ExplainRequestRequest, WithdrawRequestRequest};
use api::types::v1::Ask;
use aws::simulated::sample::{APPROVERS, MANAGEMENT, WEB_DEV};
use domain::{AccountId, GroupRef, Plan, Provider, SignedDuration};
use event_log::memory::{AppendFault, Faults};
use event_log::{Envelope, StreamName};
use policy::{PlanSource, RoleSelector};
use tonic::Code;
use tonic_types::StatusExt as _;

fn is(code: Code, reason: &str) -> (Code, String) {
    (code, reason.to_owned())
}

fn precondition(reason: &str) -> (Code, String) {
    is(Code::FailedPrecondition, reason)
}

#[tokio::test(start_paused = true)]
async fn without_a_policy_nothing_is_allowed() {
    let world = World::without_policy().await;
    assert_eq!(no(world.create("ada", "k", ask(WEB_DEV)).await), precondition("NO_POLICY"));
}

#[tokio::test(start_paused = true)]
async fn without_a_rule_or_with_unknown_groups_nothing_is_allowed() {
    let world = World::ordinary().await;
    assert_eq!(no(world.create("bob", "k", ask(WEB_DEV)).await), is(Code::PermissionDenied, "NO_RULE"));
    let unknown = world.create("ada+unknown", "k", ask(WEB_DEV)).await;
    assert_eq!(no(unknown), is(Code::Unavailable, "UNPROVABLE"));
}

#[tokio::test(start_paused = true)]
async fn a_target_of_another_partition_is_refused() {
    let world = World::ordinary().await;
    for arn in [
        format!("arn:aws-cn:iam::{WEB_DEV}:role/daypass/ReadOnly"),
        "arn:aws-us-gov:sso:::permissionSet/ssoins-1111111111111111/ps-1111111111111111".to_owned(),
    ] {
        let mut elsewhere = ask(WEB_DEV);
        elsewhere.target.as_mut().unwrap().entitlement_arn = arn.clone();
        assert_eq!(
            no(world.create("ada", &arn, elsewhere).await),
            precondition("ANOTHER_PARTITION"),
            "{arn}"
        );
    }
}

/// FACTS.md: Glide. An assignment to an account that does not exist failed silently.
#[tokio::test(start_paused = true)]
async fn glide_non_existent_account() {
    let world = World::ordinary().await;
    assert_eq!(no(world.create("ada", "k", ask("123456789012")).await), precondition("NO_SUCH_ACCOUNT"));
    assert_eq!(no(world.create("ada", "k", ask(MANAGEMENT)).await), precondition("MANAGEMENT_ACCOUNT"));
    let mut unknown_set = ask(WEB_DEV);
    unknown_set.target.as_mut().unwrap().entitlement_arn =
        "arn:aws:sso:::permissionSet/ssoins-1111111111111111/ps-9999999999999999".to_owned();
    assert_eq!(no(world.create("ada", "k", unknown_set).await), precondition("NO_SUCH_PERMISSION_SET"));
    world
        .change_directory(|contents| {
            contents.accounts.get_mut(&AccountId::new(WEB_DEV).unwrap()).unwrap().active = false;
        })
        .await;
    assert_eq!(no(world.create("ada", "k", ask(WEB_DEV)).await), precondition("ACCOUNT_INACTIVE"));
}

#[tokio::test(start_paused = true)]
async fn while_the_clock_is_in_doubt_nothing_is_raised() {
    let world = World::ordinary().await;
    let before = world.created("ada", "before", ask(WEB_DEV)).await;
    world.aws_is_ahead(SignedDuration::from_secs(10));
    let refused = world.create("ada", "k", ask(WEB_DEV)).await.unwrap_err();
    assert!(refused.get_details_retry_info().is_some());
    assert_eq!(no::<()>(Err(refused)), is(Code::Unavailable, "CLOCK_IN_DOUBT"));
    assert_eq!(world.create("ada", "before", ask(WEB_DEV)).await.unwrap().request.unwrap(), before);
    world.aws_is_ahead(SignedDuration::ZERO);
    world.created("ada", "k", ask(WEB_DEV)).await;
}

#[tokio::test(start_paused = true)]
async fn a_directory_from_the_future_decides_nothing() {
    let world = World::ordinary().await;
    world.clock.jump(SignedDuration::from_mins(-10));
    let refused = no(world.create("ada", "k", ask(WEB_DEV)).await);
    assert_eq!(refused, is(Code::Unavailable, "DIRECTORY_UNAVAILABLE"));
}

#[tokio::test(start_paused = true)]
async fn an_old_directory_decides_nothing() {
    let world = World::ordinary().await;
    world.clock.jump(SignedDuration::from_mins(16));
    assert_eq!(no(world.create("ada", "k", ask(WEB_DEV)).await).0, Code::Unavailable);
}

#[tokio::test(start_paused = true)]
async fn nothing_is_commanded_by_or_raised_for_whose_key_cannot_be_used() {
    let world = World::ordinary().await;
    world.keys.damage(&person("ada").id());
    assert_eq!(no(world.create("ada", "k", ask(WEB_DEV)).await), precondition("KEY_UNUSABLE"));
    let for_ada = Ask { on_behalf_of: Some(wire_person("ada")), ..ask(WEB_DEV) };
    assert_eq!(no(world.create("itsm", "k", for_ada).await), precondition("KEY_UNUSABLE"));
    // That is hers alone.
    assert_eq!(no(world.create("bob", "k", ask(WEB_DEV)).await), is(Code::PermissionDenied, "NO_RULE"));
}

#[tokio::test(start_paused = true)]
async fn windows_outside_of_the_limits_are_refused() {
    let world = World::ordinary().await;
    let with = |duration: SignedDuration, start: Option<i64>| {
        let start = start.map(|second| prost_types::Timestamp { seconds: second, nanos: 0 });
        let duration = Some(views::wire::duration(duration));
        Ask { window: Some(api::types::v1::AskedWindow { start, duration }), ..ask(WEB_DEV) }
    };
    let hour = SignedDuration::from_hours(1);
    for (ask, reason) in [
        (with(SignedDuration::from_secs(1), None), "WINDOW_TOO_SHORT"),
        (with(hour * 9, None), "WINDOW_TOO_LONG"),
        (with(hour, Some(NOW - 60)), "START_IN_PAST"),
        (with(hour, Some(NOW + 31 * 86_400)), "START_BEYOND_HORIZON"),
    ] {
        assert_eq!(no(world.create("ada", "k", ask).await), precondition(reason));
    }
}

/// [`ask`], from so many minutes after the beginning on.
fn starting_in(minutes: i64) -> Ask {
    let start = prost_types::Timestamp { seconds: NOW + minutes * 60, nanos: 0 };
    Ask { window: Some(api::types::v1::AskedWindow { start: Some(start), ..hours(1) }), ..ask(WEB_DEV) }
}

fn of_token(group: &str) -> GroupRef {
    GroupRef::new("corp", group).unwrap()
}

#[tokio::test(start_paused = true)]
async fn a_start_that_the_requesters_token_does_not_last_until_is_refused_and_names_the_field() {
    let mut by_token = rule("by-token");
    by_token.requesters.groups = [of_token("dba")].into();
    let world = World::with(policy([by_token])).await;
    let late = world.create("carol+dba", "k", starting_in(29 * 24 * 60)).await;
    assert!(late.as_ref().unwrap_err().message().starts_with("window.start "), "{late:?}");
    assert_eq!(no(late), precondition("START_NEEDS_DIRECTORY"));
    let stranger = world.create("carol", "k", starting_in(29 * 24 * 60)).await;
    assert_eq!(no(stranger), is(Code::PermissionDenied, "NO_RULE"));
    for (key, ask) in [("soon", starting_in(14)), ("now", ask(WEB_DEV))] {
        world.created("carol+dba", key, ask).await;
    }
}

#[tokio::test(start_paused = true)]
async fn a_start_far_ahead_goes_by_the_rule_that_the_directory_allows() {
    let mut by_token = rule("by-token");
    by_token.requesters.groups = [of_token("dba")].into();
    let world = World::with(policy([by_token, rule("read")])).await;
    assert_eq!(world.created("ada+dba", "soon", starting_in(14)).await.rule_id, "by-token");
    assert_eq!(world.created("ada+dba", "late", starting_in(16)).await.rule_id, "read");
}

#[tokio::test(start_paused = true)]
async fn a_start_that_the_tokens_of_those_who_decide_do_not_last_until_is_refused() {
    let mut decided_by_token = rule("read");
    decided_by_token.plan = PlanSource::Steps(Plan { steps: vec![step(1, &[of_token("leads")])] });
    let world = World::with(policy([decided_by_token])).await;
    let late = world.create("ada", "late", starting_in(16)).await;
    assert_eq!(no(late), precondition("START_NEEDS_DIRECTORY"));
    world.created("ada", "soon", starting_in(14)).await;
    let mut decided_by_either = rule("read");
    let either = step(1, &[of_token("leads"), of_store(APPROVERS)]);
    decided_by_either.plan = PlanSource::Steps(Plan { steps: vec![either] });
    world.apply(policy([decided_by_either])).await;
    world.created("ada", "later", starting_in(16)).await;
}

/// A rule that gives `daypass/ReadOnly` through Account Access Manager, and an ask for it.
fn role_for_users() -> (policy::Rule, Ask) {
    let mut by_role = rule("by-role");
    by_role.targets.permission_sets.clear();
    by_role.targets.roles = [RoleSelector::Name(policy::RoleName::new("daypass/ReadOnly").unwrap())].into();
    by_role.provider = Provider::AccountAccess;
    let mut role = ask(WEB_DEV);
    role.target.as_mut().unwrap().entitlement_arn = format!("arn:aws:iam::{WEB_DEV}:role/daypass/ReadOnly");
    (by_role, role)
}

#[tokio::test(start_paused = true)]
async fn account_access_is_served_where_the_deployment_has_it() {
    let (by_role, role) = role_for_users();
    let mut world = World::with(policy([by_role])).await;
    assert_eq!(no(world.create("ada", "k", role.clone()).await), precondition("PROVIDER_NOT_SERVED"));
    world.get_account_access();
    let created = world.created("ada", "k", role).await;
    assert_eq!(created.provider, i32::from(api::types::v1::Provider::AccountAccess));
}

#[tokio::test(start_paused = true)]
async fn what_is_not_served_is_refused_plainly() {
    let (by_role, role) = role_for_users();
    let world = World::with(policy([by_role.clone()])).await;
    assert_eq!(no(world.create("ada", "k", role.clone()).await), precondition("PROVIDER_NOT_SERVED"));

    // Another rule that is served is taken, though it needs more people.
    let served =
        policy::Rule { provider: Provider::Sts, id: domain::RuleId::new("sts").unwrap(), ..by_role.clone() };
    world.apply(policy([policy::Rule { plan: PlanSource::None, ..by_role }, served])).await;
    assert_eq!(world.created("ada", "k", role).await.rule_id, "sts");

    let emergency = Ask { emergency: true, ..ask(WEB_DEV) };
    assert_eq!(no(world.create("ada", "k", emergency).await).0, Code::Unimplemented);
    let explain = ExplainRequestRequest { ask: Some(ask(WEB_DEV)), wait_for_position: String::new() };
    assert_eq!(no(world.requests().explain_request(by("ada", explain)).await).0, Code::Unimplemented);
}

#[tokio::test(start_paused = true)]
async fn identity_center_needs_a_user_of_the_directory() {
    let mut for_claims = rule("claims");
    for_claims.requesters.groups = [domain::GroupRef::new("corp", "guests").unwrap()].into();
    let world = World::with(policy([for_claims])).await;
    let guest = world.create("guest+guests", "k", ask(WEB_DEV)).await;
    assert_eq!(no(guest), precondition("NO_DIRECTORY_USER"));
    let for_stranger = Ask { on_behalf_of: Some(wire_person("stranger")), ..ask(WEB_DEV) };
    assert_eq!(no(world.create("itsm", "k", for_stranger).await), precondition("NO_DIRECTORY_USER"));
}

#[tokio::test(start_paused = true)]
async fn the_author_of_a_rule_needs_another_persons_yes() {
    let mut free = rule("free");
    free.requesters.groups.insert(of_store("admins"));
    let asking = free.clone();
    free.plan = PlanSource::None;
    let world = World::with(policy([free])).await;
    assert_eq!(no(world.create("carol", "k", ask(WEB_DEV)).await), is(Code::PermissionDenied, "OWN_RULE"));
    // Under an identity that only leads to the same user of the directory, she is the same woman.
    let as_user = world.create(aws::simulated::sample::CAROL, "k", ask(WEB_DEV)).await;
    assert_eq!(no(as_user), is(Code::PermissionDenied, "OWN_RULE"));
    world.created("dave", "k", ask(WEB_DEV)).await;
    world.apply(policy([asking])).await;
    world.created("carol", "k", ask(WEB_DEV)).await;
}

#[tokio::test(start_paused = true)]
async fn where_nobody_can_decide_it_is_said_who_is_missing() {
    let world = World::ordinary().await;
    let with_plan = |steps| {
        let mut rule = rule("read");
        rule.requesters.groups.insert(of_store(APPROVERS));
        rule.plan = PlanSource::Steps(Plan { steps });
        policy([rule])
    };
    let approvers = of_store(APPROVERS);
    // One person where two are needed; the only approver asks; a deleted group; a disabled user.
    world.apply(with_plan(vec![step(2, std::slice::from_ref(&approvers))])).await;
    let refused = world.create("ada", "k", ask(WEB_DEV)).await.unwrap_err();
    assert!(refused.message().contains("2 of approvers"), "{refused}");
    assert_eq!(no::<()>(Err(refused)), precondition("NOBODY_CAN_DECIDE"));

    world.apply(with_plan(vec![step(1, std::slice::from_ref(&approvers))])).await;
    assert_eq!(no(world.create("bob", "k", ask(WEB_DEV)).await), precondition("NOBODY_CAN_DECIDE"));

    // Under an identity that only leads to the same user of the directory, he is the same man.
    let as_user = world.create(aws::simulated::sample::BOB, "k", ask(WEB_DEV)).await;
    assert_eq!(no(as_user), precondition("NOBODY_CAN_DECIDE"));

    // TEAM #585: a deleted group is empty, reported, and harms nobody who has another way.
    let gone = of_store("gone");
    world.apply(with_plan(vec![step(1, std::slice::from_ref(&gone))])).await;
    let refused = world.create("ada", "k", ask(WEB_DEV)).await.unwrap_err();
    assert!(refused.message().contains("not in the directory"), "{refused}");
    world.apply(with_plan(vec![step(1, &[gone, approvers.clone()])])).await;
    world.created("ada", "k", ask(WEB_DEV)).await;

    world
        .change_directory(|contents| {
            contents.users.values_mut().filter(|user| user.user_name.as_str() == "bob").for_each(|user| {
                user.enabled = false;
            });
        })
        .await;
    assert_eq!(no(world.create("ada", "k2", ask(WEB_DEV)).await), precondition("NOBODY_CAN_DECIDE"));

    // Of groups that only tokens tell, nothing is known, and nothing is refused for it.
    world.apply(with_plan(vec![step(1, &[domain::GroupRef::new("corp", "leads").unwrap()])])).await;
    world.created("ada", "k3", ask(WEB_DEV)).await;
}

struct Down;

impl Faults for Down {
    fn append(&mut self, _: &StreamName, _: &Envelope) -> AppendFault {
        AppendFault::Unavailable
    }
}

#[tokio::test(start_paused = true)]
async fn a_log_that_is_down_takes_nothing_and_the_same_call_works_later() {
    let world = World::ordinary().await;
    world.log.set_faults(Box::new(Down));
    let refused = world.create("ada", "k", ask(WEB_DEV)).await;
    assert_eq!(no(refused), is(Code::Unavailable, "LOG_UNAVAILABLE"));
    world.log.clear_faults();
    world.created("ada", "k", ask(WEB_DEV)).await;
}

/// FACTS.md, attacks: bidirectional controls in justifications; and other letters that are not for reading.
#[tokio::test(start_paused = true)]
async fn justifications_with_controls_are_refused() {
    let world = World::ordinary().await;
    for letter in ['\u{202e}', '\u{2066}', '\u{200f}', '\u{0}', '\u{1b}', '\r'] {
        let hidden = Ask { justification: format!("fine{letter}enif"), ..ask(WEB_DEV) };
        assert_eq!(wrong_fields(world.create("ada", "k", hidden).await), ["ask.justification"], "{letter:?}");
    }
    let plain = Ask { justification: "two lines:\n\tüber 日本".to_owned(), ..ask(WEB_DEV) };
    assert_eq!(world.created("ada", "k", plain).await.justification, "two lines:\n\tüber 日本");
}

/// What someone wrote is sealed in the log, and repeated in no error.
#[tokio::test(start_paused = true)]
async fn the_justification_is_neither_in_the_log_nor_in_a_refusal() {
    const CANARY: &str = "CANARY-7f3a";
    let world = World::ordinary().await;
    let telling = |account| Ask { justification: CANARY.to_owned(), ..ask(account) };
    let mut refusals = vec![
        world.create("bob", "k", telling(WEB_DEV)).await.unwrap_err(),
        world.create("ada", "k", telling("123456789012")).await.unwrap_err(),
        world.create("ada", "k", Ask { rule_id: "none".into(), ..telling(WEB_DEV) }).await.unwrap_err(),
        world.create("ada", "k", Ask { emergency: true, ..telling(WEB_DEV) }).await.unwrap_err(),
    ];
    let too_much = CANARY.repeat(500);
    refusals
        .push(world.create("ada", "k", Ask { justification: too_much, ..ask(WEB_DEV) }).await.unwrap_err());
    world.log.set_faults(Box::new(Down));
    refusals.push(world.create("ada", "k", telling(WEB_DEV)).await.unwrap_err());
    world.log.clear_faults();
    let shown = world.created("ada", "k", telling(WEB_DEV)).await;
    refusals.push(world.create("ada", "k", ask(WEB_DEV)).await.unwrap_err());
    for refusal in &refusals {
        assert!(!format!("{refusal:?} {refusal}").contains(CANARY), "{refusal:?}");
        assert!(!refusal.details().windows(CANARY.len()).any(|part| part == CANARY.as_bytes()));
    }
    for recorded in world.log.recorded() {
        let body = &recorded.envelope.body;
        assert!(!body.windows(CANARY.len()).any(|part| part == CANARY.as_bytes()));
        assert!(!format!("{:?}", journal::decode(body)).contains(CANARY));
    }
    let story = world.get("ada", &shown.request_id).await.unwrap();
    assert!(!format!("{story:?} {:?}", telling(WEB_DEV)).contains(CANARY));
    assert_eq!(story.request.unwrap().justification, CANARY);
}

#[tokio::test(start_paused = true)]
async fn nobody_is_refused_by_the_service_itself() {
    use api::request::v1::request_service_client::RequestServiceClient;
    let world = World::ordinary().await;
    let bare = request::RequestService::new(world.views.clone()).routes();
    let message =
        api::request::v1::CreateRequestRequest { idempotency_key: "k".into(), ask: Some(ask(WEB_DEV)) };
    let answer = RequestServiceClient::new(bare).create_request(by("ada", message)).await;
    assert_eq!(no(answer).0, Code::Unauthenticated);
}

#[tokio::test(start_paused = true)]
async fn nobody_has_more_requests_pending_than_one_person_may() {
    let world = World::ordinary().await;
    let exhausted = || is(Code::ResourceExhausted, "TOO_MANY_PENDING");
    let mut last = String::new();
    for number in 0..PENDING_MAX {
        last = world.created("ada", &number.to_string(), ask(WEB_DEV)).await.request_id;
    }
    assert_eq!(no(world.create("ada", "more", ask(WEB_DEV)).await), exhausted());
    let repeated = world.create("ada", "0", ask(WEB_DEV)).await.unwrap();
    assert!(repeated.request.is_some(), "what was raised before is told as ever");
    let message = WithdrawRequestRequest { idempotency_key: "w".to_owned(), request_id: last };
    world.requests().withdraw_request(by("ada", message)).await.unwrap();
    world.see().await;
    world.create("ada", "more", ask(WEB_DEV)).await.unwrap();
}
