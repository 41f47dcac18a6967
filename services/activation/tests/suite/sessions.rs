//! What a rule says of sessions reaches STS: scope, chaining, length, partition.

use crate::house::{HOUR, House, POLICY, chaining_policy, instant, reason, role};
use api::activation::v1::activation_service_server::ActivationService as Rpcs;
use aws::ErrorKind;
use aws::simulated::{Behaviour, Fault, Operation, SimulatedRole, sample};
use domain::{Partition, SignedDuration};
use lifecycle::event::ClosedHow;
use tonic::Code;

const READING: &str = r#"{"Version":"2012-10-17","Statement":{"Effect":"Allow","Action":["s3:Get*","s3:List*"],"Resource":"*"}}"#;

/// The policy, with more said in the rule about roles.
fn policy(more: &str) -> String {
    POLICY.replace("credential_duration_max = \"1h\"", &format!("credential_duration_max = \"12h\"\n{more}"))
}

#[tokio::test(start_paused = true)]
async fn a_session_is_cut_down_to_what_the_rule_in_force_says() {
    let house = House::new().await;
    let process = house.start().await;
    let id = house.grant(&role(), 0, 2 * HOUR).await;
    house.at(5).await;
    let wide = process.issue("ada", id, "wide", Some(900)).await.unwrap();
    house.apply(&policy(&format!("session_policy = '{READING}'"))).await;
    house.at(10).await;
    let narrow = process.issue("ada", id, "narrow", Some(900)).await.unwrap();
    let may = |key: &str, action: &str| house.aws.session_may(key, action, instant(20)).unwrap();
    for (action, by_rule) in [("s3:GetObject", true), ("s3:PutObject", false), ("sts:AssumeRole", false)] {
        assert_eq!(may(&wide.access_key_id, action), action != "sts:AssumeRole", "{action}");
        assert_eq!(may(&narrow.access_key_id, action), by_rule, "{action}");
    }
}

#[tokio::test(start_paused = true)]
async fn managed_policies_and_chaining_are_the_rules() {
    let house = House::new().await;
    let own = format!("arn:aws:iam::{}:policy/Reports", sample::WEB_PROD);
    let arns = format!("session_policy_arns = [\"arn:aws:iam::aws:policy/ReadOnlyAccess\", \"{own}\"]");
    let only_there = policy(&format!("{arns}\nallow_chaining = true"))
        .replace("all_accounts = true, roles", &format!("accounts = [\"{}\"], roles", sample::WEB_PROD));
    house.apply(&only_there).await;
    let process = house.start().await;
    let id = house.grant(&role(), 0, 2 * HOUR).await;
    house.at(5).await;
    process.issue("ada", id, "one", None).await.unwrap();
    let call = house.aws.sessions().pop().unwrap().call;
    let sent: Vec<&str> = call.managed_policies().iter().map(AsRef::as_ref).collect();
    assert_eq!(sent, [own.as_str(), "arn:aws:iam::aws:policy/ReadOnlyAccess"]);
    let inline = call.policy().unwrap().as_str();
    assert!(!inline.contains("Allow"), "an Allow beside managed policies would undo them: {inline}");
    assert!(!inline.contains("sts:"), "the rule allows chaining: {inline}");
}

#[tokio::test(start_paused = true)]
async fn a_role_that_refuses_a_long_session_is_asked_for_an_hour_for_a_while() {
    let house = House::new().await;
    house.apply(&policy("")).await;
    let short = SimulatedRole { session_max: SignedDuration::from_hours(1), external_id: None };
    house.aws.add_role(sample::role(sample::WEB_PROD, "ReadOnly").unwrap(), short.clone());
    let process = house.start().await;
    let id = house.grant(&role(), 0, 10 * HOUR).await;
    house.at(5).await;
    let asked = || house.calls(Operation::AssumeRole);
    let first = process.issue("ada", id, "one", None).await.unwrap();
    assert_eq!(first.expires_at.unwrap().seconds, instant(5 + HOUR).as_second());
    assert_eq!(asked(), 7, "refused, then an hour, then what lies between");
    process.issue("ada", id, "two", None).await.unwrap();
    assert_eq!(asked(), 8, "remembered");
    let long = SimulatedRole { session_max: SignedDuration::from_hours(12), ..short };
    house.aws.add_role(sample::role(sample::WEB_PROD, "ReadOnly").unwrap(), long);
    house.at(10 + HOUR).await;
    let later = process.issue("ada", id, "three", None).await.unwrap();
    assert_eq!(asked(), 9, "asked anew");
    assert_eq!(
        later.expires_at.unwrap().seconds,
        instant(10 * HOUR).as_second(),
        "what is left of the window"
    );
}

#[tokio::test(start_paused = true)]
async fn a_target_of_another_partition_gets_no_session() {
    let house = House::new().await;
    let process = house.start().await;
    let mut views = process.views.clone();
    let id = house.grant(&role(), 0, HOUR).await;
    house.at(5).await;
    let directory = aws::CachedDirectory::new(
        house.aws.clone(),
        house.clock.clone(),
        house.entropy.clone(),
        aws::RefreshPace::default(),
    );
    let directory = std::sync::Arc::new(directory.in_partition(Partition::AwsCn));
    directory.refresh().await.unwrap();
    views.directory = directory;
    let ports = activation::Ports::new(house.aws.clone(), house.aws.clone());
    let service = activation::ActivationService::new(views, ports, house.settings.clone());
    let asked = api::activation::v1::IssueCredentialsRequest {
        idempotency_key: "k".to_owned(),
        request_id: id.to_string(),
        duration: None,
    };
    let refused = Rpcs::issue_credentials(&service, crate::house::call("ada", asked)).await.unwrap_err();
    assert_eq!((refused.code(), reason(&refused).as_str()), (Code::FailedPrecondition, "ANOTHER_PARTITION"));
    assert!(house.aws.sessions().is_empty());
}

/// A credential lives for hours although its user was told that an early end leaves it one.
#[tokio::test(start_paused = true)]
async fn credentials_never_outlive_what_was_told_when_the_access_began() {
    let house = House::new().await;
    let process = house.start().await;
    let id = house.grant(&role(), 0, 10 * HOUR).await;
    house.at(5).await;
    house.apply(&policy("")).await;
    house.at(10).await;
    let issued = process.issue("ada", id, "one", None).await.unwrap();
    assert_eq!(house.aws.sessions().pop().unwrap().call.duration(), SignedDuration::from_hours(1));
    assert!(issued.expires_at.unwrap().seconds <= instant(10 + HOUR).as_second());
    // What begins under the new rule is told so, and gets it.
    let next = house.grant(&role(), 0, 11 * HOUR).await;
    house.at(20).await;
    process.issue("ada", next, "two", None).await.unwrap();
    assert!(house.aws.sessions().pop().unwrap().call.duration() > SignedDuration::from_hours(10));
}

#[tokio::test(start_paused = true)]
async fn what_a_session_may_chain_is_in_the_bound_and_keeps_the_request_open() {
    let house = House::new().await;
    house.apply(&chaining_policy()).await;
    let process = house.start().await;
    let id = house.grant(&role(), 0, 2 * HOUR).await;
    house.at(5).await;
    let request = house.request(id).await;
    let (_, active) = request.approved().unwrap();
    let bound = active.unwrap().activated.bound;
    assert_eq!(bound.at_end, instant(3 * HOUR), "chained when the window ends");
    assert_eq!(bound.after_early_end, SignedDuration::from_hours(2), "chained when the credentials expire");
    let issued = process.issue("ada", id, "one", None).await.unwrap();
    let asked = house.aws.sessions().pop().unwrap().call.duration();
    assert_eq!(asked, SignedDuration::from_hours(1), "the credentials themselves live no longer");
    let shown = process.revoke("ada", id).await.unwrap().request.unwrap();
    assert_eq!(shown.credentials_bound_at.unwrap().seconds, issued.expires_at.unwrap().seconds + HOUR);
    house.at(2 * HOUR).await;
    assert_eq!(house.closed(id).await, None, "the credentials are dead, what was chained from them is not");
    house.at(2 * HOUR + 30).await;
    assert_eq!(house.closed(id).await, Some(ClosedHow::CredentialsExpired));
}

/// A session chains although its user was told a bound without the hour of what is chained.
#[tokio::test(start_paused = true)]
async fn a_session_chains_only_if_that_was_told_when_the_access_began() {
    let house = House::new().await;
    let process = house.start().await;
    let untold = house.grant(&role(), 0, 2 * HOUR).await;
    house.at(5).await;
    house.apply(&chaining_policy()).await;
    house.at(10).await;
    let told = house.grant(&role(), 0, 2 * HOUR).await;
    house.at(20).await;
    let narrow = process.issue("ada", untold, "one", None).await.unwrap();
    let wide = process.issue("ada", told, "two", None).await.unwrap();
    house.apply(POLICY).await;
    house.at(30).await;
    let since = process.issue("ada", told, "three", None).await.unwrap();
    let chains = |key: &str| house.aws.session_may(key, "sts:AssumeRole", instant(40)).unwrap();
    assert!(!chains(&narrow.access_key_id), "its user was not told");
    assert!(chains(&wide.access_key_id));
    assert!(!chains(&since.access_key_id), "the rule allows it no more");
}

#[tokio::test(start_paused = true)]
async fn a_role_that_allows_four_hours_gives_four() {
    let house = House::new().await;
    house.apply(&policy("")).await;
    let role_of_four = SimulatedRole { session_max: SignedDuration::from_hours(4), external_id: None };
    house.aws.add_role(sample::role(sample::WEB_PROD, "ReadOnly").unwrap(), role_of_four);
    let process = house.start().await;
    let id = house.grant(&role(), 0, 10 * HOUR).await;
    house.at(5).await;
    for key in ["one", "two"] {
        let issued = process.issue("ada", id, key, None).await.unwrap();
        assert_eq!(issued.expires_at.unwrap().seconds, instant(5 + 4 * HOUR).as_second());
    }
    assert_eq!(house.calls(Operation::AssumeRole), 6, "12, 1, 8, 6 and 4 hours; then 4, as remembered");
}

/// AWS refuses a session of a chained role that lasts longer, whatever the role allows: nothing longer is asked for.
#[tokio::test(start_paused = true)]
async fn a_chained_role_is_asked_for_an_hour_at_most() {
    let house = House::with(Behaviour { caller_is_role_session: true, ..Behaviour::default() }).await;
    house.apply(&policy("")).await;
    let process = house.start().await;
    let id = house.grant(&role(), 0, 10 * HOUR).await;
    house.at(5).await;
    let issued = process.issue("ada", id, "one", None).await.unwrap();
    assert_eq!(issued.expires_at.unwrap().seconds, instant(5 + HOUR).as_second());
    assert_eq!(house.calls(Operation::AssumeRole), 1);
}

/// What was not answered was not refused.
#[tokio::test(start_paused = true)]
async fn a_role_that_sts_did_not_answer_about_is_asked_again() {
    let house = House::new().await;
    house.apply(&policy("")).await;
    let process = house.start().await;
    let id = house.grant(&role(), 0, 10 * HOUR).await;
    house.at(5).await;
    let (too_long, an_hour) = (Fault::Refused(ErrorKind::Invalid), Fault::Slow(SignedDuration::ZERO));
    for fault in [too_long, an_hour, Fault::Refused(ErrorKind::Throttled)] {
        house.aws.fail_next(Operation::AssumeRole, fault);
    }
    let first = process.issue("ada", id, "one", None).await.unwrap();
    assert_eq!(first.expires_at.unwrap().seconds, instant(5 + HOUR).as_second());
    let second = process.issue("ada", id, "two", None).await.unwrap();
    assert!(second.expires_at.unwrap().seconds > instant(5 + HOUR).as_second());
}
