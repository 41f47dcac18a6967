//! `daypass keys`: people's keys are copied from one key store to another, and looked at; what is no key is taken away.
//!
//! In reading order: [`copy`], [`check`], [`discard`].
//!
//! INVARIANT: nothing secret is printed, no key is replaced, and none that can be used is taken away.

mod check;
mod copy;
mod discard;

use crate::error::{Error, complain_of};
use crate::output;
use crate::place::NatsServers;
use domain::PersonId;
use journal::key_store::KeyStore;
use service_runtime::clock::SystemEntropy;
use std::path::PathBuf;
use std::process::ExitCode;
use std::sync::Arc;
use wiring::{KeysSection, StartError, key_store};

/// Works on key stores.
#[derive(clap::Args)]
pub(crate) struct Arguments {
    #[command(subcommand)]
    command: KeysCommand,
}

#[derive(clap::Subcommand)]
enum KeysCommand {
    /// Copies every key of one key store to another. Where the other has another key for somebody, nothing is copied. A key store is a
    /// file of SQLite, readable by its owner alone, or `nats://host:port`.
    Copy {
        /// The key store to read.
        from: String,
        /// The key store to write; made where there is none.
        to: String,
        /// The one person whose key is copied, by the id that `daypass keys check` tells.
        #[arg(long, value_name = "ID")]
        person: Option<PersonId>,
        #[command(flatten)]
        stores: Stores,
    },
    /// Says whose key cannot be used, and why; then the exit code is 1.
    Check {
        /// The key store.
        store: String,
        /// The one person whose key is looked at. Where they have none, the exit code is 1.
        #[arg(long, value_name = "ID")]
        person: Option<PersonId>,
        #[command(flatten)]
        stores: Stores,
    },
    /// Takes away what is stored for a person and is no key. A key that can be used stays. On NATS servers this is for `log-setup`.
    Discard {
        /// The key store.
        store: String,
        /// The person, by the id that `daypass keys check` tells.
        #[arg(long, value_name = "ID")]
        person: PersonId,
        /// Take it away although it was wrapped with a key that is not in the file: nothing will ever read what it sealed.
        #[arg(long)]
        wrapping_key_is_lost: bool,
        #[command(flatten)]
        stores: Stores,
    },
}

/// What is to be known of key stores beside their names.
#[derive(clap::Args)]
struct Stores {
    /// The file with the wrapping keys, for a key store on NATS servers.
    #[arg(long, value_name = "FILE")]
    wrapping_keys: Option<PathBuf>,
    #[command(flatten)]
    servers: NatsServers,
}

impl Stores {
    fn section(&self, name: &str) -> Result<KeysSection, Error> {
        let section = self.servers.keys(name, self.wrapping_keys.as_deref());
        section.map_err(|wrong| Error::Usage(wrong.to_owned()))
    }
}

pub(crate) async fn run(arguments: Arguments) -> ExitCode {
    let (told, code) = match done(arguments.command).await {
        Ok(outcome) => outcome,
        Err(error) => return complain_of(&error),
    };
    match output::print(&told) {
        Ok(()) => code,
        Err(error) => error.exit_code(),
    }
}

/// What there is to tell, and the exit code.
async fn done(command: KeysCommand) -> Result<(String, ExitCode), Error> {
    match command {
        KeysCommand::Copy { from, to, person, stores } => {
            let (from, to) = (stores.section(&from)?, stores.section(&to)?);
            let source = existing(&from).await?;
            let target = key_store::open(&to, Arc::new(SystemEntropy)).await.map_err(StartError::from)?;
            let copied = match person {
                Some(person) => copy::one(source.as_ref(), target.as_ref(), &person).await?,
                None => copy::all(source.as_ref(), target.as_ref()).await?,
            };
            Ok((copied.to_string(), ExitCode::SUCCESS))
        }
        KeysCommand::Check { store, person, stores } => {
            let store = existing(&stores.section(&store)?).await?;
            let checked = check::check(store.as_ref(), person.as_ref()).await?;
            let code = if checked.is_well() { ExitCode::SUCCESS } else { ExitCode::FAILURE };
            Ok((checked.to_string(), code))
        }
        KeysCommand::Discard { store, person, wrapping_key_is_lost, stores } => {
            let store = existing(&stores.section(&store)?).await?;
            let told = discard::discard(store.as_ref(), &person, wrapping_key_is_lost).await?;
            Ok((told, ExitCode::SUCCESS))
        }
    }
}

/// A key store that is there.
async fn existing(store: &KeysSection) -> Result<Arc<dyn KeyStore>, StartError> {
    Ok(key_store::open_existing(store, Arc::new(SystemEntropy)).await?)
}

fn has_no_key(person: &PersonId) -> StartError {
    StartError::Other(format!("{person} has no key"))
}
