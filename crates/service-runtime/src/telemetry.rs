//! What a running process tells: log lines on standard error, and traces and metrics where they are wanted.
//!
//! `error` means: page someone.
//!
//! INVARIANT: one event is one line, and no value drives a terminal, so that nobody writes log lines by sending them. JSON escapes
//! control characters by itself; in the human form it is done here (tracing-subscriber escapes some of them, in messages alone).

use crate::config::{LogFormat, TelemetryConfig};
use opentelemetry::trace::TracerProvider as _;
use opentelemetry_otlp::WithExportConfig as _;
use opentelemetry_sdk::Resource;
use opentelemetry_sdk::metrics::SdkMeterProvider;
use opentelemetry_sdk::trace::SdkTracerProvider;
use std::fmt::{self, Write as _};
use tracing::Subscriber;
use tracing::field::Field;
use tracing_subscriber::field::MakeExt as _;
use tracing_subscriber::fmt::MakeWriter;
use tracing_subscriber::fmt::format::{self, Writer};
use tracing_subscriber::layer::SubscriberExt as _;
use tracing_subscriber::registry::LookupSpan;
use tracing_subscriber::util::SubscriberInitExt as _;
use tracing_subscriber::{EnvFilter, Layer};

/// Why telemetry could not be set up.
#[derive(Debug, thiserror::Error)]
pub enum TelemetryError {
    /// The filter is not one.
    #[error("the log filter is wrong: {0}")]
    Filter(#[from] tracing_subscriber::filter::ParseError),
    /// Traces and metrics cannot be exported.
    #[error("traces and metrics cannot be exported: {0}")]
    Otlp(#[from] opentelemetry_otlp::ExporterBuildError),
    /// The process has telemetry already.
    #[error("telemetry is set up already: {0}")]
    Twice(#[from] tracing_subscriber::util::TryInitError),
}

/// Keeps telemetry going; hand it to [`Telemetry::shutdown`] at the end, or the last traces and metrics are lost.
#[derive(Debug)]
#[must_use]
pub struct Telemetry {
    exported: Option<(SdkTracerProvider, SdkMeterProvider)>,
}

/// Sets up telemetry for this process, which is called `service` in it. Needs a tokio runtime when something is exported. Meters
/// are had of `opentelemetry::global` after it.
pub fn init(config: &TelemetryConfig, service: &'static str) -> Result<Telemetry, TelemetryError> {
    let exported =
        config.otlp_endpoint.as_deref().map(|endpoint| exporters(endpoint, service)).transpose()?;
    let spans = exported
        .as_ref()
        .map(|(traces, _)| tracing_opentelemetry::layer().with_tracer(traces.tracer(service)));
    if let Some((_, metrics)) = &exported {
        opentelemetry::global::set_meter_provider(metrics.clone());
    }
    let colours = std::io::IsTerminal::is_terminal(&std::io::stderr());
    tracing_subscriber::registry()
        .with(EnvFilter::try_new(&config.filter)?)
        .with(spans)
        .with(lines(config.format, colours, std::io::stderr))
        .try_init()?;
    Ok(Telemetry { exported })
}

/// One line for each event.
fn lines<S, W>(form: LogFormat, colours: bool, writer: W) -> Box<dyn Layer<S> + Send + Sync>
where
    S: Subscriber + for<'a> LookupSpan<'a>,
    W: for<'a> MakeWriter<'a> + Send + Sync + 'static,
{
    let lines = tracing_subscriber::fmt::layer().with_writer(writer);
    match form {
        LogFormat::Human => {
            lines.with_ansi(colours).fmt_fields(format::debug_fn(field).delimited(" ")).boxed()
        }
        LogFormat::Json => lines.json().flatten_event(true).boxed(),
    }
}

/// A field in the human form.
fn field(writer: &mut Writer<'_>, field: &Field, value: &dyn fmt::Debug) -> fmt::Result {
    if field.name() != "message" {
        write!(writer, "{}=", field.name())?;
    }
    write!(Visible(writer), "{value:?}")
}

/// Writes control characters, and those that change the direction of text, as escapes.
struct Visible<'a, 'w>(&'a mut Writer<'w>);

impl fmt::Write for Visible<'_, '_> {
    fn write_str(&mut self, text: &str) -> fmt::Result {
        text.chars().try_for_each(|letter| match letter {
            letter if letter.is_control() => write!(self.0, "{}", letter.escape_default()),
            '\u{200e}' | '\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2066}'..='\u{2069}' => {
                write!(self.0, "{}", letter.escape_unicode())
            }
            letter => self.0.write_char(letter),
        })
    }
}

fn exporters(
    endpoint: &str,
    service: &'static str,
) -> Result<(SdkTracerProvider, SdkMeterProvider), TelemetryError> {
    let spans = opentelemetry_otlp::SpanExporter::builder().with_tonic().with_endpoint(endpoint).build()?;
    let metrics =
        opentelemetry_otlp::MetricExporter::builder().with_tonic().with_endpoint(endpoint).build()?;
    let resource = Resource::builder().with_service_name(service).build();
    Ok((
        SdkTracerProvider::builder().with_batch_exporter(spans).with_resource(resource.clone()).build(),
        SdkMeterProvider::builder().with_periodic_exporter(metrics).with_resource(resource).build(),
    ))
}

impl Telemetry {
    /// Sends what is left. Blocks for a few seconds at most.
    pub fn shutdown(self) {
        let Some((traces, metrics)) = self.exported else { return };
        if let Err(error) = traces.shutdown() {
            tracing::warn!(%error, "the last traces are lost");
        }
        if let Err(error) = metrics.shutdown() {
            tracing::warn!(%error, "the last metrics are lost");
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io;
    use std::sync::{Arc, Mutex};

    #[derive(Clone, Default)]
    struct Kept(Arc<Mutex<Vec<u8>>>);

    impl io::Write for Kept {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            self.0.lock().unwrap().extend_from_slice(bytes);
            Ok(bytes.len())
        }
        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    /// What is written when a value of someone else's is logged in every way that there is.
    fn logged(form: LogFormat, value: &str) -> String {
        let kept = Kept::default();
        let writer = kept.clone();
        let layer = lines(form, false, move || writer.clone());
        tracing::subscriber::with_default(tracing_subscriber::registry().with(layer), || {
            let span = tracing::info_span!("call", shown = %value, debugged = ?value, value);
            let _entered = span.enter();
            let error = io::Error::other(value.to_owned());
            tracing::info!(shown = %value, debugged = ?value, value, %error, "refused: {value}");
        });
        let bytes = kept.0.lock().unwrap().clone();
        String::from_utf8(bytes).unwrap()
    }

    /// Attacks by name: CR/LF and ANSI in logs.
    #[test]
    fn cr_lf_and_ansi_in_logs() {
        for attack in [
            "bob\n2026-01-01T00:00:00Z ERROR forged",
            "bob\r\n{\"level\":\"ERROR\"}",
            "\x1b[2J\x1b]0;title\x07",
            "\u{9b}31m\u{85}",
            "\u{0}\u{8}\u{7f}",
            "\u{202e}txet\u{2066}\u{200f}\u{2028}",
        ] {
            let human = logged(LogFormat::Human, attack);
            let line = human.strip_suffix('\n').unwrap();
            let hidden = |letter: char| {
                letter.is_control() || ('\u{200e}'..='\u{202e}').contains(&letter) || letter >= '\u{2066}'
            };
            assert!(!line.contains(hidden), "{line:?}");
            let json = logged(LogFormat::Json, attack);
            let line = json.strip_suffix('\n').unwrap();
            assert!(
                !line.contains(|letter: char| letter.is_ascii_control() && letter != '\u{7f}'),
                "{line:?}"
            );
            serde_json::from_str::<serde_json::Value>(line).unwrap();
        }
    }

    #[test]
    fn a_line_is_read_easily() {
        let line = logged(LogFormat::Human, "über 日本");
        assert!(line.contains("call{shown=über 日本 debugged=\"über 日本\" value=\"über 日本\"}"), "{line}");
        assert!(line.ends_with("refused: über 日本 shown=über 日本 debugged=\"über 日本\" value=\"über 日本\" error=über 日本\n"), "{line}");
    }
}
