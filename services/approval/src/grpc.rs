//! The RPCs, one verb a file. RPCs that are planned are not here: they answer `UNIMPLEMENTED`.

mod accept_policy;
mod approve;
mod discard_policy;
mod get_policy;
mod list_pending;
mod list_policies;
mod propose_policy;
mod reject;
mod watch_pending;

use crate::ApprovalService;
use api::approval::v1 as wire;
use api::approval::v1::{approval_service_server, policy_service_server};
use domain::{EventId, IdempotencyKey, Invalid};
use service_runtime::Call;
use tonic::codegen::BoxStream;
use tonic::{Request, Response, Status};
use views::{InForce, Who, refusal};

#[tonic::async_trait]
impl approval_service_server::ApprovalService for ApprovalService {
    async fn list_pending(
        &self,
        request: Request<wire::ListPendingRequest>,
    ) -> Result<Response<wire::ListPendingResponse>, Status> {
        let call = service_runtime::call(&request)?.clone();
        list_pending::list_pending(&self.core, &call, request.into_inner()).await.map(Response::new)
    }

    async fn watch_pending(
        &self,
        request: Request<wire::WatchPendingRequest>,
    ) -> Result<Response<BoxStream<wire::WatchPendingResponse>>, Status> {
        let call = service_runtime::call(&request)?.clone();
        watch_pending::watch_pending(&self.core, call, request.into_inner()).await.map(Response::new)
    }

    async fn approve(
        &self,
        request: Request<wire::ApproveRequest>,
    ) -> Result<Response<wire::ApproveResponse>, Status> {
        let call = service_runtime::call(&request)?.clone();
        approve::approve(&self.core, &call, request.into_inner()).await.map(Response::new)
    }

    async fn reject(
        &self,
        request: Request<wire::RejectRequest>,
    ) -> Result<Response<wire::RejectResponse>, Status> {
        let call = service_runtime::call(&request)?.clone();
        reject::reject(&self.core, &call, request.into_inner()).await.map(Response::new)
    }
}

#[tonic::async_trait]
impl policy_service_server::PolicyService for ApprovalService {
    async fn propose_policy(
        &self,
        request: Request<wire::ProposePolicyRequest>,
    ) -> Result<Response<wire::ProposePolicyResponse>, Status> {
        let call = service_runtime::call(&request)?.clone();
        propose_policy::propose_policy(&self.core, &call, request.into_inner()).await.map(Response::new)
    }

    async fn accept_policy(
        &self,
        request: Request<wire::AcceptPolicyRequest>,
    ) -> Result<Response<wire::AcceptPolicyResponse>, Status> {
        let call = service_runtime::call(&request)?.clone();
        accept_policy::accept_policy(&self.core, &call, request.into_inner()).await.map(Response::new)
    }

    async fn discard_policy(
        &self,
        request: Request<wire::DiscardPolicyRequest>,
    ) -> Result<Response<wire::DiscardPolicyResponse>, Status> {
        let call = service_runtime::call(&request)?.clone();
        discard_policy::discard_policy(&self.core, &call, request.into_inner()).await.map(Response::new)
    }

    async fn get_policy(
        &self,
        request: Request<wire::GetPolicyRequest>,
    ) -> Result<Response<wire::GetPolicyResponse>, Status> {
        get_policy::get_policy(&self.core, &request.into_inner()).await.map(Response::new)
    }

    async fn list_policies(
        &self,
        request: Request<wire::ListPoliciesRequest>,
    ) -> Result<Response<wire::ListPoliciesResponse>, Status> {
        list_policies::list_policies(&self.core, &request.into_inner()).await.map(Response::new)
    }
}

/// Who calls, under the policy in force.
async fn who(core: &crate::core::Core, call: &Call) -> Result<(std::sync::Arc<InForce>, Who), Status> {
    let in_force = core.views.policy.current().await.map_err(|why| refusal::status(&why))?;
    let who = core.views.who(&call.caller, in_force.compiled.settings().group_age_max)?;
    Ok((in_force, who))
}

fn key(text: &str) -> Result<IdempotencyKey, Status> {
    IdempotencyKey::new(text).map_err(refusal::invalid("idempotency_key"))
}

fn id<T: std::str::FromStr<Err = Invalid>>(field: &str, text: &str) -> Result<T, Status> {
    text.parse().map_err(refusal::invalid(field))
}

/// An id that may be left out.
fn event_id(field: &str, text: &str) -> Result<Option<EventId>, Status> {
    if text.is_empty() { Ok(None) } else { id(field, text).map(Some) }
}
