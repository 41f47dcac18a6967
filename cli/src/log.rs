//! `daypass log`: the same events, byte for byte, in another engine ([`copy`](LogCommand::Copy)), or in a new log that goes on after
//! the old one was lost ([`restore`](LogCommand::Restore)).

use crate::error::{Error, complain_of};
use crate::output::warn;
use crate::place::LogServers;
use backup::{BackupError, Copied, Restored, Restorer};
use service_runtime::clock::SystemEntropy;
use service_runtime::config::LogConfig;
use std::process::ExitCode;
use std::sync::Arc;
use wiring::{StartError, engine};

/// Works on logs themselves.
#[derive(clap::Args)]
pub(crate) struct Arguments {
    #[command(subcommand)]
    command: LogCommand,
}

#[derive(clap::Subcommand)]
enum LogCommand {
    /// Copies every event of one log to another, in order. What the other holds already is skipped, so that a copy that was cut
    /// short can be run again. A log is a file of SQLite, `nats://host:port`, or `kurrentdb://host:port`. What is no event, or has the id
    /// of one before it, and what follows it in its stream, is left out: standard error names the stream.
    Copy {
        /// The log to read.
        from: String,
        /// The log to write; made where there is none.
        to: String,
        #[command(flatten)]
        servers: LogServers,
    },
    /// Makes a new log out of a backup: the same events in a log with an id of its own, which says that it was restored. Services
    /// on it look through AWS before they grant anything. None may run on it before this is done.
    Restore {
        /// The copy of the log that was lost.
        backup: String,
        /// The new log; made where there is none. It must have no events.
        target: String,
        /// Go on with a restore of the same backup to the same log that was cut short.
        #[arg(long)]
        resume: bool,
        #[command(flatten)]
        servers: LogServers,
    },
}

pub(crate) async fn run(arguments: Arguments) -> ExitCode {
    match done(arguments.command).await {
        Ok(told) => {
            say(&told);
            ExitCode::SUCCESS
        }
        Err(error) => complain_of(&error),
    }
}

async fn done(command: LogCommand) -> Result<String, Error> {
    match command {
        LogCommand::Copy { from, to, servers } => {
            let named = |name: &str| servers.log(name).map_err(Error::Usage);
            Ok(copy(&named(&from)?, &named(&to)?).await?)
        }
        LogCommand::Restore { backup, target, resume, servers } => {
            let named = |name: &str| servers.log(name).map_err(Error::Usage);
            Ok(restore(&named(&backup)?, &named(&target)?, resume).await?)
        }
    }
}

async fn copy(from: &LogConfig, to: &LogConfig) -> Result<String, StartError> {
    let entropy = SystemEntropy;
    let source = engine::open_read_only(from, &entropy).await?;
    let target = engine::open(to, &entropy).await?;
    let copied = backup::copy(source.as_ref(), target.log.as_ref(), &entropy).await;
    target.close().await;
    let copied = copied.map_err(failed)?;
    Ok(format!("{} events copied{}", copied.new, warn_of_cuts(&copied)))
}

async fn restore(backup: &LogConfig, target: &LogConfig, resume: bool) -> Result<String, StartError> {
    let entropy = SystemEntropy;
    let restorer = Restorer {
        actor: wiring::this_program("restore")?,
        clock: wiring::machine_clock(views::clock_health::SKEW_MAX),
        entropy: Arc::new(SystemEntropy),
    };
    let source = engine::open_read_only(backup, &entropy).await?;
    let open = engine::open(target, &entropy).await?;
    let made = backup::restore(source.as_ref(), &open.log, restorer, resume).await;
    open.close().await;
    Ok(told(&made.map_err(failed)?))
}

fn failed(error: BackupError) -> StartError {
    match error {
        BackupError::Log(error) => error.into(),
        BackupError::Refused(why) => StartError::Other(why),
    }
}

/// What is said of a restored log.
fn told(restored: &Restored) -> String {
    let id = restored.id;
    let Some(copied) = &restored.copied else {
        return format!("the log {id} was restored from this backup before: nothing is left to do");
    };
    format!(
        "{} events restored to a new log, {id}; services look through AWS before they grant anything on it; \
         have sources tell again who left since the backup, and what else they told: the log does not know it{}",
        copied.all,
        warn_of_cuts(copied)
    )
}

/// Names each stream that ends early on standard error, and gives what is to be said of them after the number of events. The copy
/// is as good as it can be, so nothing failed; whoever reads what a nightly job printed must see what it lacks.
fn warn_of_cuts(copied: &Copied) -> String {
    for (stream, cut) in &copied.cut_short {
        warn(&format!("{stream}: cut short, {cut}; that and what follows it there is not copied"));
    }
    match copied.cut_short.len() {
        0 => String::new(),
        1 => "; 1 stream was cut short".to_owned(),
        many => format!("; {many} streams were cut short"),
    }
}

#[expect(clippy::print_stdout, reason = "the result of the command")]
fn say(text: &str) {
    println!("{text}");
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Nothing in AWS tells who left, so nothing but a person can bring it back.
    #[test]
    fn a_restore_reminds_of_the_departures_that_the_backup_does_not_know() {
        let id = "00000000-0000-8000-8000-000000000001".parse().unwrap();
        let copied = Copied { all: 3, new: 3, ..Copied::default() };
        let told = told(&Restored { id, copied: Some(copied) });
        assert!(told.starts_with("3 events restored") && told.contains(&id.to_string()), "{told}");
        assert!(told.contains("tell again who left since the backup"), "{told}");
    }
}
