//! What people and programs see.

use crate::daypass;
use crate::fake::Fake;
use crate::requests::ID;
use api::activation::v1::{Activation, GetActivationRequest, GetActivationResponse};
use api::request::v1::{
    GetRequestRequest, GetRequestResponse, ListRequestsRequest, ListRequestsResponse, TimelineEntry,
};
use api::types::v1::{AccessPhase, AskedWindow, EndReason, Party, Person, Request, RequestStatus, Target};

/// Clears the screen, writes to the clipboard, sets colours by C1, turns text around, hides text.
const ATTACK: &str = "\u{1b}[2J\u{1b}]52;c;cm0gLXJm\u{7}\u{9b}31m\u{202e}evil\u{2066}\u{200b}\u{7f}";

fn at(seconds: i64) -> Option<prost_types::Timestamp> {
    Some(prost_types::Timestamp { seconds, nanos: 123_000_000 })
}

fn party(subject: &str, name: &str) -> Option<Party> {
    let person = Person { issuer: "https://idp.example".to_owned(), subject: subject.to_owned() };
    Some(Party { person: Some(person), display_name: name.to_owned(), user_name: String::new() })
}

fn sample(name: &str, justification: &str) -> Request {
    Request {
        request_id: ID.to_owned(),
        revision: 3,
        requester: party("ada", name),
        target: Some(Target {
            account_id: "111122223333".to_owned(),
            entitlement_arn: "arn:aws:iam::111122223333:role/Deployer".to_owned(),
        }),
        account_name: "payments".to_owned(),
        entitlement_name: "Deployer".to_owned(),
        asked_window: Some(AskedWindow {
            start: None,
            duration: Some(prost_types::Duration { seconds: 5400, nanos: 0 }),
        }),
        justification: justification.to_owned(),
        requested_at: at(1_795_226_400),
        status: RequestStatus::Rejected.into(),
        end_reason: EndReason::RejectedByApprover.into(),
        ended_at: at(1_795_226_460),
        ended_by: party("bob", "Bob"),
        ..Request::default()
    }
}

async fn showing(request: Request) -> Fake {
    let fake = Fake::start().await;
    let story = vec![TimelineEntry {
        revision: 1,
        event_type: "request.requested.v1".to_owned(),
        happened_at: at(1_795_226_400),
        actor: request.requester.clone(),
        details: Some(api::structs::from_json(
            serde_json::json!({"justification": request.justification, "comment": request.justification})
                .as_object()
                .unwrap()
                .clone(),
        )),
        ..TimelineEntry::default()
    }];
    let listed = request.clone();
    fake.on("get_request", move |message: &GetRequestRequest, _| {
        assert!(message.with_timeline);
        Ok(GetRequestResponse { request: Some(request.clone()), timeline: story.clone() })
    });
    fake.on("list_requests", move |_: &ListRequestsRequest, _| {
        Ok(ListRequestsResponse { requests: vec![listed.clone()], next_page_token: String::new() })
    });
    fake
}

#[tokio::test]
async fn a_request_is_shown_with_its_story() {
    let fake = showing(sample("Ada", "release 42")).await;
    let ran = daypass(&fake, &["show", ID]).await;
    let expected = "
Request      7f3a9c00-1111-8222-8333-444455556666
Status       rejected (rejected by approver)
Requester    Ada (ada at https://idp.example)
Account      payments (111122223333)
Entitlement  arn:aws:iam::111122223333:role/Deployer
Window       1h30m from approval
Because      release 42
Must agree   nobody
Requested    2026-11-21T02:00:00Z
Over since   2026-11-21T02:01:00Z
Ended by     Bob (bob at https://idp.example)

TIME                  WHAT       WHO  DETAILS
2026-11-21T02:00:00Z  requested  Ada  comment: release 42
";
    assert_eq!(format!("\n{}", ran.out), expected, "{ran}");
}

#[tokio::test]
async fn groups_that_hold_the_same_are_shown_with_what_is_active() {
    let active = Request {
        status: RequestStatus::Approved.into(),
        access_phase: AccessPhase::Active.into(),
        ..sample("Ada", "release 42")
    };
    let fake = showing(active).await;
    fake.on("get_activation", |message: &GetActivationRequest, _| {
        assert_eq!(message.request_id, ID);
        let standing_groups = vec!["developers".to_owned(), ATTACK.to_owned()];
        let activation = Activation { standing_groups, ..Activation::default() };
        Ok(GetActivationResponse { activation: Some(activation) })
    });
    let ran = daypass(&fake, &["show", ID]).await;
    assert!(ran.out.contains("Held through a group as well, which stays: developers, "), "{ran}");
    assert!(!ran.out.contains('\u{1b}'), "{ran}");
}

#[tokio::test]
async fn a_list_has_a_line_for_each_request() {
    let fake = showing(sample("Ada", "release 42")).await;
    let ran = daypass(&fake, &["list"]).await;
    let expected = "
ID        STATUS                           REQUESTER  ACCOUNT   ENTITLEMENT  WINDOW               REQUESTED
7f3a9c00  rejected (rejected by approver)  Ada        payments  Deployer     1h30m from approval  2026-11-21T02:00:00Z
";
    assert_eq!(format!("\n{}", ran.out), expected, "{ran}");
}

#[tokio::test]
async fn text_of_others_cannot_drive_the_terminal() {
    let fake = showing(sample(ATTACK, &format!("{ATTACK}\nStatus  approved"))).await;
    for arguments in [&["show", ID][..], &["list"], &["show", ID, "-o", "json"], &["list", "-o", "json"]] {
        let ran = daypass(&fake, arguments).await;
        assert_eq!(ran.code, 0, "{ran}");
        let allowed = |c: char| c == '\n' || !(c.is_control() || ATTACK.contains(c) && !c.is_ascii());
        assert!(ran.out.chars().all(allowed), "{arguments:?}: {:?}", ran.out);
        assert!(ran.out.contains("evil"), "what was written is still told: {ran}");
    }
}

#[tokio::test]
async fn programs_get_every_byte_of_it() {
    let fake = showing(sample(ATTACK, "release 42")).await;
    let shown = daypass(&fake, &["show", ID, "--output", "json"]).await.json();
    assert_eq!(shown["request"]["requester"]["displayName"], ATTACK);
    assert_eq!(shown["request"]["status"], "REQUEST_STATUS_REJECTED");
    assert_eq!(shown["request"]["revision"], "3");
    assert_eq!(shown["request"]["askedWindow"]["duration"], "5400s");
    assert_eq!(shown["request"]["standing"], false, "what is not set is there all the same");
    assert_eq!(shown["timeline"][0]["details"]["justification"], "release 42");
    let listed = daypass(&fake, &["list", "--output", "json"]).await.json();
    assert_eq!(listed.as_array().unwrap().len(), 1);
}

#[tokio::test]
async fn lists_of_many_pages_are_followed_up_to_the_limit() {
    let fake = Fake::start().await;
    fake.on("list_requests", |message: &ListRequestsRequest, _| {
        let page: i32 = message.page_token.parse().unwrap_or_default();
        let requests = (0..message.page_size.min(2)).map(|_| sample("Ada", "x")).collect();
        let next_page_token = if page < 9 { (page + 1).to_string() } else { String::new() };
        Ok(ListRequestsResponse { requests, next_page_token })
    });
    let count = |value: serde_json::Value| value.as_array().unwrap().len();
    assert_eq!(count(daypass(&fake, &["list", "-o", "json"]).await.json()), 20);
    let ran = daypass(&fake, &["list", "-o", "json", "--limit", "5"]).await;
    assert_eq!(count(ran.json()), 5);
    assert!(ran.err.contains("--limit"), "{ran}");
}
