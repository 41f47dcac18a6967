//! Metrics as they leave a program, without a collector to take them.

use opentelemetry_sdk::error::OTelSdkResult;
use opentelemetry_sdk::metrics::data::ResourceMetrics;
use opentelemetry_sdk::metrics::exporter::PushMetricExporter;
use opentelemetry_sdk::metrics::{PeriodicReader, SdkMeterProvider, Temporality};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

/// Measures, and keeps what was exported last.
pub struct Measured {
    /// Where meters come from.
    pub provider: SdkMeterProvider,
    kept: Kept,
}

#[derive(Clone, Default)]
struct Kept(Arc<Mutex<String>>);

impl Measured {
    /// Nothing was measured yet.
    pub fn start() -> Self {
        let kept = Kept::default();
        let reader = PeriodicReader::builder(kept.clone()).build();
        Self { provider: SdkMeterProvider::builder().with_reader(reader).build(), kept }
    }

    /// All instruments, their attributes and values, as text.
    ///
    /// # Errors
    ///
    /// What the reader says.
    pub fn exported(&self) -> Result<String, opentelemetry_sdk::error::OTelSdkError> {
        self.provider.force_flush()?;
        Ok(self.kept.0.lock().unwrap_or_else(PoisonError::into_inner).clone())
    }
}

impl PushMetricExporter for Kept {
    async fn export(&self, metrics: &ResourceMetrics) -> OTelSdkResult {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) = format!("{metrics:?}");
        Ok(())
    }

    fn force_flush(&self) -> OTelSdkResult {
        Ok(())
    }

    fn shutdown_with_timeout(&self, _: Duration) -> OTelSdkResult {
        Ok(())
    }

    fn temporality(&self) -> Temporality {
        Temporality::Cumulative
    }
}
