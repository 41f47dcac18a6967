//! The RPCs: one verb each.

mod abandon_assignment;
mod get_activation;
mod get_assignment;
mod issue;
mod issue_credentials;
mod list_active;
mod open_console;
mod reconcile;
mod revoke_access;
mod watch_active;

use crate::ActivationService;
use crate::core::Core;
use api::activation::v1 as wire;
use api::activation::v1::activation_service_server::ActivationService as Rpcs;
use domain::{Person, RequestId, SignedDuration};
use lifecycle::Request;
use policy::{AccountFacts, Settings};
use service_runtime::Call;
use tonic::codegen::BoxStream;
use tonic::{Code, Response, Status};
use views::policy_book::{InForce, PolicyUnknown};
use views::{Story, Who, refusal};

#[tonic::async_trait]
impl Rpcs for ActivationService {
    async fn list_active(
        &self,
        request: tonic::Request<wire::ListActiveRequest>,
    ) -> Result<Response<wire::ListActiveResponse>, Status> {
        let call = service_runtime::call(&request)?.clone();
        self.core.list_active(&call, request.into_inner()).await.map(Response::new)
    }

    async fn get_activation(
        &self,
        request: tonic::Request<wire::GetActivationRequest>,
    ) -> Result<Response<wire::GetActivationResponse>, Status> {
        let call = service_runtime::call(&request)?.clone();
        self.core.get_activation(&call, request.into_inner()).await.map(Response::new)
    }

    async fn issue_credentials(
        &self,
        request: tonic::Request<wire::IssueCredentialsRequest>,
    ) -> Result<Response<wire::IssueCredentialsResponse>, Status> {
        let call = service_runtime::call(&request)?.clone();
        self.core.issue_credentials(&call, request.into_inner()).await.map(Response::new)
    }

    async fn open_console(
        &self,
        request: tonic::Request<wire::OpenConsoleRequest>,
    ) -> Result<Response<wire::OpenConsoleResponse>, Status> {
        let call = service_runtime::call(&request)?.clone();
        self.core.open_console(&call, request.into_inner()).await.map(Response::new)
    }

    async fn revoke_access(
        &self,
        request: tonic::Request<wire::RevokeAccessRequest>,
    ) -> Result<Response<wire::RevokeAccessResponse>, Status> {
        let call = service_runtime::call(&request)?.clone();
        self.core.revoke_access(&call, request.into_inner()).await.map(Response::new)
    }

    async fn get_assignment(
        &self,
        request: tonic::Request<wire::GetAssignmentRequest>,
    ) -> Result<Response<wire::GetAssignmentResponse>, Status> {
        let call = service_runtime::call(&request)?.clone();
        self.core.get_assignment(&call, request.into_inner()).await.map(Response::new)
    }

    async fn watch_active(
        &self,
        request: tonic::Request<wire::WatchActiveRequest>,
    ) -> Result<Response<BoxStream<wire::WatchActiveResponse>>, Status> {
        let call = service_runtime::call(&request)?.clone();
        watch_active::watch_active(&self.core, call, request.into_inner()).await.map(Response::new)
    }

    async fn reconcile(
        &self,
        request: tonic::Request<wire::ReconcileRequest>,
    ) -> Result<Response<wire::ReconcileResponse>, Status> {
        let call = service_runtime::call(&request)?.clone();
        self.core.reconcile(&call, request.into_inner()).await.map(Response::new)
    }

    async fn abandon_assignment(
        &self,
        request: tonic::Request<wire::AbandonAssignmentRequest>,
    ) -> Result<Response<wire::AbandonAssignmentResponse>, Status> {
        let call = service_runtime::call(&request)?.clone();
        self.core.abandon_assignment(&call, request.into_inner()).await.map(Response::new)
    }
}

impl Core {
    /// The policy in force; `None` when none was ever applied.
    async fn policy(&self) -> Result<Option<std::sync::Arc<InForce>>, Status> {
        match self.views.policy.current().await {
            Ok(in_force) => Ok(Some(in_force)),
            Err(PolicyUnknown::NeverApplied) => Ok(None),
            Err(unknown) => Err(refusal::status(&unknown)),
        }
    }

    /// The caller with everything that decisions ask about, groups as fresh as the policy wants them.
    fn who(&self, call: &Call, in_force: Option<&InForce>) -> Result<Who, Status> {
        let age_max: SignedDuration = in_force.map_or_else(
            || Settings::default().group_age_max,
            |policy| policy.compiled.settings().group_age_max,
        );
        self.views.who(&call.caller, age_max)
    }

    /// The story of a request that the caller may know of.
    fn story(&self, who: &Who, id: &RequestId, in_force: Option<&InForce>) -> Result<Story, Status> {
        let story = self
            .views
            .requests
            .get(id)
            .map_err(|error| refusal::status(&error))?
            .ok_or_else(|| refusal::not_found("request"))?;
        let decides = in_force.is_some_and(|policy| self.decides_on(who, &story.request, policy));
        if decides || views::visibility::sees(who, &story, None) {
            Ok(story)
        } else {
            Err(refusal::not_found("request"))
        }
    }

    /// Whether the caller is an approver of the request's target as the policy stands now, under any of their identities. The
    /// directory's age does not matter: ending access never waits for proof.
    fn decides_on(&self, who: &Who, request: &Request, in_force: &InForce) -> bool {
        let target = &request.raised.target;
        let Some(directory) = self.views.directory.snapshot() else { return false };
        let Some(account) = directory.account(target.account()) else { return false };
        let facts = AccountFacts { ou_path: &account.ou_path, tags: &account.tags };
        let may =
            |person: &Person| in_force.compiled.may_decide_on_target(person, &who.groups, target, facts);
        who.acting.actor.is_human() && who.acting.identities.people.iter().any(may)
    }

    /// Waits until the read model has reached the position that the caller knows of.
    async fn wait_for(&self, token: &str) -> Result<(), Status> {
        self.views.reach(token).await?;
        self.refresh().await.map_err(|fault| crate::status::fault(&fault))
    }

    /// The id of a command's event, and the digest by which another command under the same key is told.
    async fn command(
        &self,
        call: &Call,
        operation: &str,
        key: &str,
        message: &impl prost::Message,
    ) -> Result<command::Command, Status> {
        self.views.command(&call.caller, call.trace(), operation, key, &message.encode_to_vec()).await
    }
}

/// Refuses whoever is no administrator.
fn administrator(who: &Who) -> Result<(), Status> {
    if who.is_administrator {
        return Ok(());
    }
    Err(refusal::with_reason(
        Code::PermissionDenied,
        "NOT_ENTITLED",
        "only administrators may change what is kept of an assignment",
    ))
}

fn request_id(text: &str) -> Result<RequestId, Status> {
    text.parse().map_err(refusal::invalid("request_id"))
}
