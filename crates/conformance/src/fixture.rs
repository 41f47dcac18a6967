//! How the suite gets hold of fresh logs on each engine.

mod jetstream;
mod kurrentdb;
mod sqlite;

use crate::{Arguments, Engine, Fixed};

/// A fixture whose server was seen to take a log.
pub(crate) async fn make(arguments: &Arguments) -> Fixed {
    match arguments.engine {
        Engine::Sqlite => sqlite::make(arguments),
        Engine::Jetstream => jetstream::make(arguments).await,
        Engine::Kurrentdb => kurrentdb::make(arguments).await,
    }
}
