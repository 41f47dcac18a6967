//! `daypass signals`: messages from the bus that were not believed, for the operator who looks into it.
//!
//! INVARIANT: nothing is believed here. What is replayed is looked at by `request`, as it came and by the checks that everything
//! passes; the rights of this program end at its number.

use crate::error::Error;
use crate::output::{Format, finish, json, print, table, text, warn};
use messaging::{BusError, Parked, Parking};
use serde_json::{Value, json};
use std::path::PathBuf;
use std::process::ExitCode;
use std::sync::Arc;

/// Works on signals.
#[derive(clap::Args)]
pub(crate) struct Arguments {
    #[command(subcommand)]
    command: SignalsCommand,
}

#[derive(clap::Subcommand)]
enum SignalsCommand {
    /// Messages from the bus that were not believed
    #[command(subcommand)]
    Parked(ParkedCommand),
}

#[derive(clap::Subcommand)]
enum ParkedCommand {
    /// Those that are there, the oldest first
    List {
        /// Only those with a number above this one
        #[arg(long, value_name = "NUMBER", default_value_t = 0)]
        after: u64,
        /// Show so many
        #[arg(long, value_name = "COUNT", default_value_t = 50)]
        limit: u16,
        #[arg(long, short, value_enum, default_value_t)]
        output: Format,
        #[command(flatten)]
        bus: Bus,
    },
    /// One of them, with what it says
    Show {
        number: u64,
        #[arg(long, short, value_enum, default_value_t)]
        output: Format,
        #[command(flatten)]
        bus: Bus,
    },
    /// Have them looked at again, as they came: after the configuration was mended. What is still not believed is parked again
    Replay {
        #[arg(required = true, value_name = "NUMBER")]
        numbers: Vec<u64>,
        #[command(flatten)]
        bus: Bus,
    },
    /// Forget them
    Discard {
        #[arg(required = true, value_name = "NUMBER")]
        numbers: Vec<u64>,
        #[command(flatten)]
        bus: Bus,
    },
}

/// Where the bus is.
#[derive(clap::Args)]
struct Bus {
    /// The URL of a server, `nats://…` or `tls://…`; once for each
    #[arg(long = "server", value_name = "URL", required = true)]
    servers: Vec<String>,
    /// The seed of `bus-operator`, as `daypass nats config` made it
    #[arg(long, value_name = "FILE")]
    seed: Option<PathBuf>,
    /// The CA of the servers
    #[arg(long, value_name = "FILE")]
    ca_file: Option<PathBuf>,
}

impl Bus {
    async fn parking(&self) -> Result<Arc<dyn Parking>, Error> {
        let parking = wiring::bus::parking(&self.servers, self.seed.as_ref(), self.ca_file.as_ref());
        parking.await.map_err(|error| failed(&error))
    }
}

pub(crate) async fn run(arguments: Arguments) -> ExitCode {
    let SignalsCommand::Parked(command) = arguments.command;
    match command {
        ParkedCommand::List { after, limit, output, bus } => {
            finish(output, list(bus, after, usize::from(limit), output)).await
        }
        ParkedCommand::Show { number, output, bus } => finish(output, show(bus, number, output)).await,
        ParkedCommand::Replay { numbers, bus } => finish(Format::Table, replay(bus, numbers)).await,
        ParkedCommand::Discard { numbers, bus } => finish(Format::Table, discard(bus, numbers)).await,
    }
}

async fn list(bus: Bus, after: u64, limit: usize, output: Format) -> Result<(), Error> {
    let mut found =
        bus.parking().await?.list(after, limit.saturating_add(1)).await.map_err(|error| failed(&error))?;
    if found.len() > limit {
        warn("there is more: raise --limit");
        found.truncate(limit);
    }
    match output {
        Format::Json => print(&json::text(&found.iter().map(object).collect())),
        Format::Table if found.is_empty() => print("nothing is parked"),
        Format::Table => {
            let row = |parked: &Parked| {
                [
                    parked.number.to_string(),
                    parked.read_at.to_string(),
                    text::visible(&parked.message.subject),
                    text::visible(&parked.why),
                ]
            };
            print(&table::table(["number", "read", "subject", "why"], found.iter().map(row)))
        }
    }
}

async fn show(bus: Bus, number: u64, output: Format) -> Result<(), Error> {
    let parked = found(bus.parking().await?.as_ref(), number).await?;
    match output {
        Format::Json => print(&json::text(&object(&parked))),
        Format::Table => {
            let Parked { number, why, read_at, message } = &parked;
            print(&table::sheet([
                ("Number", number.to_string()),
                ("Why", text::visible(why)),
                ("Subject", text::visible(&message.subject)),
                ("Sent", message.sent_at.to_string()),
                ("Read", read_at.to_string()),
                ("Signature", text::visible(message.signature.as_deref().unwrap_or_default())),
                ("Body", text::lines(&String::from_utf8_lossy(&message.body))),
            ]))
        }
    }
}

async fn replay(bus: Bus, numbers: Vec<u64>) -> Result<(), Error> {
    let parking = bus.parking().await?;
    for number in numbers {
        found(parking.as_ref(), number).await?;
        parking.replay(number).await.map_err(|error| failed(&error))?;
        print(&format!("{number} is looked at again; it stays parked until then"))?;
    }
    Ok(())
}

async fn discard(bus: Bus, numbers: Vec<u64>) -> Result<(), Error> {
    let parking = bus.parking().await?;
    for number in numbers {
        found(parking.as_ref(), number).await?;
        parking.remove(number).await.map_err(|error| failed(&error))?;
        print(&format!("{number} is discarded"))?;
    }
    Ok(())
}

async fn found(parking: &dyn Parking, number: u64) -> Result<Parked, Error> {
    let found = parking.find(number).await.map_err(|error| failed(&error))?;
    found.ok_or_else(|| Error::Failed(format!("there is no parked message {number}")))
}

/// A body that is JSON is shown as such.
fn object(parked: &Parked) -> Value {
    let Parked { number, why, read_at, message } = parked;
    let body = serde_json::from_slice(&message.body)
        .unwrap_or_else(|_| Value::from(String::from_utf8_lossy(&message.body)));
    json!({
        "number": number,
        "why": why,
        "readAt": read_at.to_string(),
        "sentAt": message.sent_at.to_string(),
        "subject": message.subject,
        "signature": message.signature,
        "body": body,
    })
}

fn failed(error: &BusError) -> Error {
    Error::Failed(error.to_string())
}
