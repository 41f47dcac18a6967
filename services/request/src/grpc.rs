//! `RequestService` and `SignalService` over gRPC: one file per verb, each of them thin.

mod create_request;
mod create_requests;
mod get_request;
mod ingest_signal;
mod list_entitlements;
mod list_requests;
mod watch_requests;
mod withdraw_request;

use crate::RequestService;
use api::request::v1::{
    CreateRequestRequest, CreateRequestResponse, CreateRequestsRequest, CreateRequestsResponse,
    GetRequestRequest, GetRequestResponse, IngestSignalRequest, IngestSignalResponse,
    ListEntitlementsRequest, ListEntitlementsResponse, ListRequestsRequest, ListRequestsResponse,
    WatchRequestsRequest, WatchRequestsResponse, WithdrawRequestRequest, WithdrawRequestResponse,
};
use api::request::v1::{request_service_server, signal_service_server};
use tonic::codegen::BoxStream;
use tonic::{Request, Response, Status};

/// `ExplainRequest` is planned: the generated answer is `UNIMPLEMENTED`.
#[tonic::async_trait]
impl request_service_server::RequestService for RequestService {
    async fn create_request(
        &self,
        request: Request<CreateRequestRequest>,
    ) -> Result<Response<CreateRequestResponse>, Status> {
        create_request::call(self, request).await.map(Response::new)
    }

    async fn create_requests(
        &self,
        request: Request<CreateRequestsRequest>,
    ) -> Result<Response<CreateRequestsResponse>, Status> {
        create_requests::call(self, request).await.map(Response::new)
    }

    async fn withdraw_request(
        &self,
        request: Request<WithdrawRequestRequest>,
    ) -> Result<Response<WithdrawRequestResponse>, Status> {
        withdraw_request::call(self, request).await.map(Response::new)
    }

    async fn get_request(
        &self,
        request: Request<GetRequestRequest>,
    ) -> Result<Response<GetRequestResponse>, Status> {
        get_request::call(self, request).await.map(Response::new)
    }

    async fn list_requests(
        &self,
        request: Request<ListRequestsRequest>,
    ) -> Result<Response<ListRequestsResponse>, Status> {
        list_requests::call(self, request).await.map(Response::new)
    }

    async fn watch_requests(
        &self,
        request: Request<WatchRequestsRequest>,
    ) -> Result<Response<BoxStream<WatchRequestsResponse>>, Status> {
        watch_requests::call(self, request).await.map(Response::new)
    }

    async fn list_entitlements(
        &self,
        request: Request<ListEntitlementsRequest>,
    ) -> Result<Response<ListEntitlementsResponse>, Status> {
        list_entitlements::call(self, request).await.map(Response::new)
    }
}

#[tonic::async_trait]
impl signal_service_server::SignalService for RequestService {
    async fn ingest_signal(
        &self,
        request: Request<IngestSignalRequest>,
    ) -> Result<Response<IngestSignalResponse>, Status> {
        ingest_signal::call(self, request).await.map(Response::new)
    }
}
