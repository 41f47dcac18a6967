//! Commands, given again under their keys until they are answered, and what the log must hold for each answer.

use crate::deployment::{Deployment, Service};
use crate::history;
use crate::job;
use crate::world::{Transport, World};
use api::activation::v1::activation_service_client::ActivationServiceClient;
use api::activation::v1::{IssueCredentialsRequest, RevokeAccessRequest};
use api::approval::v1::ApproveRequest;
use api::approval::v1::approval_service_client::ApprovalServiceClient;
use api::request::v1::CreateRequestRequest;
use api::request::v1::request_service_client::RequestServiceClient;
use api::types::v1::Ask;
use journal::{Event, Fact, Stream};
use std::collections::BTreeSet;
use std::time::Duration;
use tokio::time::sleep;
use tonic::{Code, Status};
use tonic_types::StatusExt as _;

/// How often a command that was not answered is given again.
const TRIES: usize = 160;
const PAUSE: Duration = Duration::from_millis(250);

/// A way to the services.
pub(crate) trait Way {
    /// Asks once, as someone, at whichever replica comes next.
    async fn attempt<T>(
        &self,
        service: Service,
        who: &str,
        ask: impl AsyncFnOnce(Transport) -> Result<T, Status>,
    ) -> Result<T, Status>;
}

/// On a connection of its own.
impl Way for (&World, &Deployment) {
    async fn attempt<T>(
        &self,
        service: Service,
        who: &str,
        ask: impl AsyncFnOnce(Transport) -> Result<T, Status>,
    ) -> Result<T, Status> {
        let (world, deployment) = self;
        ask(world.transport(deployment, service, who)).await
    }
}

/// What was answered: the request, and the stored type of the event that says so.
#[derive(Default)]
pub(crate) struct Answered {
    /// What its keys begin with.
    keys: String,
    pub(crate) raised: Vec<(&'static str, String)>,
    events: BTreeSet<(String, &'static str)>,
    /// What was handed out, and is nowhere else.
    secrets: Vec<String>,
    commands: u64,
}

impl Answered {
    /// What one of several callers is answered, who use keys of their own.
    pub(crate) fn of(caller: usize) -> Self {
        Self { keys: format!("caller-{caller}-"), ..Self::default() }
    }

    /// And what somebody else was answered.
    pub(crate) fn add(&mut self, other: Self) {
        self.raised.extend(other.raised);
        self.events.extend(other.events);
        self.secrets.extend(other.secrets);
    }

    /// Raises a request, and gives back its id.
    pub(crate) async fn raise(
        &mut self,
        way: &impl Way,
        who: &'static str,
        asked: Ask,
    ) -> Result<String, Status> {
        self.commands += 1;
        let message = CreateRequestRequest {
            idempotency_key: format!("{}load-{}", self.keys, self.commands),
            ask: Some(asked),
        };
        let answer = again(way, Service::Request, who, async |line| {
            RequestServiceClient::new(line).create_request(message.clone()).await
        });
        let id = answer.await?.into_inner().request.unwrap().request_id;
        self.raised.push((who, id.clone()));
        self.events.insert((id.clone(), "request.requested.v1"));
        Ok(id)
    }

    /// Says yes as Bob.
    pub(crate) async fn approve(&mut self, way: &impl Way, id: &str) -> Result<(), Status> {
        let message = ApproveRequest {
            idempotency_key: "load".to_owned(),
            request_id: id.to_owned(),
            comment: String::new(),
        };
        let answer = again(way, Service::Approval, "bob", async |line| {
            ApprovalServiceClient::new(line).approve(message.clone()).await
        });
        answer.await?;
        self.events.insert((id.to_owned(), "request.approved.v1"));
        Ok(())
    }

    /// Ends it early. Says whether it was not over before.
    pub(crate) async fn revoke(&mut self, way: &impl Way, who: &str, id: &str) -> Result<bool, Status> {
        let message = RevokeAccessRequest {
            idempotency_key: "load".to_owned(),
            request_id: id.to_owned(),
            comment: String::new(),
        };
        let answer = again(way, Service::Activation, who, async |line| {
            ActivationServiceClient::new(line).revoke_access(message.clone()).await
        });
        match answer.await {
            Ok(_) => self.events.insert((id.to_owned(), "request.revoked.v1")),
            // Over by itself before it could be revoked.
            Err(status) if status.code() == Code::FailedPrecondition => return Ok(false),
            Err(status) => return Err(status),
        };
        Ok(true)
    }

    /// Asks for credentials. Says whether they came: those that were lost on their way nobody gets under the same key.
    pub(crate) async fn issue(
        &mut self,
        way: &impl Way,
        who: &str,
        id: &str,
        key: &str,
    ) -> Result<bool, Status> {
        let message = IssueCredentialsRequest {
            idempotency_key: key.to_owned(),
            request_id: id.to_owned(),
            duration: None,
        };
        let answer = again(way, Service::Activation, who, async |line| {
            ActivationServiceClient::new(line).issue_credentials(message.clone()).await
        });
        let came = match answer.await {
            Ok(answer) => {
                let issued = answer.into_inner();
                self.secrets.extend([issued.secret_access_key, issued.session_token]);
                true
            }
            Err(status) if is_issued_already(&status) => false,
            Err(status) => return Err(status),
        };
        self.events.insert((id.to_owned(), "request.credentials_issued.v1"));
        Ok(came)
    }

    /// The same while access may not have begun yet, or be over already.
    pub(crate) async fn issue_if_active(
        &mut self,
        way: &impl Way,
        who: &str,
        id: &str,
        key: &str,
    ) -> Result<(), Status> {
        match self.issue(way, who, id, key).await {
            Err(status) if status.code() != Code::FailedPrecondition => Err(status),
            Ok(_) | Err(_) => Ok(()),
        }
    }

    /// Whether any credentials came.
    pub(crate) fn was_lent(&self) -> bool {
        !self.secrets.is_empty()
    }

    pub(crate) fn was_revoked(&self, id: &str) -> bool {
        self.events.contains(&(id.to_owned(), "request.revoked.v1"))
    }

    /// What auditors export has everything that was answered, and nothing of what is confidential, and breaks none of the invariants
    /// that a log can show.
    pub(crate) async fn is_in_the_log(&self, world: &World, deployment: &Deployment) -> Vec<Event> {
        let exported = history::export(world, deployment).await;
        let mut confidential = self.secrets.clone();
        confidential.push(job::WHY.to_owned());
        let events = simulation::history::check(exported.iter().map(Vec::as_slice), &confidential)
            .unwrap_or_else(|violation| panic!("{violation}"));
        let there: BTreeSet<(String, &str)> = events.iter().filter_map(about).collect();
        let lost: Vec<_> = self.events.difference(&there).collect();
        assert!(lost.is_empty(), "S5: answered, and not in the log: {lost:?}");
        let raised = there.iter().filter(|(_, name)| *name == "request.requested.v1").count();
        assert_eq!(raised, self.raised.len(), "a key is one request, however often it is asked with");
        events
    }
}

fn about(event: &Event) -> Option<(String, &'static str)> {
    match (&event.stream, &event.fact) {
        (Stream::Request(id), Fact::Request(_)) => {
            Some((id.to_string(), journal::types::type_name(&event.fact)))
        }
        _ => None,
    }
}

fn is_issued_already(status: &Status) -> bool {
    status.get_details_error_info().is_some_and(|info| info.reason == "ISSUED_ALREADY")
}

/// Until there is an answer: done, or a no that will stay one.
async fn again<T>(
    way: &impl Way,
    service: Service,
    who: &str,
    mut ask: impl AsyncFnMut(Transport) -> Result<T, Status>,
) -> Result<T, Status> {
    let mut tried = 0;
    loop {
        tried += 1;
        match way.attempt(service, who, &mut ask).await {
            Err(status) if tried < TRIES && !is_final(status.code()) => sleep(PAUSE).await,
            answer => return answer,
        }
    }
}

/// `NOT_FOUND` is not: the replica that was asked may be a moment behind.
fn is_final(code: Code) -> bool {
    match code {
        Code::InvalidArgument
        | Code::FailedPrecondition
        | Code::PermissionDenied
        | Code::Unauthenticated
        | Code::AlreadyExists
        | Code::ResourceExhausted
        | Code::OutOfRange
        | Code::Unimplemented
        | Code::DataLoss => true,
        Code::Ok
        | Code::Unavailable
        | Code::Unknown
        | Code::Cancelled
        | Code::DeadlineExceeded
        | Code::Aborted
        | Code::Internal
        | Code::NotFound => false,
    }
}
