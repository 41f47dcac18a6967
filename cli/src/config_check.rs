//! `daypass config check`: everything that is wrong with a configuration file, at once.

use std::path::PathBuf;
use std::process::ExitCode;
use wiring::Settings;

/// Works on configuration files.
#[derive(clap::Args)]
pub(crate) struct Arguments {
    #[command(subcommand)]
    command: ConfigCommand,
}

#[derive(clap::Subcommand)]
enum ConfigCommand {
    /// Says what is wrong with a configuration file, all at once.
    Check {
        /// The configuration file.
        #[arg(long, env = "DAYPASS_CONFIG")]
        config: PathBuf,
    },
}

pub(crate) fn run(arguments: Arguments) -> ExitCode {
    let ConfigCommand::Check { config } = arguments.command;
    match Settings::read(&config) {
        Ok(_) => ExitCode::SUCCESS,
        Err(problems) => {
            for problem in &problems.0 {
                let _ = crate::error::complain(problem);
            }
            ExitCode::from(2)
        }
    }
}
