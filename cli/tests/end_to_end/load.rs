//! Commands, given again under their keys until they are answered, and what the log must hold for each answer.

use crate::deployment::Deployment;
use crate::history;
use crate::job;
use crate::world::World;
use api::activation::v1::RevokeAccessRequest;
use api::approval::v1::ApproveRequest;
use api::request::v1::CreateRequestRequest;
use domain::SignedDuration;
use journal::{Event, Fact, Stream};
use std::collections::BTreeSet;
use std::time::Duration;
use tokio::time::sleep;
use tonic::{Code, Status};

/// How often a command that was not answered is given again.
const TRIES: usize = 160;
const PAUSE: Duration = Duration::from_millis(250);

/// What was answered: the request, and the stored type of the event that says so.
#[derive(Default)]
pub(crate) struct Answered {
    pub(crate) raised: Vec<(&'static str, String)>,
    events: BTreeSet<(String, &'static str)>,
    commands: u64,
}

impl Answered {
    /// Raises a request, and gives back its id.
    pub(crate) async fn raise(
        &mut self,
        (world, deployment): (&World, &Deployment),
        who: &'static str,
        (account, set): (&str, &str),
        length: SignedDuration,
    ) -> String {
        self.commands += 1;
        let message = CreateRequestRequest {
            idempotency_key: format!("load-{}", self.commands),
            ask: Some(job::ask(account, set, length)),
        };
        let answer =
            again(deployment, async || world.requests(deployment, who).create_request(message.clone()).await);
        let answer = answer.await.unwrap_or_else(|status| panic!("{status}\n{}", deployment.log_tail()));
        let id = answer.into_inner().request.unwrap().request_id;
        self.raised.push((who, id.clone()));
        self.events.insert((id.clone(), "request.requested.v1"));
        id
    }

    /// Says yes as Bob.
    pub(crate) async fn approve(&mut self, (world, deployment): (&World, &Deployment), id: &str) {
        let message = ApproveRequest {
            idempotency_key: "load".to_owned(),
            request_id: id.to_owned(),
            comment: String::new(),
        };
        let answer =
            again(deployment, async || world.approvals(deployment, "bob").approve(message.clone()).await);
        answer.await.unwrap_or_else(|status| panic!("{status}\n{}", deployment.log_tail()));
        self.events.insert((id.to_owned(), "request.approved.v1"));
    }

    /// Ends it early. Says whether it was not over before.
    pub(crate) async fn revoke(
        &mut self,
        (world, deployment): (&World, &Deployment),
        who: &str,
        id: &str,
    ) -> bool {
        let message = RevokeAccessRequest {
            idempotency_key: "load".to_owned(),
            request_id: id.to_owned(),
            comment: String::new(),
        };
        let answer = again(deployment, async || {
            world.activations(deployment, who).revoke_access(message.clone()).await
        });
        match answer.await {
            Ok(_) => self.events.insert((id.to_owned(), "request.revoked.v1")),
            // Over by itself before it could be revoked.
            Err(status) if status.code() == Code::FailedPrecondition => return false,
            Err(status) => panic!("{status}\n{}", deployment.log_tail()),
        };
        true
    }

    pub(crate) fn was_revoked(&self, id: &str) -> bool {
        self.events.contains(&(id.to_owned(), "request.revoked.v1"))
    }

    /// What auditors export has everything that was answered, and breaks none of the invariants that a log can show.
    pub(crate) async fn is_in_the_log(&self, world: &World, deployment: &Deployment) -> Vec<Event> {
        let exported = history::export(world, deployment).await;
        let events = simulation::history::check(exported.iter().map(Vec::as_slice))
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

/// Until there is an answer: done, or a no that will stay one.
async fn again<T>(
    deployment: &Deployment,
    mut ask: impl AsyncFnMut() -> Result<T, Status>,
) -> Result<T, Status> {
    for _ in 0..TRIES {
        match ask().await {
            Err(status) if !is_final(status.code()) => sleep(PAUSE).await,
            answer => return answer,
        }
    }
    panic!("nobody answered:\n{}", deployment.log_tail());
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
