//! The `Date` of every answer of AWS, told to the clock: also of refusals, and of each try on its own.

use aws_sdk_sts::config::interceptors::{
    BeforeDeserializationInterceptorContextRef, BeforeTransmitInterceptorContextRef,
};
use aws_sdk_sts::config::{ConfigBag, Intercept, RuntimeComponents};
use aws_sdk_sts::primitives::{DateTime, DateTimeFormat};
use aws_smithy_types::config_bag::{Storable, StoreReplace};
use domain::ports::SharedClock;
use domain::{Sighting, TimeSource, Timestamp};
use std::error::Error;

/// Reads dates.
#[derive(Clone)]
pub(crate) struct DateReader(pub(crate) SharedClock);

impl std::fmt::Debug for DateReader {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("DateReader")
    }
}

/// When this try was sent.
#[derive(Clone, Copy, Debug)]
struct SentAt(Timestamp);

impl Storable for SentAt {
    type Storer = StoreReplace<Self>;
}

impl Intercept for DateReader {
    fn name(&self) -> &'static str {
        "DateReader"
    }

    fn read_before_transmit(
        &self,
        _context: &BeforeTransmitInterceptorContextRef<'_>,
        _components: &RuntimeComponents,
        bag: &mut ConfigBag,
    ) -> Result<(), Box<dyn Error + Send + Sync>> {
        bag.interceptor_state().store_put(SentAt(self.0.now()));
        Ok(())
    }

    fn read_after_transmit(
        &self,
        context: &BeforeDeserializationInterceptorContextRef<'_>,
        _components: &RuntimeComponents,
        bag: &mut ConfigBag,
    ) -> Result<(), Box<dyn Error + Send + Sync>> {
        let date = context.response().headers().get("date").and_then(read);
        if let (Some(date), Some(SentAt(asked_at))) = (date, bag.load::<SentAt>()) {
            self.0.compare(&Sighting::http_date(TimeSource::Aws, *asked_at, self.0.now(), date));
        }
        Ok(())
    }
}

/// An answer whose date cannot be read says nothing about the time.
fn read(date: &str) -> Option<Timestamp> {
    let date = DateTime::from_str(date, DateTimeFormat::HttpDate).ok()?;
    Timestamp::from_second(date.secs()).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn dates_are_http_dates() {
        assert_eq!(read("Sun, 06 Nov 1994 08:49:37 GMT"), Timestamp::from_second(784_111_777).ok());
        for nonsense in ["", "now", "784111777", "1994-11-06T08:49:37Z", "Sun, 06 Nov 99999 08:49:37 GMT"] {
            assert_eq!(read(nonsense), None, "{nonsense}");
        }
    }
}
