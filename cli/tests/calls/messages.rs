//! For every method a message that is well formed, and about something that is there.

use api::activation::v1 as activation;
use api::approval::v1 as approval;
use api::audit::v1 as audit;
use api::request::v1 as request;
use api::types::v1 as wire;
use aws::simulated::sample;
use prost::Message as _;
use prost_types::{Duration, Timestamp};

/// What there is before a call.
#[derive(Clone, Debug)]
pub(crate) struct Given {
    /// A request of Ada's that waits for an approver.
    pub(crate) pending: String,
    /// A request of Ada's for a role; it is active.
    pub(crate) role: String,
    /// A policy that Carol proposed.
    pub(crate) proposal: String,
    /// The policy in force.
    pub(crate) policy: approval::PolicyRecord,
    /// A key that was never used.
    pub(crate) key: String,
}

/// Ada's ask for `ReadOnly` in an account.
pub(crate) fn read_only(account: &str) -> wire::Ask {
    ask(account, sample::READ_ONLY.to_owned())
}

/// Ada's ask for a role of an account.
pub(crate) fn role(account: &str) -> wire::Ask {
    ask(account, sample::role(account, "ReadOnly").unwrap().to_string())
}

fn ask(account: &str, entitlement_arn: String) -> wire::Ask {
    wire::Ask {
        target: Some(wire::Target { account_id: account.to_owned(), entitlement_arn }),
        window: Some(wire::AskedWindow {
            start: None,
            duration: Some(Duration { seconds: 1_800, nanos: 0 }),
        }),
        justification: "the pager went off".to_owned(),
        ..wire::Ask::default()
    }
}

/// The policy in force, with another description: nobody has proposed that before, and it changes nothing for Ada.
pub(crate) fn proposal(key: String, in_force: &approval::PolicyRecord) -> approval::ProposePolicyRequest {
    let mut policy = in_force.policy.clone().unwrap();
    policy.rules.first_mut().unwrap().description.clone_from(&key);
    approval::ProposePolicyRequest {
        idempotency_key: key,
        base_event_id: in_force.policy_event_id.clone(),
        policy: Some(policy),
        source_digest: Vec::new(),
    }
}

/// The assignment that Ada holds.
fn assignment() -> activation::AssignmentKey {
    activation::AssignmentKey {
        principal_id: sample::ADA.to_owned(),
        target: read_only(sample::PAYMENTS_PROD).target,
    }
}

fn everything() -> request::RequestFilter {
    request::RequestFilter { scope: request::RequestScope::All.into(), ..request::RequestFilter::default() }
}

/// The message for `method`; of lists, all that there is.
pub(crate) fn message(method: &api::Method, given: &Given) -> Vec<u8> {
    let made = match method.service {
        "daypass.activation.v1.ActivationService" => of_activation(method.name, given),
        "daypass.approval.v1.ApprovalService" => of_approval(method.name, given),
        "daypass.approval.v1.PolicyService" => of_policy(method.name, given),
        "daypass.audit.v1.AuditService" => of_audit(method.name, given),
        "daypass.request.v1.DirectoryService" => of_directory(method.name),
        "daypass.request.v1.RequestService" => of_request(method.name, given),
        "daypass.request.v1.SignalService" => of_signal(method.name, given),
        _ => None,
    };
    made.unwrap_or_else(|| panic!("{} has no message here: say what a good call of it is", method.path))
}

fn of_activation(method: &str, given: &Given) -> Option<Vec<u8>> {
    let key = || given.key.clone();
    Some(match method {
        "AbandonAssignment" => {
            let key = Some(assignment());
            activation::AbandonAssignmentRequest {
                idempotency_key: given.key.clone(),
                key,
                comment: String::new(),
            }
            .encode_to_vec()
        }
        "GetActivation" => activation::GetActivationRequest {
            request_id: given.role.clone(),
            ..activation::GetActivationRequest::default()
        }
        .encode_to_vec(),
        "GetAssignment" => {
            activation::GetAssignmentRequest { key: Some(assignment()), wait_for_position: String::new() }
                .encode_to_vec()
        }
        "IssueCredentials" => activation::IssueCredentialsRequest {
            idempotency_key: key(),
            request_id: given.role.clone(),
            duration: None,
        }
        .encode_to_vec(),
        "ListActive" => activation::ListActiveRequest {
            scope: activation::ActiveScope::All.into(),
            ..activation::ListActiveRequest::default()
        }
        .encode_to_vec(),
        "OpenConsole" => activation::OpenConsoleRequest {
            idempotency_key: key(),
            request_id: given.role.clone(),
            destination: String::new(),
        }
        .encode_to_vec(),
        "Reconcile" => {
            activation::ReconcileRequest { idempotency_key: key(), ..activation::ReconcileRequest::default() }
                .encode_to_vec()
        }
        "RevokeAccess" => activation::RevokeAccessRequest {
            idempotency_key: key(),
            request_id: given.role.clone(),
            comment: String::new(),
        }
        .encode_to_vec(),
        "WatchActive" => activation::WatchActiveRequest {
            scope: activation::ActiveScope::All.into(),
            wait_for_position: String::new(),
        }
        .encode_to_vec(),
        _ => return None,
    })
}

fn of_approval(method: &str, given: &Given) -> Option<Vec<u8>> {
    let key = || given.key.clone();
    let pending = || given.pending.clone();
    Some(match method {
        "Approve" => approval::ApproveRequest {
            idempotency_key: key(),
            request_id: pending(),
            comment: "fine".to_owned(),
        }
        .encode_to_vec(),
        "ListPending" => approval::ListPendingRequest::default().encode_to_vec(),
        "Reject" => approval::RejectRequest {
            idempotency_key: key(),
            request_id: pending(),
            comment: "not now".to_owned(),
        }
        .encode_to_vec(),
        "ReviewAfterTheFact" => approval::ReviewAfterTheFactRequest {
            idempotency_key: key(),
            request_id: pending(),
            verdict: wire::Verdict::Justified.into(),
            comment: String::new(),
        }
        .encode_to_vec(),
        "WatchPending" => approval::WatchPendingRequest::default().encode_to_vec(),
        _ => return None,
    })
}

fn of_policy(method: &str, given: &Given) -> Option<Vec<u8>> {
    let key = || given.key.clone();
    let policy = || given.policy.policy.clone();
    Some(match method {
        "AcceptPolicy" => approval::AcceptPolicyRequest {
            idempotency_key: key(),
            proposal_event_id: given.proposal.clone(),
        }
        .encode_to_vec(),
        "BacktestPolicy" => {
            approval::BacktestPolicyRequest { policy: policy(), from: None, to: None }.encode_to_vec()
        }
        "CheckPolicy" => approval::CheckPolicyRequest { policy: policy() }.encode_to_vec(),
        "DiscardPolicy" => approval::DiscardPolicyRequest {
            idempotency_key: key(),
            proposal_event_id: given.proposal.clone(),
        }
        .encode_to_vec(),
        "GetPolicy" => approval::GetPolicyRequest::default().encode_to_vec(),
        "ListPolicies" => approval::ListPoliciesRequest::default().encode_to_vec(),
        "PlanPolicy" => approval::PlanPolicyRequest { policy: policy() }.encode_to_vec(),
        "ProposePolicy" => proposal(key(), &given.policy).encode_to_vec(),
        _ => return None,
    })
}

fn of_audit(method: &str, given: &Given) -> Option<Vec<u8>> {
    let pending = || given.pending.clone();
    Some(match method {
        "ExplainDecision" => audit::ExplainDecisionRequest { request_id: pending() }.encode_to_vec(),
        "Export" => audit::ExportRequest {
            format: audit::ExportFormat::JsonLines.into(),
            ..audit::ExportRequest::default()
        }
        .encode_to_vec(),
        "GetAsOf" => audit::GetAsOfRequest {
            at: Some(audit::Place {
                place: Some(audit::place::Place::Time(Timestamp { seconds: 1_800_000_000, nanos: 0 })),
            }),
            ..audit::GetAsOfRequest::default()
        }
        .encode_to_vec(),
        "GetTreeHead" => audit::GetTreeHeadRequest {}.encode_to_vec(),
        "ListEvents" => audit::ListEventsRequest::default().encode_to_vec(),
        "ListSessionActivity" => audit::ListSessionActivityRequest {
            request_id: pending(),
            page_size: 0,
            page_token: String::new(),
        }
        .encode_to_vec(),
        "ProveConsistency" => audit::ProveConsistencyRequest { from_size: 1, to_size: 2 }.encode_to_vec(),
        "ProveInclusion" => {
            audit::ProveInclusionRequest { event_id: given.policy.policy_event_id.clone(), tree_size: 1 }
                .encode_to_vec()
        }
        "Replay" => audit::ReplayRequest::default().encode_to_vec(),
        _ => return None,
    })
}

fn of_directory(method: &str) -> Option<Vec<u8>> {
    Some(match method {
        "GetDirectory" => request::GetDirectoryRequest::default().encode_to_vec(),
        "ListAccounts" => request::ListAccountsRequest::default().encode_to_vec(),
        "ListGroups" => request::ListGroupsRequest::default().encode_to_vec(),
        "ListPeople" => request::ListPeopleRequest::default().encode_to_vec(),
        "ListPermissionSets" => request::ListPermissionSetsRequest::default().encode_to_vec(),
        _ => return None,
    })
}

fn of_request(method: &str, given: &Given) -> Option<Vec<u8>> {
    let key = || given.key.clone();
    let pending = || given.pending.clone();
    Some(match method {
        "CreateRequest" => {
            request::CreateRequestRequest { idempotency_key: key(), ask: Some(read_only(sample::WEB_PROD)) }
                .encode_to_vec()
        }
        "CreateRequests" => request::CreateRequestsRequest {
            idempotency_key: key(),
            asks: vec![read_only(sample::WEB_PROD), role(sample::WEB_PROD)],
        }
        .encode_to_vec(),
        "ExplainRequest" => request::ExplainRequestRequest {
            ask: Some(read_only(sample::WEB_PROD)),
            wait_for_position: String::new(),
        }
        .encode_to_vec(),
        "GetRequest" => request::GetRequestRequest {
            request_id: pending(),
            with_timeline: true,
            wait_for_position: String::new(),
        }
        .encode_to_vec(),
        "ListEntitlements" => request::ListEntitlementsRequest::default().encode_to_vec(),
        "ListRequests" => request::ListRequestsRequest {
            filter: Some(everything()),
            ..request::ListRequestsRequest::default()
        }
        .encode_to_vec(),
        "WatchRequests" => {
            request::WatchRequestsRequest { filter: Some(everything()), wait_for_position: String::new() }
                .encode_to_vec()
        }
        "WithdrawRequest" => {
            request::WithdrawRequestRequest { idempotency_key: key(), request_id: pending() }.encode_to_vec()
        }
        _ => return None,
    })
}

fn of_signal(method: &str, given: &Given) -> Option<Vec<u8>> {
    let key = || given.key.clone();
    Some(match method {
        "IngestSignal" => request::IngestSignalRequest {
            idempotency_key: key(),
            source: "hr".to_owned(),
            source_id: given.key.clone(),
            kind: request::SignalKind::PersonLeft.into(),
            about: Some(wire::Person {
                issuer: crate::callers::ISSUER.to_owned(),
                subject: "nobody-else".to_owned(),
            }),
            occurred_at: Some(Timestamp { seconds: 1_800_000_000, nanos: 0 }),
            ..request::IngestSignalRequest::default()
        }
        .encode_to_vec(),
        _ => return None,
    })
}
