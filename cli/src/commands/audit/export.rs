//! `daypass audit export`: history as a file.
//!
//! INVARIANT: a file of the given name is there only once it is whole: every byte arrived, and the SHA-256 is the one that the
//! server computed. Until then it has another name beside, which goes when the export fails.

use super::{Which, place};
use crate::arguments::IdPrefix;
use crate::client::{self, Client, Service};
use crate::commands::Freshness;
use crate::error::Error;
use crate::output::{Format, json, print};
use api::audit::v1::audit_service_client::AuditServiceClient;
use api::audit::v1::{ExportFormat, ExportRequest, ExportSummary, Place};
use aws_lc_rs::digest::{Context, SHA256};
use std::fs::{File, OpenOptions};
use std::io::Write as _;
use std::path::{Path, PathBuf};

const EXAMPLES: &str = "\
Examples:
  daypass audit export --format jsonl --out history.jsonl
  daypass audit export --format csv --out november.csv --from 2026-11-01T00:00:00Z --to 2026-12-01T00:00:00Z";

/// History as a file, checked to be whole. A file of that name is replaced
#[derive(Debug, clap::Args)]
#[command(after_help = EXAMPLES)]
pub(crate) struct Arguments {
    /// One JSON object per line with the stored bytes, or a table that is safe to open in a spreadsheet
    #[arg(long, value_enum)]
    format: FileFormat,
    /// The file to write
    #[arg(long, value_name = "FILE")]
    out: PathBuf,
    /// Only events of this request
    #[arg(long, value_name = "ID", conflicts_with = "stream")]
    request: Option<IdPrefix>,
    #[command(flatten)]
    which: Which,
    /// From there on: an instant, or a position
    #[arg(long, value_name = "TIME|POSITION", value_parser = place)]
    from: Option<Place>,
    /// Up to there
    #[arg(long, value_name = "TIME|POSITION", value_parser = place)]
    to: Option<Place>,
    #[command(flatten)]
    freshness: Freshness,
    #[arg(long, short, value_enum, default_value_t)]
    pub(crate) output: Format,
    #[command(flatten)]
    client: client::Arguments,
}

#[derive(Clone, Copy, Debug, clap::ValueEnum)]
enum FileFormat {
    Jsonl,
    Csv,
}

pub(crate) async fn run(arguments: Arguments) -> Result<(), Error> {
    let client = Client::new(&arguments.client)?;
    let format = match arguments.format {
        FileFormat::Jsonl => ExportFormat::JsonLines,
        FileFormat::Csv => ExportFormat::Csv,
    };
    let message = ExportRequest {
        format: format.into(),
        filter: Some(arguments.which.filter(&client, arguments.request.as_ref()).await?),
        from: arguments.from,
        to: arguments.to,
        wait_for_position: arguments.freshness.wait_for,
    };
    let mut part = Part::create(&arguments.out)?;
    let mut answers = client
        .stream(Service::Audit, message, async |transport, request| {
            AuditServiceClient::new(transport).export(request).await
        })
        .await?;
    let mut summary = None;
    while let Some(answer) = answers.next().await? {
        if summary.is_some() {
            return Err(Error::Failed("the export goes on behind its end".to_owned()));
        }
        part.write(&answer.data)?;
        summary = answer.summary;
    }
    let Some(summary) = summary else {
        return Err(Error::Failed("the export was cut short; nothing was written".to_owned()));
    };
    part.keep(&summary.sha256)?;
    match arguments.output {
        Format::Json => print(&json::text(&json::object("daypass.audit.v1.ExportSummary", &summary)?)),
        Format::Table => print(&words(&arguments.out, &summary)),
    }
}

fn words(file: &Path, summary: &ExportSummary) -> String {
    let digest = domain::hex(&summary.sha256);
    format!("{} events in {}, SHA-256 {digest}", summary.events, file.display())
}

/// A file on its way.
struct Part {
    file: File,
    path: PathBuf,
    destination: PathBuf,
    digest: Context,
    kept: bool,
}

impl Part {
    fn create(destination: &Path) -> Result<Self, Error> {
        use domain::ports::Entropy as _;
        let Some(name) = destination.file_name() else {
            return Err(Error::Usage(format!("{}: is not the name of a file", destination.display())));
        };
        let mut chance = [0; 8];
        service_runtime::clock::SystemEntropy.fill(&mut chance);
        let name = format!(".{}.{}.part", name.to_string_lossy(), domain::hex(&chance));
        let path = destination.with_file_name(name);
        let mut options = OpenOptions::new();
        options.write(true).create_new(true);
        // History names people: it is for the one who asked.
        #[cfg(unix)]
        std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
        let file = options.open(&path).map_err(|error| failed(&path, &error))?;
        let destination = destination.to_owned();
        Ok(Self { file, path, destination, digest: Context::new(&SHA256), kept: false })
    }

    fn write(&mut self, data: &[u8]) -> Result<(), Error> {
        self.digest.update(data);
        self.file.write_all(data).map_err(|error| failed(&self.path, &error))
    }

    /// Gives the file its name, if it is what the server sent.
    fn keep(mut self, sha256: &[u8]) -> Result<(), Error> {
        if self.digest.clone().finish().as_ref() != sha256 {
            let text = "the export is damaged: its SHA-256 is not the server's; nothing was written";
            return Err(Error::Failed(text.to_owned()));
        }
        self.file.sync_all().map_err(|error| failed(&self.path, &error))?;
        std::fs::rename(&self.path, &self.destination).map_err(|error| failed(&self.destination, &error))?;
        self.kept = true;
        let folder = self.destination.parent().filter(|folder| !folder.as_os_str().is_empty());
        File::open(folder.unwrap_or(Path::new(".")))
            .and_then(|folder| folder.sync_all())
            .map_err(|error| failed(&self.destination, &error))
    }
}

impl Drop for Part {
    fn drop(&mut self) {
        if !self.kept {
            let _ = std::fs::remove_file(&self.path);
        }
    }
}

fn failed(path: &Path, error: &std::io::Error) -> Error {
    Error::Failed(format!("{}: {error}", path.display()))
}
