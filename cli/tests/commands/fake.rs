//! A server of all APIs that answers each method as the test tells it, and remembers what it was asked.

use api::{
    activation::v1 as activation, approval::v1 as approval, audit::v1 as audit, request::v1 as request,
};
use std::any::Any;
use std::collections::HashMap;
use std::sync::{Arc, Mutex};
use tokio_stream::wrappers::TcpListenerStream;
use tonic::codegen::BoxStream;
use tonic::{Request, Response, Status};

type Handler = Arc<dyn Fn(&dyn Any, usize) -> Result<Box<dyn Any + Send>, Status> + Send + Sync>;

/// One call that arrived.
pub(crate) struct Call {
    pub(crate) method: &'static str,
    pub(crate) message: Box<dyn Any + Send>,
    pub(crate) authorization: Option<String>,
    pub(crate) timeout: Option<String>,
}

/// The server. It stops with the test.
#[derive(Clone)]
pub(crate) struct Fake {
    pub(crate) address: String,
    handlers: Arc<Mutex<HashMap<&'static str, Handler>>>,
    calls: Arc<Mutex<Vec<Call>>>,
}

impl Fake {
    pub(crate) async fn start() -> Self {
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = format!("http://{}", listener.local_addr().unwrap());
        let fake = Self { address, handlers: Arc::default(), calls: Arc::default() };
        let server = tonic::transport::Server::builder()
            .add_service(request::request_service_server::RequestServiceServer::new(fake.clone()))
            .add_service(approval::approval_service_server::ApprovalServiceServer::new(fake.clone()))
            .add_service(approval::policy_service_server::PolicyServiceServer::new(fake.clone()))
            .add_service(activation::activation_service_server::ActivationServiceServer::new(fake.clone()))
            .add_service(audit::audit_service_server::AuditServiceServer::new(fake.clone()));
        tokio::spawn(server.serve_with_incoming(TcpListenerStream::new(listener)));
        fake
    }

    /// Answers `method`. The handler is told which call of this method it is, from 1.
    pub(crate) fn on<Q: 'static, A: Send + 'static>(
        &self,
        method: &'static str,
        answer: impl Fn(&Q, usize) -> Result<A, Status> + Send + Sync + 'static,
    ) -> &Self {
        let handler: Handler = Arc::new(move |message, count| {
            answer(message.downcast_ref().unwrap(), count)
                .map(|answer| Box::new(answer) as Box<dyn Any + Send>)
        });
        self.handlers.lock().unwrap().insert(method, handler);
        self
    }

    /// The messages that `method` was called with.
    pub(crate) fn messages<Q: Clone + 'static>(&self, method: &str) -> Vec<Q> {
        let calls = self.calls.lock().unwrap();
        let calls = calls.iter().filter(|call| call.method == method);
        calls.map(|call| call.message.downcast_ref::<Q>().unwrap().clone()).collect()
    }

    /// Looks at every call.
    pub(crate) fn each_call(&self, look: impl FnMut(&Call)) {
        self.calls.lock().unwrap().iter().for_each(look);
    }

    fn answer<Q: Clone + Send + 'static, A: 'static>(
        &self,
        method: &'static str,
        request: Request<Q>,
    ) -> Result<A, Status> {
        let header = |name| request.metadata().get(name).map(|value| value.to_str().unwrap().to_owned());
        let (authorization, timeout) = (header("authorization"), header("grpc-timeout"));
        let message = request.into_inner();
        let mut calls = self.calls.lock().unwrap();
        calls.push(Call { method, message: Box::new(message.clone()), authorization, timeout });
        let count = calls.iter().filter(|call| call.method == method).count();
        drop(calls);
        let handler = self.handlers.lock().unwrap().get(method).cloned();
        let handler = handler
            .ok_or_else(|| Status::unimplemented(format!("the test does not say what {method} answers")))?;
        handler(&message, count).map(|answer| *answer.downcast::<A>().unwrap())
    }
}

/// What the tests call; the rest answers `UNIMPLEMENTED`.
macro_rules! service {
    ($service:path, $module:ident: $($name:ident($q:ident) -> $a:ident),* $(; stream $sname:ident($sq:ident) -> $sa:ident)*) => {
        #[tonic::async_trait]
        impl $service for Fake {
            $(async fn $name(&self, request: Request<$module::$q>) -> Result<Response<$module::$a>, Status> {
                self.answer(stringify!($name), request).map(Response::new)
            })*
            $(async fn $sname(
                &self,
                request: Request<$module::$sq>,
            ) -> Result<Response<BoxStream<$module::$sa>>, Status> {
                let answers: Vec<Result<$module::$sa, Status>> = self.answer(stringify!($sname), request)?;
                Ok(Response::new(Box::pin(tokio_stream::iter(answers))))
            })*
        }
    };
}

service!(
    request::request_service_server::RequestService,
    request:
    create_request(CreateRequestRequest) -> CreateRequestResponse,
    get_request(GetRequestRequest) -> GetRequestResponse,
    list_requests(ListRequestsRequest) -> ListRequestsResponse,
    list_entitlements(ListEntitlementsRequest) -> ListEntitlementsResponse
);
service!(
    approval::approval_service_server::ApprovalService,
    approval:
    approve(ApproveRequest) -> ApproveResponse
);
service!(
    approval::policy_service_server::PolicyService,
    approval:
    propose_policy(ProposePolicyRequest) -> ProposePolicyResponse,
    get_policy(GetPolicyRequest) -> GetPolicyResponse
);
service!(
    activation::activation_service_server::ActivationService,
    activation:
    issue_credentials(IssueCredentialsRequest) -> IssueCredentialsResponse,
    get_activation(GetActivationRequest) -> GetActivationResponse,
    get_assignment(GetAssignmentRequest) -> GetAssignmentResponse,
    reconcile(ReconcileRequest) -> ReconcileResponse,
    abandon_assignment(AbandonAssignmentRequest) -> AbandonAssignmentResponse,
    open_console(OpenConsoleRequest) -> OpenConsoleResponse
);
service!(
    audit::audit_service_server::AuditService,
    audit: ;
    stream replay(ReplayRequest) -> ReplayResponse;
    stream export(ExportRequest) -> ExportResponse
);
