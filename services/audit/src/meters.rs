//! What operators can watch of the relay: numbers that go out with the traces, where the process exports any.
//!
//! INVARIANT: nothing is decided by them, and no label says who.

use domain::SignedDuration;
use opentelemetry::metrics::{Counter, Gauge, Meter};
use std::sync::atomic::{AtomicU64, Ordering};

/// The instruments.
pub(crate) struct RelayMeters {
    lag: Gauge<f64>,
    counter: Counter<u64>,
    published: AtomicU64,
}

impl RelayMeters {
    /// Those of this process; without an exporter they cost nothing.
    pub(crate) fn of_process() -> Self {
        Self::new(&opentelemetry::global::meter("daypass"))
    }

    /// Those of `meter`.
    pub(crate) fn new(meter: &Meter) -> Self {
        Self {
            lag: meter
                .f64_gauge("daypass.relay.lag")
                .with_unit("s")
                .with_description("How long the oldest event waits that is not on the bus, or the bus has not been heard since a start. Zero: none waits.")
                .build(),
            counter: meter
                .u64_counter("daypass.relay.published")
                .with_description("Events that the bus has taken.")
                .build(),
            published: AtomicU64::new(0),
        }
    }

    /// So long the oldest event waits.
    pub(crate) fn lag(&self, lag: SignedDuration) {
        self.lag.record(lag.max(SignedDuration::ZERO).as_secs_f64(), &[]);
    }

    /// So many more were taken.
    pub(crate) fn count(&self, events: u64) {
        self.counter.add(events, &[]);
        self.published.fetch_add(events, Ordering::Relaxed);
    }

    /// How many this relay has published.
    pub(crate) fn published(&self) -> u64 {
        self.published.load(Ordering::Relaxed)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use opentelemetry::metrics::MeterProvider as _;
    use test_servers::measured::Measured;

    #[test]
    fn lag_and_count_are_exported() {
        let measured = Measured::start();
        let meters = RelayMeters::new(&measured.provider.meter("daypass"));
        meters.lag(SignedDuration::from_secs(7));
        meters.count(4711);
        let exported = measured.exported().unwrap();
        for told in ["daypass.relay.lag", "7.0", "daypass.relay.published", "4711"] {
            assert!(exported.contains(told), "{told} is not in {exported}");
        }
        assert_eq!(meters.published(), 4711);
    }
}
