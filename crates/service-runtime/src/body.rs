//! An answer that ends at an instant, whatever its service does: streams end with the deadline of the call, and with the token.

use bytes::Bytes;
use http::HeaderMap;
use http_body::{Body as _, Frame, SizeHint};
use std::future::Future as _;
use std::pin::Pin;
use std::task::{Context, Poll};
use tokio::time::{Instant, Sleep};
use tonic::Status;
use tonic::body::Body;

/// `inner` until `end`; from then on the end of the stream, with `status`.
pub(crate) fn until(inner: Body, end: Instant, status: fn() -> Status) -> Body {
    if inner.is_end_stream() {
        return inner;
    }
    Body::new(Until { inner: Some(inner), end: Box::pin(tokio::time::sleep_until(end)), status })
}

struct Until {
    /// `None` once it was cut short.
    inner: Option<Body>,
    end: Pin<Box<Sleep>>,
    status: fn() -> Status,
}

impl http_body::Body for Until {
    type Data = Bytes;
    type Error = Status;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Status>>> {
        let Some(inner) = self.inner.as_mut() else { return Poll::Ready(None) };
        // A stream that ends in time by itself ends as it meant to.
        let frame = Pin::new(inner).poll_frame(context);
        let is_trailers = matches!(&frame, Poll::Ready(Some(Ok(frame))) if frame.is_trailers());
        if is_trailers || matches!(frame, Poll::Ready(None)) || self.end.as_mut().poll(context).is_pending() {
            return frame;
        }
        self.inner = None;
        let mut trailers = HeaderMap::new();
        Poll::Ready(match (self.status)().add_header(&mut trailers) {
            Ok(()) => Some(Ok(Frame::trailers(trailers))),
            Err(status) => Some(Err(status)),
        })
    }

    fn is_end_stream(&self) -> bool {
        self.inner.as_ref().is_none_or(http_body::Body::is_end_stream)
    }

    fn size_hint(&self) -> SizeHint {
        SizeHint::default()
    }
}
