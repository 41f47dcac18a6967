//! Every RPC × kind of caller. Who gets past the gate follows from the descriptors; what is decided behind it, where the
//! service looks at what the call is about, is the table.

use crate::callers::Kind;
use crate::house::House;
use crate::{messages, raw};
use api::{METHODS, Method};
use std::collections::BTreeSet;
use tonic::{Code, Status};
use tonic_types::StatusExt as _;

/// Done, or answered.
const YES: Option<Code> = Some(Code::Ok);
/// No, to this caller.
const NO: Option<Code> = Some(Code::PermissionDenied);
/// Not as things stand.
const NAY: Option<Code> = Some(Code::FailedPrecondition);
/// They may not know that it is there.
const NIL: Option<Code> = Some(Code::NotFound);
/// Not let in by the gate; the descriptors say so, and the table agrees.
const OUT: Option<Code> = None;

/// What is answered behind the gate, in the order of [`Kind::KNOWN`].
#[rustfmt::skip]
const BEHIND: &[(&str, [Option<Code>; 8])] = &[
    // Of Ada's, which waits for an approver, or is active.          Ada  Bob  Fay  Eve  Dave Carol robot service
    ("/daypass.request.v1.RequestService/GetRequest",               [YES, YES, NIL, YES, YES, YES, NIL, NIL]),
    ("/daypass.request.v1.RequestService/WithdrawRequest",          [YES, NO,  NIL, NO,  NO,  NO,  NIL, NIL]),
    ("/daypass.activation.v1.ActivationService/GetActivation",      [YES, YES, NIL, YES, YES, YES, NIL, NIL]),
    ("/daypass.approval.v1.ApprovalService/Approve",                [NO,  YES, NIL, NO,  NO,  NO,  OUT, OUT]),
    ("/daypass.approval.v1.ApprovalService/Reject",                 [NO,  YES, NIL, NO,  NO,  NO,  OUT, OUT]),
    ("/daypass.activation.v1.ActivationService/IssueCredentials",   [YES, NO,  NIL, NO,  NO,  NO,  NIL, NIL]),
    ("/daypass.activation.v1.ActivationService/OpenConsole",        [YES, NO,  NIL, NO,  NO,  NO,  OUT, OUT]),
    ("/daypass.activation.v1.ActivationService/RevokeAccess",       [YES, YES, NIL, NO,  YES, YES, NIL, NIL]),
    // Only Ada has a rule; of a batch, each stands or falls by itself.
    ("/daypass.request.v1.RequestService/CreateRequest",            [YES, NO,  NO,  NO,  NO,  NO,  NO,  NO]),
    ("/daypass.request.v1.RequestService/CreateRequests",           [YES, YES, YES, YES, YES, YES, YES, YES]),
    // The robot is a source of signals.
    ("/daypass.request.v1.SignalService/IngestSignal",              [OUT, OUT, OUT, OUT, OUT, OUT, YES, NO ]),
    // What there is for them.
    ("/daypass.request.v1.RequestService/ListEntitlements",         [YES, YES, YES, YES, YES, YES, YES, YES]),
    ("/daypass.approval.v1.ApprovalService/ListPending",            [YES, YES, YES, YES, YES, YES, OUT, OUT]),
    ("/daypass.approval.v1.ApprovalService/WatchPending",           [YES, YES, YES, YES, YES, YES, OUT, OUT]),
    // All that there is.
    ("/daypass.request.v1.RequestService/ListRequests",             [NO,  NO,  NO,  YES, YES, YES, NO,  NO]),
    ("/daypass.request.v1.RequestService/WatchRequests",            [NO,  NO,  NO,  YES, YES, YES, NO,  NO]),
    ("/daypass.activation.v1.ActivationService/ListActive",         [NO,  NO,  NO,  YES, YES, YES, NO,  NO]),
    ("/daypass.activation.v1.ActivationService/WatchActive",        [NO,  NO,  NO,  YES, YES, YES, NO,  NO]),
    ("/daypass.activation.v1.ActivationService/GetAssignment",      [OUT, OUT, OUT, YES, YES, YES, OUT, OUT]),
    ("/daypass.activation.v1.ActivationService/Reconcile",          [OUT, OUT, OUT, OUT, YES, YES, OUT, OUT]),
    // A request needs it.
    ("/daypass.activation.v1.ActivationService/AbandonAssignment",  [OUT, OUT, OUT, OUT, NAY, NAY, OUT, OUT]),
    ("/daypass.request.v1.DirectoryService/GetDirectory",           [OUT, OUT, OUT, YES, YES, YES, OUT, YES]),
    ("/daypass.request.v1.DirectoryService/ListAccounts",           [OUT, OUT, OUT, YES, YES, YES, OUT, YES]),
    ("/daypass.request.v1.DirectoryService/ListGroups",             [OUT, OUT, OUT, YES, YES, YES, OUT, YES]),
    ("/daypass.request.v1.DirectoryService/ListPeople",             [OUT, OUT, OUT, YES, YES, YES, OUT, YES]),
    ("/daypass.request.v1.DirectoryService/ListPermissionSets",     [OUT, OUT, OUT, YES, YES, YES, OUT, YES]),
    // The policy; Carol proposed the one that waits.
    ("/daypass.approval.v1.PolicyService/GetPolicy",                [OUT, OUT, OUT, YES, YES, YES, OUT, OUT]),
    ("/daypass.approval.v1.PolicyService/ListPolicies",             [OUT, OUT, OUT, YES, YES, YES, OUT, OUT]),
    ("/daypass.approval.v1.PolicyService/ProposePolicy",            [OUT, OUT, OUT, OUT, YES, YES, OUT, OUT]),
    ("/daypass.approval.v1.PolicyService/AcceptPolicy",             [OUT, OUT, OUT, OUT, YES, NO,  OUT, OUT]),
    ("/daypass.approval.v1.PolicyService/DiscardPolicy",            [OUT, OUT, OUT, OUT, YES, YES, OUT, OUT]),
    // History.
    ("/daypass.audit.v1.AuditService/Export",                       [OUT, OUT, OUT, YES, OUT, OUT, OUT, OUT]),
    ("/daypass.audit.v1.AuditService/GetAsOf",                      [OUT, OUT, OUT, YES, OUT, OUT, OUT, OUT]),
    ("/daypass.audit.v1.AuditService/ListEvents",                   [OUT, OUT, OUT, YES, OUT, OUT, OUT, OUT]),
    ("/daypass.audit.v1.AuditService/Replay",                       [OUT, OUT, OUT, YES, OUT, OUT, OUT, OUT]),
];

/// The code and the reason of an answer.
fn verdict<A>(answer: &Result<A, Status>) -> (Code, String) {
    match answer {
        Ok(_) => (Code::Ok, String::new()),
        Err(status) => {
            let reason = status.get_details_error_info().map(|info| info.reason);
            (status.code(), reason.unwrap_or_default())
        }
    }
}

#[tokio::test(start_paused = true)]
async fn without_a_token_nothing_is_answered() {
    let house = House::new().await;
    let given = house.given().await;
    for method in METHODS {
        let message = messages::message(method, &given);
        let answer = raw::call(&house.guarded, method, Kind::Nobody, message).await;
        assert_eq!(verdict(&answer), (Code::Unauthenticated, "TOKEN_MISSING".to_owned()), "{}", method.path);
    }
}

#[tokio::test(start_paused = true)]
async fn the_gate_lets_in_whom_the_descriptor_names_and_nobody_else() {
    let house = House::new().await;
    let given = house.given().await;
    let refused = (Code::PermissionDenied, "ACCESS_DENIED".to_owned());
    for method in METHODS {
        for kind in Kind::KNOWN {
            // What is malformed is refused behind the gate: so everyone who is let in gets the same answer, and changes nothing.
            let malformed = vec![0xff];
            let answer = raw::call(&house.guarded, method, kind, malformed).await;
            let at_the_gate = verdict(&answer) == refused;
            assert_ne!(at_the_gate, kind.may_call(method), "{} as {kind:?}: {answer:?}", method.path);
            let message = messages::message(method, &given);
            if at_the_gate {
                let answer = raw::call(&house.guarded, method, kind, message).await;
                assert_eq!(verdict(&answer), refused, "{} as {kind:?}", method.path);
            }
        }
    }
}

#[tokio::test(start_paused = true)]
async fn behind_the_gate_everyone_gets_what_is_theirs() {
    let mut wrong = Vec::new();
    for (path, expected) in BEHIND {
        let method = api::method(path).unwrap();
        let house = House::new().await;
        house.give_assignment().await;
        let mut given = house.given().await;
        for (kind, expected) in Kind::KNOWN.into_iter().zip(expected) {
            assert_eq!(kind.may_call(method), expected.is_some(), "the table disagrees: {path} as {kind:?}");
            let Some(expected) = expected else { continue };
            let message = messages::message(method, &given);
            let answer = raw::call(&house.guarded, method, kind, message).await;
            let (code, reason) = verdict(&answer);
            if code != *expected || reason == "ACCESS_DENIED" {
                wrong.push(format!("{path} as {kind:?}: {expected:?} expected, but {answer:?}"));
            }
            given = if answer.is_ok() {
                house.given().await
            } else {
                messages::Given { key: house.key(), ..given }
            };
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[tokio::test(start_paused = true)]
async fn what_is_planned_says_so_to_those_who_may_call_it() {
    let house = House::new().await;
    let given = house.given().await;
    for method in METHODS.iter().filter(|method| method.planned) {
        for kind in Kind::KNOWN.into_iter().filter(|kind| kind.may_call(method)) {
            let answer = raw::call(&house.guarded, method, kind, messages::message(method, &given)).await;
            assert_eq!(verdict(&answer).0, Code::Unimplemented, "{} as {kind:?}: {answer:?}", method.path);
        }
    }
}

#[test]
fn the_table_has_every_method_that_is_served() {
    let served = METHODS.iter().filter(|method| !method.planned).map(|method| method.path);
    let listed: BTreeSet<&str> = BEHIND.iter().map(|(path, _)| *path).collect();
    assert_eq!(listed, served.collect::<BTreeSet<&str>>());
    assert_eq!(listed.len(), BEHIND.len(), "a method is listed twice");
    // Everyone has something to say somewhere, and nothing is open to nobody.
    let anyone = |method: &&Method| Kind::KNOWN.iter().any(|kind| kind.may_call(method));
    assert!(METHODS.iter().all(|method| anyone(&method)));
    assert!(METHODS.iter().all(|method| !Kind::Nobody.may_call(method)));
}
