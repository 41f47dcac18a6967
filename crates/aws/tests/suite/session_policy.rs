//! The session policy binds credentials to their window: checked by an evaluation that does not know how it is built.

use crate::support::noon;
use aws::session_policy::for_window;
use aws::simulated::policy_allows;
use domain::{SessionScope, SignedDuration, Timestamp, Window};

fn window(seconds: i64) -> Window {
    Window::from_duration(noon(), SignedDuration::from_secs(seconds)).unwrap()
}

/// What a rule that says nothing about sessions gives.
fn bound() -> SessionScope {
    SessionScope::default()
}

fn allows(window: &Window, scope: &SessionScope, action: &str, at: Timestamp) -> bool {
    policy_allows(&for_window(window, scope).unwrap(), action, at).unwrap()
}

#[test]
fn everything_is_allowed_inside_the_window_and_nothing_outside() {
    let window = window(600);
    let second = SignedDuration::from_secs(1);
    for (at, expected) in [
        (window.start() - second, false),
        (window.start(), true),
        (window.end() - second, true),
        (window.end(), false),
        (window.end() + SignedDuration::from_hours(24 * 365), false),
    ] {
        assert_eq!(allows(&window, &bound(), "s3:GetObject", at), expected, "{at}");
    }
}

#[test]
fn team_195_credentials_are_worthless_at_the_end_even_of_a_window_shorter_than_a_session() {
    let window = window(60);
    assert!(allows(&window, &bound(), "ec2:StartInstances", window.end() - SignedDuration::from_secs(1)));
    assert!(!allows(&window, &bound(), "ec2:StartInstances", window.end()));
}

#[test]
fn fractions_of_a_second_never_favour_the_holder() {
    let half = SignedDuration::from_millis(500);
    let window = Window::new(noon() + half, noon() + SignedDuration::from_secs(10) + half).unwrap();
    for (offset, expected) in
        [(0, false), (500, false), (1_000, true), (9_999, true), (10_000, false), (10_400, false)]
    {
        let at = noon() + SignedDuration::from_millis(offset);
        assert_eq!(allows(&window, &bound(), "s3:GetObject", at), expected, "{offset}");
    }
}

#[test]
fn chaining_is_denied_unless_the_rule_allows_it() {
    let window = window(600);
    let chaining = SessionScope { allow_chaining: true, ..bound() };
    for (action, chains) in [
        ("sts:AssumeRole", true),
        ("sts:AssumeRoleWithSAML", true),
        ("sts:AssumeRoleWithWebIdentity", true),
        ("sts:AssumeRoot", true),
        ("sts:GetFederationToken", true),
        ("sts:GetSessionToken", true),
        ("sts:GetCallerIdentity", false),
        ("sts:GetServiceBearerToken", false),
    ] {
        assert_eq!(allows(&window, &bound(), action, window.start()), !chains, "{action}");
        assert!(allows(&window, &chaining, action, window.start()), "{action}");
    }
    assert!(!allows(&window, &chaining, "sts:AssumeRole", window.end()));
}

#[test]
fn the_rules_allows_take_the_place_of_everything_and_its_denies_stay() {
    let inline = r#"{"Version":"2012-10-17","Statement":[
        {"Sid":"Read","Effect":"Allow","Action":["s3:Get*","s3:List*"],"Resource":"*"},
        {"Effect":"Deny","Action":"s3:GetBucketAcl","Resource":"*"}]}"#;
    let scope = SessionScope { inline: Some(inline.parse().unwrap()), ..bound() };
    let window = window(600);
    for (action, allowed) in [
        ("s3:GetObject", true),
        ("s3:listbuckets", true),
        ("s3:PutObject", false),
        ("s3:GetBucketAcl", false),
        ("ec2:StartInstances", false),
        ("sts:AssumeRole", false),
    ] {
        assert_eq!(allows(&window, &scope, action, window.start()), allowed, "{action}");
        assert!(!allows(&window, &scope, action, window.end()), "{action}");
    }
}

#[test]
fn the_policy_leaves_most_of_stss_limit() {
    let policy = for_window(&window(600), &bound()).unwrap();
    assert!(policy.as_str().len() < 700, "{}", policy.as_str().len());
}

#[test]
fn the_policy_reads_as_expected() {
    let policy = for_window(&window(3600), &bound()).unwrap();
    let expected = concat!(
        r#"{"Statement":[{"Action":"*","Effect":"Allow","Resource":"*"},"#,
        r#"{"Action":"*","Condition":{"DateLessThan":{"aws:CurrentTime":"2026-03-01T12:00:00Z"}},"Effect":"Deny","Resource":"*"},"#,
        r#"{"Action":"*","Condition":{"DateGreaterThanEquals":{"aws:CurrentTime":"2026-03-01T13:00:00Z"}},"Effect":"Deny","Resource":"*"},"#,
        r#"{"Action":["sts:Assume*","sts:GetDelegatedAccessToken","sts:GetFederationToken","sts:GetSessionToken","#,
        r#""sts:GetWebIdentityToken"],"Effect":"Deny","Resource":"*"}],"Version":"2012-10-17"}"#,
    );
    // Compared as JSON: the order of keys is serde_json's, and depends on features that other crates turn on.
    let read = |text: &str| serde_json::from_str::<serde_json::Value>(text).unwrap();
    assert_eq!(read(policy.as_str()), read(expected));
}
