//! History as a file, in chunks. The last message has its digest; a stream without it was cut short.

use crate::AuditService;
use crate::export::{File, csv, json_lines};
use crate::filter::Filter;
use crate::history::{Accounts, History};
use api::audit::v1::{ExportFormat, ExportRequest, ExportResponse, ExportSummary};
use bytes::Bytes;
use service_runtime::status::unimplemented;
use tonic::Status;
use tonic::codegen::BoxStream;
use views::refusal;

pub(super) async fn export(
    service: &AuditService,
    request: &ExportRequest,
) -> Result<BoxStream<ExportResponse>, Status> {
    let format = match ExportFormat::try_from(request.format) {
        Ok(ExportFormat::JsonLines) => Format::JsonLines,
        Ok(ExportFormat::Csv) => Format::Csv,
        Ok(ExportFormat::Parquet) => return Err(unimplemented("Parquet is declared, and not served yet")),
        Ok(ExportFormat::Unspecified) | Err(_) => {
            return Err(refusal::field("format", "must be a format that is known"));
        }
    };
    let filter = Filter::read(request.filter.as_ref())?;
    service.wait_for_position(&request.wait_for_position).await?;
    let range = service.range(request.from.as_ref(), request.to.as_ref()).await?;
    let accounts = match format {
        Format::JsonLines => Accounts::NotWanted,
        Format::Csv => Accounts::Wanted,
    };
    let mut file = File::default();
    if format == Format::Csv {
        file.put(&csv::heading());
    }
    let history = service.history(range, filter, accounts).await?;
    let export = Export {
        service: service.clone(),
        history,
        file,
        format,
        complete_to: service.views.token(range.to),
    };
    Ok(Box::pin(futures::stream::try_unfold(Some(export), |export| async {
        let Some(mut export) = export else { return Ok(None) };
        Ok(Some(match export.next_chunk().await? {
            Some(data) => (ExportResponse { data: data.to_vec(), summary: None }, Some(export)),
            None => (export.last_message(), None),
        }))
    })))
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Format {
    JsonLines,
    Csv,
}

struct Export {
    service: AuditService,
    history: History,
    file: File,
    format: Format,
    complete_to: String,
}

impl Export {
    async fn next_chunk(&mut self) -> Result<Option<Bytes>, Status> {
        loop {
            if let Some(chunk) = self.file.full_chunk() {
                return Ok(Some(chunk));
            }
            let Some((stored, about)) = self.history.next().await? else {
                return Ok(self.file.last_chunk());
            };
            let position = self.service.views.token(stored.recorded.position);
            let text = match self.format {
                Format::JsonLines => json_lines::line(&stored, &position),
                Format::Csv => csv::event(&stored, &position, &about),
            };
            self.file.put_event(&text);
        }
    }

    fn last_message(self) -> ExportResponse {
        let (events, sha256) = self.file.finish();
        let summary = ExportSummary { events, complete_to: self.complete_to, sha256: sha256.to_vec() };
        ExportResponse { data: Vec::new(), summary: Some(summary) }
    }
}
