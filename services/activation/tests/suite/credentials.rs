//! Credentials: the three checks, what they are bound to, and that they are recorded before they leave.

use crate::house::{HOUR, House, instant, person, reason, role};
use aws::simulated::{Fault, Operation as AwsOperation, sample};
use aws::{ErrorKind, RoleExternalId};
use domain::{PrincipalId, SignedDuration};
use lifecycle::event::ClosedHow;
use tonic::Code;

#[tokio::test(start_paused = true)]
async fn credentials_are_issued_inside_the_window_and_recorded_before_they_leave() {
    let house = House::new().await;
    let process = house.start().await;
    let id = house.grant(&role(), 60, 2 * HOUR).await;
    house.at(30).await;
    assert_eq!(reason(&process.issue("ada", id, "early", None).await.unwrap_err()), "WINDOW_NOT_BEGUN");
    house.at(65).await;
    let issued = process.issue("ada", id, "one", None).await.unwrap();
    let session = house.aws.sessions().pop().unwrap();
    assert_eq!(session.access_key_id, issued.access_key_id);
    assert_eq!(issued.session_name, format!("daypass-{}", issued.issue_id));
    assert!(issued.source_identity.starts_with("ada."));
    assert!(issued.source_identity.ends_with(person("ada").id().as_str()));
    assert_eq!(session.call.tags()["daypass-request"], id.to_string());
    assert_eq!(session.call.tags()["daypass-person"], person("ada").id().to_string());
    assert!(session.call.transitive_tag_keys().contains("daypass-request"));
    assert_eq!(session.call.duration(), SignedDuration::from_hours(1), "the rule's credential duration");
    assert_eq!(house.request(id).await.issues.len(), 1);
    let stored = house.log.recorded();
    let secret = issued.secret_access_key.as_bytes();
    assert!(
        stored.iter().all(|event| event.envelope.body.windows(secret.len()).all(|bytes| bytes != secret))
    );
}

#[tokio::test(start_paused = true)]
async fn a_retry_is_refused_and_another_key_issues_anew() {
    let house = House::new().await;
    let process = house.start().await;
    let id = house.grant(&role(), 0, HOUR).await;
    house.at(5).await;
    process.issue("ada", id, "one", None).await.unwrap();
    assert_eq!(reason(&process.issue("ada", id, "one", None).await.unwrap_err()), "ISSUED_ALREADY");
    assert_eq!(reason(&process.issue("ada", id, "one", Some(900)).await.unwrap_err()), "KEY_REUSED");
    process.issue("ada", id, "two", Some(900)).await.unwrap();
    assert_eq!(house.request(id).await.issues.len(), 2);
}

#[tokio::test(start_paused = true)]
async fn of_two_calls_with_one_key_one_is_answered() {
    let house = House::new().await;
    let one = house.start().await;
    let other = house.start().await;
    let id = house.grant(&role(), 0, HOUR).await;
    house.at(5).await;
    let (first, second) =
        tokio::join!(one.issue("ada", id, "one", None), other.issue("ada", id, "one", None));
    let refused = first.err().or(second.err()).unwrap();
    assert_eq!(reason(&refused), "ISSUED_ALREADY");
    assert_eq!(house.aws.sessions().len(), 2, "both asked, one was recorded");
    assert_eq!(house.request(id).await.issues.len(), 1);
}

#[tokio::test(start_paused = true)]
async fn nobody_but_the_requester_gets_credentials() {
    let house = House::new().await;
    let process = house.start().await;
    let id = house.grant(&role(), 0, HOUR).await;
    house.at(5).await;
    for (name, code) in [
        ("bob", Code::PermissionDenied),
        ("carol", Code::PermissionDenied),
        ("eve", Code::PermissionDenied),
        ("mallory", Code::NotFound),
    ] {
        assert_eq!(process.issue(name, id, "k", None).await.unwrap_err().code(), code, "{name}");
    }
    assert!(house.aws.sessions().is_empty());
}

#[tokio::test(start_paused = true)]
async fn who_has_left_the_group_gets_no_more_credentials() {
    let house = House::new().await;
    let process = house.start().await;
    let id = house.grant(&role(), 0, 2 * HOUR).await;
    house.at(5).await;
    process.issue("ada", id, "one", None).await.unwrap();
    house.aws.change_directory(|contents| {
        contents.memberships.remove(&PrincipalId::new(sample::ADA).unwrap());
    });
    process.views.directory.refresh().await.unwrap();
    let refused = process.issue("ada", id, "two", None).await.unwrap_err();
    assert_eq!((refused.code(), reason(&refused).as_str()), (Code::PermissionDenied, "RULE_DOES_NOT_PERMIT"));
}

#[tokio::test(start_paused = true)]
async fn the_request_is_closed_when_the_last_credentials_have_expired() {
    let house = House::new().await;
    let process = house.start().await;
    let id = house.grant(&role(), 0, HOUR).await;
    house.at(HOUR - 60).await;
    let issued = process.issue("ada", id, "one", None).await.unwrap();
    assert_eq!(issued.expires_at.unwrap().seconds, instant(HOUR - 60 + 900).as_second(), "STS's shortest");
    assert_eq!(issued.usable_until.unwrap().seconds, instant(HOUR).as_second());
    house.at(HOUR + 10).await;
    assert!(house.over(id).await.is_some() && house.closed(id).await.is_none());
    house.at(HOUR + 850).await;
    assert_eq!(house.closed(id).await, Some(ClosedHow::CredentialsExpired));
}

#[tokio::test(start_paused = true)]
async fn the_external_id_of_the_configuration_is_told_to_the_role() {
    let mut house = House::new().await;
    let id = RoleExternalId::new("daypass-42").unwrap();
    let arn = sample::role(sample::WEB_PROD, "ReadOnly").unwrap();
    let session_max = SignedDuration::from_hours(12);
    house.aws.add_role(arn, aws::simulated::SimulatedRole { session_max, external_id: Some(id.clone()) });
    house.settings.external_id = Some(id);
    let process = house.start().await;
    let id = house.grant(&role(), 0, HOUR).await;
    house.at(5).await;
    process.issue("ada", id, "one", None).await.unwrap();
}

#[tokio::test(start_paused = true)]
async fn what_sts_says_is_told_and_nothing_is_recorded() {
    let house = House::new().await;
    let process = house.start().await;
    let id = house.grant(&role(), 0, HOUR).await;
    house.at(5).await;
    for (kind, code, word) in [
        (ErrorKind::Denied, Code::FailedPrecondition, "ROLE_NOT_ASSUMABLE"),
        (ErrorKind::Throttled, Code::Unavailable, "AWS_UNAVAILABLE"),
        (ErrorKind::Unknown, Code::Unavailable, "AWS_UNAVAILABLE"),
        (ErrorKind::Invalid, Code::FailedPrecondition, "ROLE_REFUSES"),
    ] {
        house.aws.fail_next(AwsOperation::AssumeRole, Fault::Refused(kind));
        let refused = process.issue("ada", id, word, Some(900)).await.unwrap_err();
        assert_eq!((refused.code(), reason(&refused).as_str()), (code, word));
    }
    assert!(house.request(id).await.issues.is_empty());
}

#[tokio::test(start_paused = true)]
async fn credentials_are_issued_for_one_request_only_so_often() {
    let mut house = House::new().await;
    house.settings.issues_per_request_max = 2;
    let process = house.start().await;
    let id = house.grant(&role(), 0, HOUR).await;
    house.at(5).await;
    for key in ["one", "two"] {
        process.issue("ada", id, key, None).await.unwrap();
    }
    let refused = process.issue("ada", id, "three", None).await.unwrap_err();
    assert_eq!((refused.code(), reason(&refused).as_str()), (Code::ResourceExhausted, "TOO_MANY_ISSUES"));
    assert_eq!(reason(&process.issue("ada", id, "two", None).await.unwrap_err()), "ISSUED_ALREADY");
    assert_eq!(house.aws.sessions().len(), 2, "STS was not asked");
    assert_eq!(house.request(id).await.issues.len(), 2);
}
