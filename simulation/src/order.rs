//! What people do: commands with idempotency keys, given to the services through their gRPC clients, and what was answered.

use crate::process::Process;
use api::activation::v1 as activation;
use api::activation::v1::activation_service_client::ActivationServiceClient;
use api::approval::v1 as approval;
use api::approval::v1::approval_service_client::ApprovalServiceClient;
use api::approval::v1::policy_service_client::PolicyServiceClient;
use api::audit::v1 as audit;
use api::audit::v1::audit_service_client::AuditServiceClient;
use api::request::v1 as request;
use api::request::v1::request_service_client::RequestServiceClient;
use api::types::v1::{Ask, Target};
use aws::AssignmentKey;
use domain::{EventId, RequestId};
use tonic::{Request, Status};
use tonic_types::StatusExt as _;

/// In everything that people write in confidence; must be in no event.
pub(crate) const CANARY: &str = "CANARY-in-confidence";

/// One command.
#[derive(Clone, Debug)]
pub(crate) enum Command {
    Create(Ask),
    CreateBatch(Vec<Ask>),
    Withdraw(RequestId),
    Approve(RequestId),
    Reject(RequestId),
    Revoke(RequestId),
    Issue(RequestId),
    OpenConsole(RequestId),
    Propose {
        policy: approval::Policy,
        base: Option<EventId>,
        what: &'static str,
    },
    Accept(EventId),
    Discard(EventId),
    GetPolicy,
    /// What cannot be removed is given up.
    Abandon(AssignmentKey),
    /// AWS is looked at now: one assignment, or everything.
    Reconcile(Option<AssignmentKey>),
    Get(RequestId),
    ListOwn,
    ListPending,
    ListEvents,
}

/// A command by someone, under a key that makes its repetition the same command.
#[derive(Clone, Debug)]
pub(crate) struct Order {
    pub(crate) who: &'static str,
    /// Whether they sign in with capital letters.
    pub(crate) in_capitals: bool,
    pub(crate) key: String,
    pub(crate) command: Command,
}

/// What was answered.
#[derive(Debug, Default)]
pub(crate) struct Answer {
    pub(crate) words: String,
    /// The request that it is about, where the command made one.
    pub(crate) created: Option<RequestId>,
    /// The request that was shown, and its status.
    pub(crate) shown: Option<(RequestId, String)>,
    /// What was handed out: the access key of credentials or the issue of a console session, and what must stay secret.
    pub(crate) handed_out: Option<(String, Vec<String>)>,
    /// The assignment that was shown, and the requests that it is said to be there for.
    pub(crate) assignment: Option<(AssignmentKey, Vec<RequestId>)>,
    /// The policy in force.
    pub(crate) policy: Option<approval::Policy>,
    /// The call failed in a way that no caller and no fault explains.
    pub(crate) inexplicable: bool,
}

impl Answer {
    fn done() -> Self {
        Self { words: "done".to_owned(), ..Self::default() }
    }

    fn refused(status: &Status) -> Self {
        use tonic::Code;
        let reason =
            status.get_details_error_info().map_or_else(|| status.message().to_owned(), |info| info.reason);
        let fields = status.get_details_bad_request().map_or_else(Vec::new, |bad| bad.field_violations);
        let fields: Vec<String> =
            fields.into_iter().map(|field| format!(" {}: {}", field.field, field.description)).collect();
        Self {
            words: format!("{:?} {reason}{}", status.code(), fields.concat()),
            inexplicable: matches!(
                status.code(),
                Code::Internal | Code::Unknown | Code::DataLoss | Code::Unimplemented
            ),
            ..Self::default()
        }
    }

    fn of_request(shown: Option<&api::types::v1::Request>, created: bool) -> Self {
        let Some(shown) = shown else { return Self { inexplicable: true, ..Self::done() } };
        let words = shown.status().as_str_name().trim_start_matches("REQUEST_STATUS_").to_lowercase();
        let id = shown.request_id.parse().ok();
        let shown = id.map(|id| (id, words.clone()));
        Self { words, created: id.filter(|_| created), shown, ..Self::default() }
    }
}

impl Order {
    /// Carries it out at `process`.
    pub(crate) async fn perform(self, process: Process) -> Answer {
        self.ask(&process).await.unwrap_or_else(|status| Answer::refused(&status))
    }

    fn request<T>(&self, message: T) -> Request<T> {
        let mut request = Request::new(message);
        let name = if self.in_capitals { self.who.to_uppercase() } else { self.who.to_owned() };
        if let Ok(token) = format!("Bearer {name}").parse() {
            request.metadata_mut().insert("authorization", token);
        }
        request
    }

    async fn ask(&self, process: &Process) -> Result<Answer, Status> {
        match &self.command {
            Command::Create(ask) => self.create(process, ask).await,
            Command::CreateBatch(asks) => self.create_batch(process, asks).await,
            Command::Withdraw(id) => self.withdraw(process, id).await,
            Command::Approve(id) => self.approve(process, id).await,
            Command::Reject(id) => self.reject(process, id).await,
            Command::Revoke(id) => self.revoke(process, id).await,
            Command::Issue(id) => self.issue(process, id).await,
            Command::OpenConsole(id) => self.open_console(process, id).await,
            Command::Abandon(key) => self.abandon(process, key).await,
            Command::Reconcile(key) => self.reconcile(process, key.as_ref()).await,
            Command::Propose { policy, base, .. } => self.propose(process, policy, *base).await,
            Command::Accept(proposal) => self.accept(process, proposal).await,
            Command::Discard(proposal) => self.discard(process, proposal).await,
            Command::GetPolicy => self.get_policy(process).await,
            Command::Get(id) => self.get(process, id).await,
            Command::ListOwn => self.list_own(process).await,
            Command::ListPending => self.list_pending(process).await,
            Command::ListEvents => self.list_events(process).await,
        }
    }

    async fn create(&self, process: &Process, ask: &Ask) -> Result<Answer, Status> {
        let message =
            request::CreateRequestRequest { idempotency_key: self.key.clone(), ask: Some(ask.clone()) };
        let mut client = RequestServiceClient::new(process.requests.clone());
        let answer = client.create_request(self.request(message)).await?.into_inner();
        Ok(Answer::of_request(answer.request.as_ref(), true))
    }

    async fn create_batch(&self, process: &Process, asks: &[Ask]) -> Result<Answer, Status> {
        let message =
            request::CreateRequestsRequest { idempotency_key: self.key.clone(), asks: asks.to_vec() };
        let mut client = RequestServiceClient::new(process.requests.clone());
        let answer = client.create_requests(self.request(message)).await?.into_inner();
        let words = answer.results.iter().map(|result| match &result.problem {
            Some(problem) => problem.reason.clone(),
            None => "requested".to_owned(),
        });
        Ok(Answer { words: words.collect::<Vec<_>>().join(", "), ..Answer::default() })
    }

    async fn withdraw(&self, process: &Process, id: &RequestId) -> Result<Answer, Status> {
        let message =
            request::WithdrawRequestRequest { idempotency_key: self.key.clone(), request_id: id.to_string() };
        let mut client = RequestServiceClient::new(process.requests.clone());
        let answer = client.withdraw_request(self.request(message)).await?.into_inner();
        Ok(Answer::of_request(answer.request.as_ref(), false))
    }

    async fn get(&self, process: &Process, id: &RequestId) -> Result<Answer, Status> {
        let message = request::GetRequestRequest {
            request_id: id.to_string(),
            with_timeline: true,
            ..request::GetRequestRequest::default()
        };
        let mut client = RequestServiceClient::new(process.requests.clone());
        let answer = client.get_request(self.request(message)).await?.into_inner();
        Ok(Answer::of_request(answer.request.as_ref(), false))
    }

    async fn list_own(&self, process: &Process) -> Result<Answer, Status> {
        let filter = request::RequestFilter {
            scope: request::RequestScope::Own.into(),
            ..request::RequestFilter::default()
        };
        let message =
            request::ListRequestsRequest { filter: Some(filter), ..request::ListRequestsRequest::default() };
        let mut client = RequestServiceClient::new(process.requests.clone());
        let answer = client.list_requests(self.request(message)).await?.into_inner();
        Ok(Answer { words: format!("{} requests", answer.requests.len()), ..Answer::default() })
    }

    async fn approve(&self, process: &Process, id: &RequestId) -> Result<Answer, Status> {
        let message = approval::ApproveRequest {
            idempotency_key: self.key.clone(),
            request_id: id.to_string(),
            comment: CANARY.to_owned(),
        };
        let mut client = ApprovalServiceClient::new(process.approvals.clone());
        let answer = client.approve(self.request(message)).await?.into_inner();
        Ok(Answer::of_request(answer.request.as_ref(), false))
    }

    async fn reject(&self, process: &Process, id: &RequestId) -> Result<Answer, Status> {
        let message = approval::RejectRequest {
            idempotency_key: self.key.clone(),
            request_id: id.to_string(),
            comment: CANARY.to_owned(),
        };
        let mut client = ApprovalServiceClient::new(process.approvals.clone());
        let answer = client.reject(self.request(message)).await?.into_inner();
        Ok(Answer::of_request(answer.request.as_ref(), false))
    }

    async fn list_pending(&self, process: &Process) -> Result<Answer, Status> {
        let mut client = ApprovalServiceClient::new(process.approvals.clone());
        let answer = client.list_pending(self.request(approval::ListPendingRequest::default())).await?;
        Ok(Answer { words: format!("{} pending", answer.into_inner().pending.len()), ..Answer::default() })
    }

    async fn revoke(&self, process: &Process, id: &RequestId) -> Result<Answer, Status> {
        let message = activation::RevokeAccessRequest {
            idempotency_key: self.key.clone(),
            request_id: id.to_string(),
            comment: CANARY.to_owned(),
        };
        let mut client = ActivationServiceClient::new(process.activations.clone());
        let answer = client.revoke_access(self.request(message)).await?.into_inner();
        Ok(Answer::of_request(answer.request.as_ref(), false))
    }

    async fn issue(&self, process: &Process, id: &RequestId) -> Result<Answer, Status> {
        let message = activation::IssueCredentialsRequest {
            idempotency_key: self.key.clone(),
            request_id: id.to_string(),
            duration: None,
        };
        let mut client = ActivationServiceClient::new(process.activations.clone());
        let answer = client.issue_credentials(self.request(message)).await?.into_inner();
        Ok(Answer {
            words: format!("credentials {}", answer.access_key_id),
            handed_out: Some((answer.access_key_id, vec![answer.secret_access_key, answer.session_token])),
            ..Answer::default()
        })
    }

    async fn open_console(&self, process: &Process, id: &RequestId) -> Result<Answer, Status> {
        let message = activation::OpenConsoleRequest {
            idempotency_key: self.key.clone(),
            request_id: id.to_string(),
            destination: String::new(),
        };
        let mut client = ActivationServiceClient::new(process.activations.clone());
        let answer = client.open_console(self.request(message)).await?.into_inner();
        let token = answer.sign_in_url.rsplit_once("SigninToken=").map(|(_, token)| token.to_owned());
        Ok(Answer {
            words: format!("console session {}", answer.issue_id),
            handed_out: Some((answer.issue_id, token.into_iter().collect())),
            ..Answer::default()
        })
    }

    async fn abandon(&self, process: &Process, key: &AssignmentKey) -> Result<Answer, Status> {
        let message = activation::AbandonAssignmentRequest {
            idempotency_key: self.key.clone(),
            key: Some(sent(key)),
            comment: CANARY.to_owned(),
        };
        let mut client = ActivationServiceClient::new(process.activations.clone());
        let answer = client.abandon_assignment(self.request(message)).await?.into_inner();
        let words = if answer.second_person_needed { "a second person is needed" } else { "given up" };
        Ok(Answer { words: words.to_owned(), ..Answer::default() })
    }

    async fn reconcile(&self, process: &Process, key: Option<&AssignmentKey>) -> Result<Answer, Status> {
        let message = activation::ReconcileRequest {
            idempotency_key: self.key.clone(),
            key: key.map(sent),
            adopt: false,
        };
        let mut client = ActivationServiceClient::new(process.activations.clone());
        let answer = client.reconcile(self.request(message)).await?.into_inner();
        let Some(key) = key else {
            let words = format!("{} assignments are looked at", answer.assignments);
            return Ok(Answer { words, ..Answer::default() });
        };
        let Some(shown) = answer.assignment else {
            return Ok(Answer { words: "nothing is known of it".to_owned(), ..Answer::default() });
        };
        let state = shown.state().as_str_name().trim_start_matches("ASSIGNMENT_STATE_").to_lowercase();
        let requests = shown.request_ids.iter().filter_map(|id| id.parse().ok()).collect();
        Ok(Answer { words: state, assignment: Some((key.clone(), requests)), ..Answer::default() })
    }

    async fn propose(
        &self,
        process: &Process,
        policy: &approval::Policy,
        base: Option<EventId>,
    ) -> Result<Answer, Status> {
        let message = approval::ProposePolicyRequest {
            idempotency_key: self.key.clone(),
            base_event_id: base.map(|base| base.to_string()).unwrap_or_default(),
            policy: Some(policy.clone()),
            source_digest: Vec::new(),
        };
        let mut client = PolicyServiceClient::new(process.approvals.clone());
        client.propose_policy(self.request(message)).await?;
        Ok(Answer::done())
    }

    async fn accept(&self, process: &Process, proposal: &EventId) -> Result<Answer, Status> {
        let message = approval::AcceptPolicyRequest {
            idempotency_key: self.key.clone(),
            proposal_event_id: proposal.to_string(),
        };
        let mut client = PolicyServiceClient::new(process.approvals.clone());
        client.accept_policy(self.request(message)).await?;
        Ok(Answer::done())
    }

    async fn discard(&self, process: &Process, proposal: &EventId) -> Result<Answer, Status> {
        let message = approval::DiscardPolicyRequest {
            idempotency_key: self.key.clone(),
            proposal_event_id: proposal.to_string(),
        };
        let mut client = PolicyServiceClient::new(process.approvals.clone());
        client.discard_policy(self.request(message)).await?;
        Ok(Answer::done())
    }

    async fn get_policy(&self, process: &Process) -> Result<Answer, Status> {
        let mut client = PolicyServiceClient::new(process.approvals.clone());
        let answer = client.get_policy(self.request(approval::GetPolicyRequest::default())).await?;
        let policy = answer.into_inner().record.and_then(|record| record.policy);
        Ok(Answer { policy, ..Answer::done() })
    }

    async fn list_events(&self, process: &Process) -> Result<Answer, Status> {
        let mut client = AuditServiceClient::new(process.history.clone());
        let answer = client.list_events(self.request(audit::ListEventsRequest::default())).await?;
        Ok(Answer { words: format!("{} events", answer.into_inner().events.len()), ..Answer::default() })
    }
}

/// An assignment as it is sent.
fn sent(key: &AssignmentKey) -> activation::AssignmentKey {
    let target =
        Target { account_id: key.account().to_string(), entitlement_arn: key.entitlement().arn().to_owned() };
    activation::AssignmentKey { principal_id: key.principal().to_string(), target: Some(target) }
}
