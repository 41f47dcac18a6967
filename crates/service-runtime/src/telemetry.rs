//! What a running process tells: log lines on standard error, and traces where they are wanted.
//!
//! `error` means: page someone. Control characters in what is logged are escaped, by tracing-subscriber in the human form and by
//! JSON in the other, so that nobody writes log lines by sending them.

use crate::config::{LogFormat, TelemetryConfig};
use opentelemetry::trace::TracerProvider as _;
use opentelemetry_otlp::WithExportConfig as _;
use opentelemetry_sdk::Resource;
use opentelemetry_sdk::trace::SdkTracerProvider;
use tracing_subscriber::layer::SubscriberExt as _;
use tracing_subscriber::util::SubscriberInitExt as _;
use tracing_subscriber::{EnvFilter, Layer as _};

/// Why telemetry could not be set up.
#[derive(Debug, thiserror::Error)]
pub enum TelemetryError {
    /// The filter is not one.
    #[error("the log filter is wrong: {0}")]
    Filter(#[from] tracing_subscriber::filter::ParseError),
    /// Traces cannot be exported.
    #[error("traces cannot be exported: {0}")]
    Otlp(#[from] opentelemetry_otlp::ExporterBuildError),
    /// The process has telemetry already.
    #[error("telemetry is set up already: {0}")]
    Twice(#[from] tracing_subscriber::util::TryInitError),
}

/// Keeps telemetry going; hand it to [`Telemetry::shutdown`] at the end, or the last traces are lost.
#[derive(Debug)]
#[must_use]
pub struct Telemetry {
    traces: Option<SdkTracerProvider>,
}

/// Sets up telemetry for this process, which is called `service` in it. Needs a tokio runtime when traces are exported.
pub fn init(config: &TelemetryConfig, service: &'static str) -> Result<Telemetry, TelemetryError> {
    let traces = config.otlp_endpoint.as_deref().map(|endpoint| exporter(endpoint, service)).transpose()?;
    let exported =
        traces.as_ref().map(|traces| tracing_opentelemetry::layer().with_tracer(traces.tracer(service)));
    let lines = tracing_subscriber::fmt::layer().with_writer(std::io::stderr);
    let lines = match config.format {
        LogFormat::Human => lines.with_ansi(std::io::IsTerminal::is_terminal(&std::io::stderr())).boxed(),
        LogFormat::Json => lines.json().flatten_event(true).boxed(),
    };
    tracing_subscriber::registry()
        .with(EnvFilter::try_new(&config.filter)?)
        .with(exported)
        .with(lines)
        .try_init()?;
    Ok(Telemetry { traces })
}

fn exporter(endpoint: &str, service: &'static str) -> Result<SdkTracerProvider, TelemetryError> {
    let exporter =
        opentelemetry_otlp::SpanExporter::builder().with_tonic().with_endpoint(endpoint).build()?;
    Ok(SdkTracerProvider::builder()
        .with_batch_exporter(exporter)
        .with_resource(Resource::builder().with_service_name(service).build())
        .build())
}

impl Telemetry {
    /// Sends what is left. Blocks for a few seconds at most.
    pub fn shutdown(self) {
        if let Some(Err(error)) = self.traces.map(|traces| traces.shutdown()) {
            tracing::warn!(%error, "the last traces are lost");
        }
    }
}
