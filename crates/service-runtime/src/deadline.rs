//! Deadlines: every call has one, and what a call causes inherits it.

use crate::{body, status};
use futures::future::BoxFuture;
use http::{HeaderMap, Request, Response};
use std::task::{Context, Poll};
use std::time::Duration;
use tokio::time::Instant;
use tonic::Status;
use tonic::body::Body;
use tower::{Layer, Service};

const TIMEOUT: &str = "grpc-timeout";

tokio::task_local! {
    static CURRENT: Option<Instant>;
}

/// When the call that is being served must be done; `None` outside of calls, and for streams without a deadline.
pub fn current() -> Option<Instant> {
    CURRENT.try_with(|deadline| *deadline).ok().flatten()
}

/// Honours `grpc-timeout`, bounded by a maximum for calls with a single answer. A call whose deadline has passed does no work.
#[derive(Clone, Copy, Debug)]
pub struct DeadlineLayer {
    call_duration_max: Duration,
}

impl DeadlineLayer {
    /// Calls with a single answer take at most `call_duration_max`.
    pub fn new(call_duration_max: Duration) -> Self {
        Self { call_duration_max }
    }
}

impl<S> Layer<S> for DeadlineLayer {
    type Service = Deadline<S>;
    fn layer(&self, inner: S) -> Deadline<S> {
        Deadline { inner, call_duration_max: self.call_duration_max }
    }
}

/// A service that honours deadlines.
#[derive(Clone, Debug)]
pub struct Deadline<S> {
    inner: S,
    call_duration_max: Duration,
}

impl<S> Service<Request<Body>> for Deadline<S>
where
    S: Service<Request<Body>, Response = Response<Body>>,
    S::Future: Send + 'static,
    S::Error: Send,
{
    type Response = Response<Body>;
    type Error = S::Error;
    type Future = BoxFuture<'static, Result<Response<Body>, S::Error>>;

    fn poll_ready(&mut self, context: &mut Context<'_>) -> Poll<Result<(), S::Error>> {
        self.inner.poll_ready(context)
    }

    fn call(&mut self, request: Request<Body>) -> Self::Future {
        let asked = match timeout_of(request.headers()) {
            Ok(asked) => asked,
            Err(status) => return Box::pin(async move { Ok(status.into_http()) }),
        };
        let single = api::method(request.uri().path()).is_some_and(|method| !method.server_streaming);
        let limit = match (asked, single) {
            (Some(asked), true) => Some(asked.min(self.call_duration_max)),
            (None, true) => Some(self.call_duration_max),
            (asked, false) => asked,
        };
        let Some(limit) = limit else {
            return Box::pin(CURRENT.scope(None, self.inner.call(request)));
        };
        if limit.is_zero() {
            return Box::pin(async { Ok(status::deadline_exceeded().into_http()) });
        }
        let end = Instant::now() + limit;
        let served = CURRENT.scope(Some(end), self.inner.call(request));
        Box::pin(async move {
            match tokio::time::timeout_at(end, served).await {
                Ok(Ok(answer)) => Ok(answer.map(|inner| body::until(inner, end, status::deadline_exceeded))),
                Ok(Err(error)) => Err(error),
                Err(_) => Ok(status::deadline_exceeded().into_http()),
            }
        })
    }
}

/// `grpc-timeout`: at most 8 digits and a unit.
fn timeout_of(headers: &HeaderMap) -> Result<Option<Duration>, Status> {
    let Some(value) = headers.get(TIMEOUT) else { return Ok(None) };
    let wrong = || Status::invalid_argument("grpc-timeout must be at most 8 digits and one of H M S m u n");
    let text = value.to_str().map_err(|_| wrong())?;
    let (digits, unit) = text.split_at_checked(text.len().saturating_sub(1)).ok_or_else(wrong)?;
    if digits.is_empty() || digits.len() > 8 || !digits.bytes().all(|byte| byte.is_ascii_digit()) {
        return Err(wrong());
    }
    let count: u64 = digits.parse().map_err(|_| wrong())?;
    Ok(Some(match unit {
        "H" => Duration::from_secs(count * 3600),
        "M" => Duration::from_secs(count * 60),
        "S" => Duration::from_secs(count),
        "m" => Duration::from_millis(count),
        "u" => Duration::from_micros(count),
        "n" => Duration::from_nanos(count),
        _ => return Err(wrong()),
    }))
}

/// Writes what is left of the current call's time into the headers of a call that it causes, unless they say less already.
pub(crate) fn propagate(headers: &mut HeaderMap) {
    let Some(end) = current() else { return };
    let left = end.saturating_duration_since(Instant::now());
    if let Ok(Some(asked)) = timeout_of(headers)
        && asked <= left
    {
        return;
    }
    // Microseconds in 8 digits reach 99 s, milliseconds a day.
    let text = match left.as_micros() {
        micros @ 0..=99_999_999 => format!("{micros}u"),
        micros => format!("{}m", (micros / 1000).min(99_999_999)),
    };
    if let Ok(value) = text.parse() {
        headers.insert(TIMEOUT, value);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parsed(text: &str) -> Result<Option<Duration>, tonic::Code> {
        let mut headers = HeaderMap::new();
        headers.insert(TIMEOUT, text.parse().unwrap());
        timeout_of(&headers).map_err(|status| status.code())
    }

    #[test]
    fn units_are_those_of_grpc() {
        assert_eq!(parsed("2H"), Ok(Some(Duration::from_hours(2))));
        assert_eq!(parsed("3m"), Ok(Some(Duration::from_millis(3))));
        assert_eq!(parsed("99999999S"), Ok(Some(Duration::from_secs(99_999_999))));
    }

    #[test]
    fn malformed_timeouts_are_refused() {
        for text in ["", "S", "1", "1s", "-1S", "123456789S", "1.5S", "ü"] {
            let mut headers = HeaderMap::new();
            headers.insert(TIMEOUT, http::HeaderValue::from_bytes(text.as_bytes()).unwrap());
            assert!(timeout_of(&headers).is_err(), "{text:?}");
        }
    }

    #[tokio::test(start_paused = true)]
    async fn a_caused_call_gets_what_is_left() {
        let end = Instant::now() + Duration::from_secs(5);
        CURRENT
            .scope(Some(end), async {
                tokio::time::advance(Duration::from_secs(2)).await;
                let mut headers = HeaderMap::new();
                propagate(&mut headers);
                assert_eq!(headers.get(TIMEOUT).unwrap(), "3000000u");
                headers.insert(TIMEOUT, "1S".parse().unwrap());
                propagate(&mut headers);
                assert_eq!(headers.get(TIMEOUT).unwrap(), "1S");
            })
            .await;
    }
}
