//! What operators can watch of signals: numbers that go out with the traces, where the process exports any.
//!
//! INVARIANT: nothing is decided by them, and no label says who.

use opentelemetry::KeyValue;
use opentelemetry::metrics::Counter;

/// The instruments.
pub(crate) struct SignalMeters {
    parked: Counter<u64>,
}

impl SignalMeters {
    /// Those of this process; without an exporter they cost nothing.
    pub(crate) fn of_process() -> Self {
        let parked = opentelemetry::global::meter("daypass")
            .u64_counter("daypass.signals.parked")
            .with_description("Messages from the bus that were not believed, by reason.")
            .build();
        Self { parked }
    }

    /// One more, for this reason.
    pub(crate) fn parked(&self, reason: &str) {
        self.parked.add(1, &[KeyValue::new("reason", reason.to_owned())]);
    }
}
