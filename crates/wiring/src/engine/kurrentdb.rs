//! The log on KurrentDB.

use super::{Watch, new_id};
use domain::ports::Entropy;
use event_log::{EventLog, LogError};
use event_log_kurrentdb::{KurrentDbConfig, KurrentDbLog, User};
use futures::FutureExt;
use service_runtime::config::LogConfig;
use std::sync::Arc;

pub(super) async fn open(
    config: &LogConfig,
    entropy: &dyn Entropy,
) -> Result<(Arc<dyn EventLog>, Watch), LogError> {
    let log = KurrentDbLog::open(kurrentdb(config, entropy)?).await?;
    let watched = log.clone();
    let watch: Watch = Box::new(move || watched.clone().watch().boxed());
    let log: Arc<dyn EventLog> = Arc::new(log);
    Ok((log, watch))
}

/// A log that is there: nothing is made.
pub(super) async fn open_existing(
    config: &LogConfig,
    entropy: &dyn Entropy,
) -> Result<Arc<dyn EventLog>, LogError> {
    Ok(Arc::new(KurrentDbLog::open_existing(kurrentdb(config, entropy)?).await?))
}

fn kurrentdb(config: &LogConfig, entropy: &dyn Entropy) -> Result<KurrentDbConfig, LogError> {
    let LogConfig::Kurrentdb {
        connection,
        user,
        password_file,
        namespace,
        node_urls,
        operator_asserts_flush_to_disk,
    } = config
    else {
        return Err(LogError::Unsafe("log.engine: must be kurrentdb".into()));
    };
    let user = match (user, password_file) {
        (Some(name), Some(file)) => {
            let password = std::fs::read_to_string(file)
                .map_err(|error| LogError::Unavailable(format!("{}: {error}", file.display())))?;
            Some(User { name: name.clone(), password: password.trim_end_matches(['\r', '\n']).to_owned() })
        }
        (None, _) | (_, None) => None,
    };
    Ok(KurrentDbConfig {
        connection: connection.clone(),
        user,
        namespace: namespace.clone(),
        node_urls: node_urls.clone(),
        operator_asserts_flush_to_disk: *operator_asserts_flush_to_disk,
        new_id: new_id(entropy),
        process: new_id(entropy),
    })
}
