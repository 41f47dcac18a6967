//! What administrators do about assignments.

use crate::daypass;
use crate::fake::Fake;
use api::activation::v1::{
    AbandonAssignmentRequest, AbandonAssignmentResponse, Assignment, AssignmentKey, AssignmentState,
    GetAssignmentRequest, GetAssignmentResponse, ReconcileRequest, ReconcileResponse,
};
use api::types::v1::Target;

const USER: &str = "00000000-0000-4000-8000-0000000000a1";
const SET: &str = "arn:aws:sso:::permissionSet/ssoins-1111111111111111/ps-1111111111111111";
const WHICH: [&str; 6] = ["--principal", USER, "--account", "111122223333", "--arn", SET];

fn key() -> AssignmentKey {
    let target = Target { account_id: "111122223333".to_owned(), entitlement_arn: SET.to_owned() };
    AssignmentKey { principal_id: USER.to_owned(), target: Some(target) }
}

fn with_key(verb: &'static str) -> Vec<&'static str> {
    [vec!["assignment", verb], WHICH.to_vec()].concat()
}

#[tokio::test]
async fn an_assignment_is_named_by_who_where_and_what() {
    let fake = Fake::start().await;
    let assignment = Assignment {
        key: Some(key()),
        state: AssignmentState::Standing.into(),
        standing_groups: vec!["developers".to_owned()],
        ..Assignment::default()
    };
    let shown = assignment.clone();
    fake.on("get_assignment", move |_: &GetAssignmentRequest, _| {
        Ok(GetAssignmentResponse { assignment: Some(shown.clone()) })
    });
    let ran = daypass(&fake, &with_key("show")).await;
    assert!(ran.code == 0 && ran.out.contains("standing") && ran.out.contains(USER), "{ran}");
    assert!(ran.out.contains("Through groups") && ran.out.contains("developers"), "{ran}");
    assert_eq!(fake.messages::<GetAssignmentRequest>("get_assignment")[0].key, Some(key()));
    let ran = daypass(&fake, &["assignment", "show", "--principal", USER]).await;
    assert_eq!(ran.code, 2, "{ran}");

    fake.on("reconcile", move |asked: &ReconcileRequest, _| {
        let assignment = asked.key.as_ref().map(|_| assignment.clone());
        Ok(ReconcileResponse { assignments: 7, assignment, position: String::new() })
    });
    let ran = daypass(&fake, &["assignment", "reconcile"]).await;
    assert!(ran.code == 0 && ran.out.contains("looked at: 7"), "{ran}");
    daypass(&fake, &with_key("reconcile")).await;
    daypass(&fake, &with_key("adopt")).await;
    let sent = fake.messages::<ReconcileRequest>("reconcile");
    let sent: Vec<_> = sent.into_iter().map(|sent| (sent.key, sent.adopt)).collect();
    assert_eq!(sent, [(None, false), (Some(key()), false), (Some(key()), true)]);
}

#[tokio::test]
async fn who_is_first_to_give_up_is_told_that_another_must_agree() {
    let fake = Fake::start().await;
    fake.on("abandon_assignment", |_: &AbandonAssignmentRequest, _| {
        Ok(AbandonAssignmentResponse { second_person_needed: true, ..AbandonAssignmentResponse::default() })
    });
    let ran = daypass(&fake, &[with_key("abandon"), vec!["--comment", "closed"]].concat()).await;
    assert!(ran.code == 0 && ran.out.contains("another administrator"), "{ran}");
    let sent = fake.messages::<AbandonAssignmentRequest>("abandon_assignment");
    assert!(sent[0].key == Some(key()) && sent[0].comment == "closed");
}
