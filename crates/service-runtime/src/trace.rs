//! W3C trace context: read from calls, handed on to what they cause, and written onto events; read from events by whoever acts on
//! them, so that what a call causes through the log is part of its trace.

use http::HeaderMap;
use opentelemetry::trace::TraceContextExt as _;
use tracing_opentelemetry::OpenTelemetrySpanExt as _;

const HEADER: &str = "traceparent";

/// A well-formed `traceparent`: `00-<32 hex>-<16 hex>-<2 hex>`.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct TraceParent(String);

impl TraceParent {
    /// Checks and wraps `text`; what is not well formed is nobody's trace.
    pub fn new(text: &str) -> Option<Self> {
        let mut fields = text.split('-');
        let mut hex = |length: usize| {
            fields.next().is_some_and(|field| {
                field.len() == length
                    && field.bytes().all(|byte| byte.is_ascii_digit() || (b'a'..=b'f').contains(&byte))
            })
        };
        let well_formed = text.starts_with("00-") && hex(2) && hex(32) && hex(16) && hex(2);
        (well_formed && text.len() == 55).then(|| Self(text.to_owned()))
    }

    /// As in the header.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// That of the current span, where spans are exported; else the one that came with the call.
    pub(crate) fn current(headers: &HeaderMap) -> Option<Self> {
        of_span(&tracing::Span::current()).or_else(|| Self::of(headers))
    }

    fn of(headers: &HeaderMap) -> Option<Self> {
        headers.get(HEADER).and_then(|value| value.to_str().ok()).and_then(Self::new)
    }
}

fn of_span(span: &tracing::Span) -> Option<TraceParent> {
    let context = span.context();
    let span = context.span();
    let span = span.span_context();
    span.is_valid().then(|| {
        TraceParent(format!("00-{}-{}-{:02x}", span.trace_id(), span.span_id(), span.trace_flags().to_u8()))
    })
}

/// Makes the caller's span the parent of `span`, where spans are exported.
pub(crate) fn adopt(span: &tracing::Span, headers: &HeaderMap) {
    if let Some(parent) = TraceParent::of(headers) {
        let _known = adopt_parent(span, &parent);
    }
}

/// A span of what a service does by itself about the event that `cause` (its trace context) came with; part of the same trace. No
/// span at all without a cause.
pub fn caused(name: &'static str, cause: Option<&str>) -> tracing::Span {
    let Some(parent) = cause.and_then(TraceParent::new) else { return tracing::Span::none() };
    let span = tracing::info_span!("caused", otel.name = name, otel.kind = "consumer");
    let _known = adopt_parent(&span, &parent);
    span
}

/// The trace context of `span`, for an event that it causes; `None` where spans are not exported.
pub fn context_of(span: &tracing::Span) -> Option<String> {
    of_span(span).map(|TraceParent(text)| text)
}

/// Fails, harmlessly, where spans are not exported.
fn adopt_parent(span: &tracing::Span, parent: &TraceParent) -> Option<()> {
    use opentelemetry::trace::{SpanContext, SpanId, TraceFlags, TraceId, TraceState};
    let mut fields = parent.as_str().split('-').skip(1);
    let mut next = || fields.next().unwrap_or_default();
    let (trace, caller) = (TraceId::from_hex(next()).ok()?, SpanId::from_hex(next()).ok()?);
    let flags = u8::from_str_radix(next(), 16).map(TraceFlags::new).unwrap_or_default();
    let context = SpanContext::new(trace, caller, flags, true, TraceState::NONE);
    span.set_parent(opentelemetry::Context::new().with_remote_span_context(context)).ok()
}

/// Writes the current span into the headers of a call that it causes.
pub(crate) fn propagate(headers: &mut HeaderMap) {
    if let Some(parent) = of_span(&tracing::Span::current())
        && let Ok(value) = parent.as_str().parse()
    {
        headers.insert(HEADER, value);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_well_formed_trace_parents_are_believed() {
        let good = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01";
        assert_eq!(TraceParent::new(good).as_ref().map(TraceParent::as_str), Some(good));
        for text in ["", "00-x-y-01", &good.to_uppercase(), &format!("{good}-"), &format!("{good}\r\nx: y")] {
            assert_eq!(TraceParent::new(text), None, "{text:?}");
        }
    }
}
