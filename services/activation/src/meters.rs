//! What operators can watch: numbers that go out with the traces, where the process exports any.
//!
//! INVARIANT: nothing is decided by them, and no label says who.

use domain::{Provider, SignedDuration};
use opentelemetry::KeyValue;
use opentelemetry::metrics::{Counter, Gauge, Histogram, Meter};

/// Upper bounds of the classes of `daypass.access.past_end`, in seconds: from what a healthy removal takes to a day.
const PAST_END_CLASSES: [f64; 12] =
    [1.0, 2.0, 5.0, 10.0, 30.0, 60.0, 120.0, 300.0, 900.0, 3_600.0, 14_400.0, 86_400.0];

/// How AWS can differ from the ledgers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Drift {
    /// Ours is missing.
    Missing,
    /// Something is there that is ours after all.
    Ours,
    /// Someone else's is there.
    Standing,
    /// Ours is there, and no request needs it.
    Orphan,
}

/// The instruments.
pub(crate) struct Meters {
    overdue: Gauge<u64>,
    overdue_oldest: Gauge<f64>,
    denials_overdue: Gauge<u64>,
    past_end: Histogram<f64>,
    drift: Counter<u64>,
    unknown: Gauge<u64>,
}

impl Meters {
    pub(crate) fn new(meter: &Meter) -> Self {
        Self {
            overdue: meter
                .u64_gauge("daypass.removals.overdue")
                .with_description(
                    "What ended requests have left in AWS for too long, and what of ours nobody needs. Above zero: page someone.",
                )
                .build(),
            overdue_oldest: meter
                .f64_gauge("daypass.removals.overdue.oldest")
                .with_unit("s")
                .with_description("Since when the oldest of them is over, or needed by nobody.")
                .build(),
            denials_overdue: meter
                .u64_gauge("daypass.denials.overdue")
                .with_description(
                    "Requests that ended early whose live sessions ought to be denied, and are not for too long. Above zero: page someone.",
                )
                .build(),
            past_end: meter
                .f64_histogram("daypass.access.past_end")
                .with_unit("s")
                .with_description(
                    "From the end of a request to the confirmed removal of its access, or until its credentials were worthless.",
                )
                .with_boundaries(PAST_END_CLASSES.to_vec())
                .build(),
            unknown: meter
                .u64_gauge("daypass.restored.unknown")
                .with_description(
                    "Assignments found in AWS that a restored log did not know, and that nobody has adopted. Above zero: adopt those that are Daypass's.",
                )
                .build(),
            drift: meter
                .u64_counter("daypass.drift.found")
                .with_description(
                    "How often AWS was found to differ from the ledgers, or from what requests need.",
                )
                .build(),
        }
    }

    /// How much is left in AWS for too long, and since when the oldest is over.
    pub(crate) fn overdue(&self, count: usize, oldest: SignedDuration) {
        self.overdue.record(u64::try_from(count).unwrap_or(u64::MAX), &[]);
        self.overdue_oldest.record(oldest.as_secs_f64(), &[]);
    }

    /// The sessions of so many requests ought to be denied, and are not for too long.
    pub(crate) fn denials_overdue(&self, count: usize) {
        self.denials_overdue.record(u64::try_from(count).unwrap_or(u64::MAX), &[]);
    }

    /// Access was left for so long past its end.
    pub(crate) fn past_end(&self, provider: Provider, length: SignedDuration) {
        let provider = match provider {
            Provider::IdentityCenter => "identity_center",
            Provider::Sts => "sts",
            Provider::AccountAccess => "account_access",
        };
        let seconds = length.max(SignedDuration::ZERO).as_secs_f64();
        self.past_end.record(seconds, &[KeyValue::new("provider", provider)]);
    }

    /// So many assignments are in AWS that the restored log does not know, and nobody has adopted.
    pub(crate) fn unknown(&self, count: u64) {
        self.unknown.record(count, &[]);
    }

    /// AWS is not as it should be.
    pub(crate) fn drift(&self, kind: Drift) {
        let kind = match kind {
            Drift::Missing => "missing",
            Drift::Ours => "ours",
            Drift::Standing => "standing",
            Drift::Orphan => "orphan",
        };
        self.drift.add(1, &[KeyValue::new("kind", kind)]);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use opentelemetry::metrics::MeterProvider as _;
    use test_servers::measured::Measured;

    #[test]
    fn what_is_overdue_past_its_end_or_adrift_is_exported() {
        let measured = Measured::start();
        let meters = Meters::new(&measured.provider.meter("daypass"));
        meters.overdue(3, SignedDuration::from_mins(7));
        meters.denials_overdue(4);
        meters.past_end(Provider::IdentityCenter, SignedDuration::from_secs(4));
        meters.past_end(Provider::Sts, SignedDuration::from_mins(20));
        meters.drift(Drift::Orphan);
        meters.unknown(2);
        let exported = measured.exported().unwrap();
        for told in [
            "daypass.removals.overdue",
            "daypass.removals.overdue.oldest",
            "420.0",
            "daypass.denials.overdue",
            "daypass.access.past_end",
            "identity_center",
            "\"sts\"",
            "daypass.drift.found",
            "orphan",
            "daypass.restored.unknown",
        ] {
            assert!(exported.contains(told), "{told} is not in {exported}");
        }
    }
}
