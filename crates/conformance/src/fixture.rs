//! How the suite gets hold of fresh logs on each engine.

mod jetstream;
mod kurrentdb;
mod sqlite;

use crate::{Arguments, Engine, Fixed};
use event_log::LogError;
use tokio::sync::mpsc::UnboundedSender;

/// A fixture whose server was seen to take a log; `unusable` is told if it takes none any more.
pub(crate) async fn make(arguments: &Arguments, unusable: UnboundedSender<LogError>) -> Fixed {
    match arguments.engine {
        Engine::Sqlite => sqlite::make(arguments),
        Engine::Jetstream => jetstream::make(arguments, unusable).await,
        Engine::Kurrentdb => kurrentdb::make(arguments).await,
    }
}
