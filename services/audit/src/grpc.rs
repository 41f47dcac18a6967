//! The API, one verb per file. What is declared and not served yet says so.

mod export;
mod get_as_of;
mod list_events;
mod replay;

use crate::AuditService;
use api::audit::v1 as wire;
use api::audit::v1::audit_service_server::AuditService as Rpc;
use service_runtime::status::{permission_denied, unimplemented};
use tonic::codegen::BoxStream;
use tonic::{Request, Response, Status};

/// The message behind a call that an auditor makes. The gate has checked the same by its table of methods; history is worth
/// asking twice.
fn auditors<T>(request: Request<T>) -> Result<T, Status> {
    if service_runtime::call(&request)?.roles.auditor {
        Ok(request.into_inner())
    } else {
        Err(permission_denied("ACCESS_DENIED", "only auditors may look at all of history", &[]))
    }
}

fn planned<T>(request: Request<T>) -> Status {
    auditors(request).err().unwrap_or_else(|| unimplemented("declared, and not served yet"))
}

#[tonic::async_trait]
impl Rpc for AuditService {
    async fn list_events(
        &self,
        request: Request<wire::ListEventsRequest>,
    ) -> Result<Response<wire::ListEventsResponse>, Status> {
        list_events::list_events(self, &auditors(request)?).await.map(Response::new)
    }

    async fn replay(
        &self,
        request: Request<wire::ReplayRequest>,
    ) -> Result<Response<BoxStream<wire::ReplayResponse>>, Status> {
        replay::replay(self, &auditors(request)?).await.map(Response::new)
    }

    async fn get_as_of(
        &self,
        request: Request<wire::GetAsOfRequest>,
    ) -> Result<Response<wire::GetAsOfResponse>, Status> {
        get_as_of::get_as_of(self, &auditors(request)?).await
    }

    async fn export(
        &self,
        request: Request<wire::ExportRequest>,
    ) -> Result<Response<BoxStream<wire::ExportResponse>>, Status> {
        export::export(self, &auditors(request)?).await.map(Response::new)
    }

    async fn get_tree_head(
        &self,
        request: Request<wire::GetTreeHeadRequest>,
    ) -> Result<Response<wire::GetTreeHeadResponse>, Status> {
        Err(planned(request))
    }

    async fn prove_inclusion(
        &self,
        request: Request<wire::ProveInclusionRequest>,
    ) -> Result<Response<wire::ProveInclusionResponse>, Status> {
        Err(planned(request))
    }

    async fn prove_consistency(
        &self,
        request: Request<wire::ProveConsistencyRequest>,
    ) -> Result<Response<wire::ProveConsistencyResponse>, Status> {
        Err(planned(request))
    }

    async fn list_session_activity(
        &self,
        request: Request<wire::ListSessionActivityRequest>,
    ) -> Result<Response<wire::ListSessionActivityResponse>, Status> {
        Err(planned(request))
    }

    async fn explain_decision(
        &self,
        request: Request<wire::ExplainDecisionRequest>,
    ) -> Result<Response<wire::ExplainDecisionResponse>, Status> {
        Err(planned(request))
    }
}
