//! The field constraints of the protos, as servers enforce them.

use api::request::v1::{CreateRequestRequest, CreateRequestsRequest, ListRequestsRequest, RequestFilter};
use api::types::v1::{Ask, AskedWindow, Person, Target};
use api::validate::{VIOLATIONS_MAX, Validate, violations};
use prost_types::{Duration, Timestamp};
use std::collections::BTreeSet;

fn ask() -> Ask {
    Ask {
        target: Some(Target {
            account_id: "111111111111".to_owned(),
            entitlement_arn: "arn:aws:iam::111111111111:role/path/Admin".to_owned(),
        }),
        window: Some(AskedWindow { start: None, duration: Some(Duration { seconds: 3600, nanos: 0 }) }),
        justification: "line one\n\tline two, ünïcode".to_owned(),
        ..Ask::default()
    }
}

fn create(ask: Ask) -> CreateRequestRequest {
    CreateRequestRequest { idempotency_key: "k-1".to_owned(), ask: Some(ask) }
}

fn fields(message: &impl Validate) -> Vec<(String, &'static str)> {
    violations(message).into_iter().map(|violation| (violation.field, violation.rule)).collect()
}

fn one(field: &str, rule: &'static str) -> Vec<(String, &'static str)> {
    vec![(field.to_owned(), rule)]
}

#[test]
fn a_well_formed_request_has_no_violation() {
    assert_eq!(violations(&create(ask())), []);
}

#[test]
fn all_violations_are_told_at_once_each_by_its_path() {
    let message = CreateRequestRequest {
        idempotency_key: String::new(),
        ask: Some(Ask {
            target: Some(Target { account_id: "11".to_owned(), ..ask().target.unwrap() }),
            window: None,
            ..ask()
        }),
    };
    assert_eq!(
        fields(&message),
        [
            ("idempotency_key".to_owned(), "string.min_len"),
            ("ask.target.account_id".to_owned(), "string.pattern"),
            ("ask.window".to_owned(), "required"),
        ]
    );
}

#[test]
fn items_of_a_batch_are_named_by_their_index() {
    let message = CreateRequestsRequest {
        idempotency_key: "k".to_owned(),
        asks: vec![ask(), Ask { justification: String::new(), ..ask() }],
    };
    assert_eq!(fields(&message), one("asks[1].justification", "string.min_len"));
}

#[test]
fn a_hostile_batch_is_told_a_bounded_number_of_violations() {
    let message = CreateRequestsRequest { idempotency_key: "k".to_owned(), asks: vec![Ask::default(); 50] };
    assert_eq!(violations(&message).len(), VIOLATIONS_MAX);
    let message = CreateRequestsRequest { asks: vec![Ask::default(); 51], ..message };
    assert_eq!(fields(&message), one("asks", "repeated.max_items"));
}

#[test]
fn bidirectional_and_other_controls_in_justifications_are_refused() {
    for text in ["a\u{202e}b", "a\u{2066}b", "a\u{200f}b", "a\u{1b}[2Jb", "a\rb", "a\u{0}b", "a\u{85}b"] {
        let message = create(Ask { justification: text.to_owned(), ..ask() });
        assert_eq!(fields(&message), one("ask.justification", "string.pattern"), "{text:?}");
    }
}

#[test]
fn lengths_are_characters_and_not_bytes() {
    let message = create(Ask { justification: "ü".repeat(2000), ..ask() });
    assert_eq!(fields(&message), []);
    let message = create(Ask { justification: "ü".repeat(2001), ..ask() });
    assert_eq!(fields(&message), one("ask.justification", "string.max_len"));
}

#[test]
fn an_optional_text_may_be_empty_but_not_wrong() {
    let message = create(Ask { extends_request_id: "0".repeat(36), ..ask() });
    assert_eq!(fields(&message), one("ask.extends_request_id", "string.uuid"));
    let message = create(Ask {
        extends_request_id: "0193b5a0-0000-7000-8000-000000000000".to_owned(),
        ticket: "OPS-1".to_owned(),
        ..ask()
    });
    assert_eq!(fields(&message), []);
}

#[test]
fn instants_and_durations_must_be_well_formed() {
    let window = |start, seconds, nanos| {
        create(Ask {
            window: Some(AskedWindow { start, duration: Some(Duration { seconds, nanos }) }),
            ..ask()
        })
    };
    assert_eq!(fields(&window(None, 3600, -1)), one("ask.window.duration", "duration.valid"));
    assert_eq!(fields(&window(None, 0, 999_999_999)), one("ask.window.duration", "duration.gte"));
    assert_eq!(fields(&window(None, i64::MAX, 0)), one("ask.window.duration", "duration.valid"));
    let start = Some(Timestamp { seconds: i64::MAX, nanos: 0 });
    assert_eq!(fields(&window(start, 1, 0)), one("ask.window.start", "timestamp.valid"));
}

#[test]
fn enums_must_be_set_and_defined() {
    let list = |scope, statuses| ListRequestsRequest {
        filter: Some(RequestFilter { scope, statuses, ..RequestFilter::default() }),
        ..ListRequestsRequest::default()
    };
    assert_eq!(fields(&list(0, vec![])), one("filter.scope", "enum.not_in"));
    assert_eq!(fields(&list(77, vec![])), one("filter.scope", "enum.defined_only"));
    assert_eq!(fields(&list(1, vec![1, 9])), one("filter.statuses[1]", "enum.defined_only"));
}

#[test]
fn a_description_never_repeats_the_value() {
    let message = create(Ask {
        on_behalf_of: Some(Person { issuer: "secret\u{7}".to_owned(), subject: "s".to_owned() }),
        ..ask()
    });
    let found = violations(&message);
    assert_eq!(found.len(), 1);
    assert!(!format!("{found:?}").contains("secret"));
}

#[test]
fn secrets_are_not_in_debug() {
    let answer = api::activation::v1::IssueCredentialsResponse {
        access_key_id: "AKIDEXAMPLE".to_owned(),
        secret_access_key: "canary-one".to_owned(),
        session_token: "canary-two".to_owned(),
        ..Default::default()
    };
    let text = format!("{answer:?}");
    assert!(text.contains("AKIDEXAMPLE") && !text.contains("canary"), "{text}");
}

/// Decodes with the type of the method's input and tells the fields that are refused.
fn refused(input: &str, bytes: &[u8]) -> Option<BTreeSet<String>> {
    macro_rules! inputs {
        ($($package:ident: $($message:ident)*;)*) => {
            match input {
                $($(concat!("daypass.", stringify!($package), ".v1.", stringify!($message)) => {
                    let message = <api::$package::v1::$message as prost::Message>::decode(bytes).unwrap();
                    Some(violations(&message).into_iter().map(|violation| violation.field).collect())
                })*)*
                _ => None,
            }
        };
    }
    inputs! {
        request: CreateRequestRequest CreateRequestsRequest WithdrawRequestRequest GetRequestRequest ListRequestsRequest
            WatchRequestsRequest ListEntitlementsRequest ExplainRequestRequest GetDirectoryRequest ListAccountsRequest
            ListPermissionSetsRequest ListPeopleRequest ListGroupsRequest IngestSignalRequest;
        approval: ListPendingRequest WatchPendingRequest ApproveRequest RejectRequest ReviewAfterTheFactRequest
            ProposePolicyRequest AcceptPolicyRequest DiscardPolicyRequest GetPolicyRequest ListPoliciesRequest
            PlanPolicyRequest CheckPolicyRequest BacktestPolicyRequest;
        activation: GetActivationRequest ListActiveRequest WatchActiveRequest IssueCredentialsRequest OpenConsoleRequest
            RevokeAccessRequest GetAssignmentRequest ReconcileRequest AbandonAssignmentRequest;
        audit: ListEventsRequest ReplayRequest GetAsOfRequest ExportRequest GetTreeHeadRequest ProveInclusionRequest
            ProveConsistencyRequest ListSessionActivityRequest ExplainDecisionRequest;
    }
}

#[test]
fn every_constraint_of_every_method_refuses_a_wrong_value_by_name() {
    let mut tried = 0;
    for method in api::METHODS {
        for wrong in api::testing::wrong_values(method).unwrap() {
            let refused = refused(method.input, &wrong.message)
                .unwrap_or_else(|| panic!("{} is missing in this test", method.input));
            assert!(
                refused.contains(&wrong.field),
                "{}: {} ({}) is not among {refused:?}",
                method.path,
                wrong.field,
                wrong.wrong
            );
            tried += 1;
        }
    }
    assert!(tried > 400, "only {tried} wrong values were made");
}
