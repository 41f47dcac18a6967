//! The API as `buf curl` sees it: a client that knows nothing of Daypass but what reflection tells.

use crate::deployment::{Deployment, Service};
use crate::world::World;
use serde_json::Value;
use test_servers::tools::python_tool;

const ENTITLEMENTS: &str = "daypass.request.v1.RequestService/ListEntitlements";

/// What one call came to.
struct Answer {
    /// The gRPC code.
    code: i32,
    out: String,
    err: String,
}

impl Answer {
    fn json(&self) -> Value {
        serde_json::from_str(&self.out).unwrap_or_else(|error| panic!("{error}: {}{}", self.out, self.err))
    }
}

/// Runs `buf curl <arguments> <server>/<path>`; the exit code is the gRPC code, three bits to the left.
async fn curl(server: &str, path: &str, arguments: &[&str]) -> Answer {
    let mut command = tokio::process::Command::new(python_tool("buf").unwrap());
    command.arg("curl").args(arguments).arg(format!("{server}/{path}")).kill_on_drop(true);
    let output = command.output().await.unwrap();
    let err = String::from_utf8_lossy(&output.stderr).into_owned();
    let code = output.status.code().unwrap();
    assert!(code == 0 || code >= 8, "buf curl itself failed: {err}");
    Answer { code: code >> 3, out: String::from_utf8_lossy(&output.stdout).into_owned(), err }
}

/// Reflection and health are open; everything else takes a token, over gRPC as over gRPC-Web.
pub(crate) async fn the_api_is_what_it_says(world: &World, deployment: &Deployment) {
    for (service, name) in [
        (Service::Request, "daypass.request.v1.RequestService"),
        (Service::Approval, "daypass.approval.v1.ApprovalService"),
        (Service::Activation, "daypass.activation.v1.ActivationService"),
        (Service::Audit, "daypass.audit.v1.AuditService"),
    ] {
        let server = deployment.address(service);
        let health =
            ["--protocol", "grpc", "--http2-prior-knowledge", "-d", &format!("{{\"service\": {name:?}}}")];
        let health = curl(server, "grpc.health.v1.Health/Check", &health).await;
        assert_eq!(health.json().get("status"), Some(&Value::from("SERVING")), "{name}");
    }

    let server = deployment.address(Service::Request);
    let listed =
        curl(server, "", &["--protocol", "grpc", "--http2-prior-knowledge", "--list-services"]).await;
    for name in
        ["daypass.request.v1.RequestService", "daypass.audit.v1.AuditService", "grpc.health.v1.Health"]
    {
        assert!(listed.out.contains(name), "{}{}", listed.out, listed.err);
    }

    let token = format!("authorization: Bearer {}", world.token("ada"));
    let grpc =
        curl(server, ENTITLEMENTS, &["--protocol", "grpc", "--http2-prior-knowledge", "-H", &token]).await;
    let web =
        curl(server, ENTITLEMENTS, &["--protocol", "grpcweb", "--http2-prior-knowledge", "-H", &token]).await;
    // As old browsers and proxies speak it, where there is no reflection.
    let schema = world.folder().join("daypass.binpb");
    std::fs::write(&schema, api::FILE_DESCRIPTOR_SET).unwrap();
    let schema = schema.to_str().unwrap();
    let old = curl(server, ENTITLEMENTS, &["--protocol", "grpcweb", "--schema", schema, "-H", &token]).await;
    let entitlements = grpc.json().get("entitlements").cloned().unwrap();
    assert!(entitlements.as_array().is_some_and(|all| all.len() >= 3), "{entitlements}");
    assert_eq!(web.json().get("entitlements"), Some(&entitlements));
    assert_eq!(old.json().get("entitlements"), Some(&entitlements));

    for protocol in ["grpc", "grpcweb"] {
        let nobody = curl(server, ENTITLEMENTS, &["--protocol", protocol, "--http2-prior-knowledge"]).await;
        assert_eq!(nobody.code, 16, "unauthenticated: {}", nobody.err);
        let forged = "authorization: Bearer eyJhbGciOiJub25lIn0.eyJzdWIiOiJhZGEifQ.";
        let forged = ["--protocol", protocol, "--http2-prior-knowledge", "-H", forged];
        assert_eq!(curl(server, ENTITLEMENTS, &forged).await.code, 16);
    }
}
