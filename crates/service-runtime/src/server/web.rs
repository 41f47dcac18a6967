//! Browsers: gRPC-Web, from configured origins only.

use crate::config::WebConfig;
use http::{HeaderName, HeaderValue, Method, header};
use std::time::Duration;
use tower_http::cors::{AllowOrigin, CorsLayer};

/// A browser may keep the answer to a preflight for so long.
const PREFLIGHT_AGE_MAX: Duration = Duration::from_mins(10);

/// Lets the configured origins call and read the answers. Cookies play no part: callers show bearer tokens.
pub(super) fn cors(config: &WebConfig) -> CorsLayer {
    let origins = config.origins.iter().filter_map(|origin| HeaderValue::from_str(origin).ok());
    CorsLayer::new()
        .allow_origin(AllowOrigin::list(origins))
        .allow_methods([Method::POST])
        .allow_headers([
            header::AUTHORIZATION,
            header::CONTENT_TYPE,
            HeaderName::from_static("grpc-timeout"),
            HeaderName::from_static("traceparent"),
            HeaderName::from_static("x-grpc-web"),
            HeaderName::from_static("x-user-agent"),
            HeaderName::from_static("connect-protocol-version"),
        ])
        .expose_headers([
            HeaderName::from_static("grpc-status"),
            HeaderName::from_static("grpc-message"),
            HeaderName::from_static("grpc-status-details-bin"),
        ])
        .max_age(PREFLIGHT_AGE_MAX)
}
