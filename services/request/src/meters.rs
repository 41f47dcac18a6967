//! What operators can watch of signals: numbers that go out with the traces, where the process exports any.
//!
//! INVARIANT: nothing is decided by them, and no label says who.

use domain::SignedDuration;
use opentelemetry::KeyValue;
use opentelemetry::metrics::{Counter, Gauge, Meter};

/// The instruments.
pub(crate) struct SignalMeters {
    lag: Gauge<f64>,
    parked: Counter<u64>,
}

impl SignalMeters {
    /// Those of `meter`; without an exporter they cost nothing.
    pub(crate) fn new(meter: &Meter) -> Self {
        Self {
            lag: meter
                .f64_gauge("daypass.signals.lag")
                .with_unit("s")
                .with_description(
                    "How long the oldest signal waits on the bus, or the bus has not been heard. Zero: none waits.",
                )
                .build(),
            parked: meter
                .u64_counter("daypass.signals.parked")
                .with_description("Messages from the bus that were not believed, by reason.")
                .build(),
        }
    }

    /// So long the oldest signal waits.
    pub(crate) fn lag(&self, lag: SignedDuration) {
        self.lag.record(lag.max(SignedDuration::ZERO).as_secs_f64(), &[]);
    }

    /// One more, for this reason.
    pub(crate) fn parked(&self, reason: &str) {
        self.parked.add(1, &[KeyValue::new("reason", reason.to_owned())]);
    }
}
