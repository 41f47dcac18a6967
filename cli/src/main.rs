//! `daypass`: ask for access, decide, use it, look back; and run Daypass itself.
//!
//! In reading order: [`arguments`] is the command line; [`client`] the connection and the token; [`commands`] one file per verb;
//! [`lookup`] turns what people type (a name, the beginning of an id) into ids; [`output`] writes tables and JSON; [`error`] says
//! why not, with the exit code. `dev` and
//! `serve` (over [`all`]), `log`, `keys`, `doctor`, `nats`, `signals` and `config_check` run Daypass and look after it.
//!
//! INVARIANT: no rule is decided here. A refusal comes from a service; this program only words it. Tokens and credentials are
//! never printed, but for the one answer that `daypass credentials` exists to give.

mod all;
mod arguments;
mod client;
mod commands;
mod config_check;
mod dev;
mod doctor;
mod error;
mod keys;
mod log;
mod lookup;
mod nats;
mod output;
mod place;
mod serve;
mod signals;

use clap::Parser as _;
use std::process::ExitCode;

#[tokio::main]
async fn main() -> ExitCode {
    let arguments = arguments::CommandLine::parse();
    service_runtime::tls::install_provider();
    arguments.command.run().await
}
