//! `daypass audit`: history.

pub(crate) mod export;
pub(crate) mod list;
pub(crate) mod replay;

use crate::arguments::{IdPrefix, instant};
use crate::client::Client;
use crate::error::Error;
use crate::lookup;
use crate::output::Format;
use crate::output::text::{person, visible};
use api::audit::v1::{Event, EventFilter, Place, place};

/// The verbs.
#[derive(Debug, clap::Subcommand)]
pub(crate) enum Command {
    /// Events, newest first
    List(Box<list::Arguments>),
    /// The story of one request, or everything between two places, in the order of the log
    Replay(Box<replay::Arguments>),
    /// History as a file, checked to be whole
    Export(Box<export::Arguments>),
}

impl Command {
    pub(crate) fn output(&self) -> Format {
        match self {
            Self::List(arguments) => arguments.listing.output,
            Self::Replay(arguments) => arguments.output,
            Self::Export(arguments) => arguments.output,
        }
    }
}

pub(crate) async fn run(command: Command) -> Result<(), Error> {
    match command {
        Command::List(arguments) => list::run(*arguments).await,
        Command::Replay(arguments) => replay::run(*arguments).await,
        Command::Export(arguments) => export::run(*arguments).await,
    }
}

/// Which events.
#[derive(Debug, clap::Args)]
pub(crate) struct Which {
    /// Only those of one stream: policy-main, `request-ID`
    #[arg(long, value_name = "STREAM", default_value = "", hide_default_value = true)]
    stream: String,
    /// Only those of these stored types: request.approved.v1
    #[arg(long = "type", value_name = "TYPE", value_delimiter = ',')]
    types: Vec<String>,
    /// Only those about this account
    #[arg(long, value_name = "ID", value_parser = crate::arguments::account_id)]
    account: Option<String>,
}

impl Which {
    async fn filter(self, client: &Client, request: Option<&IdPrefix>) -> Result<EventFilter, Error> {
        let stream = match request {
            Some(id) => format!("request-{}", lookup::request_id(client, id).await?),
            None => self.stream,
        };
        let account_id = self.account.unwrap_or_default();
        Ok(EventFilter { stream, event_types: self.types, actor: None, account_id })
    }
}

/// A place in history: an instant, or a position that Daypass gave.
fn place(text: &str) -> Result<Place, &'static str> {
    let place = match instant(text) {
        Ok(at) => place::Place::Time(views::wire::time(at)),
        Err(_) if !text.is_empty() && text.len() <= 128 => place::Place::Position(text.to_owned()),
        Err(_) => return Err("must be an instant, or a position that Daypass gave"),
    };
    Ok(Place { place: Some(place) })
}

/// Who caused it.
fn who(event: &Event) -> String {
    match event.actor.as_ref().and_then(|actor| actor.person.as_ref()) {
        Some(actor) => person(actor),
        None => format!("{}, by itself", visible(&event.writer)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_place_is_an_instant_or_a_position() {
        let of = |text: &str| place(text).unwrap().place.unwrap();
        assert!(matches!(of("2026-11-21T02:00:00Z"), place::Place::Time(_)));
        assert!(matches!(of("0123456789ab.42"), place::Place::Position(_)));
        assert!(place("").is_err());
    }
}
