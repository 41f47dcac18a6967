//! Opens the key store that the configuration names.

use crate::nats::connection;
use crate::settings::KeysSection;
use domain::ports::SharedEntropy;
use journal::key_store::{KeyStore, KeyStoreError, SqliteKeyStore};
use key_store_jetstream::{Bucket, JetStreamKeyStore, WrappingKeys};
use std::sync::Arc;

/// Opens the store; made where there is none.
pub async fn open(keys: &KeysSection, entropy: SharedEntropy) -> Result<Arc<dyn KeyStore>, KeyStoreError> {
    opened(keys, entropy, true).await
}

/// Opens a store that is there.
pub async fn open_existing(
    keys: &KeysSection,
    entropy: SharedEntropy,
) -> Result<Arc<dyn KeyStore>, KeyStoreError> {
    opened(keys, entropy, false).await
}

async fn opened(
    keys: &KeysSection,
    entropy: SharedEntropy,
    make: bool,
) -> Result<Arc<dyn KeyStore>, KeyStoreError> {
    match keys {
        KeysSection::Sqlite { path } if !make && !path.exists() => {
            Err(KeyStoreError::new(format!("{} is not there", path.display())))
        }
        KeysSection::Sqlite { path } => Ok(Arc::new(SqliteKeyStore::open(path, entropy)?)),
        KeysSection::Jetstream {
            servers,
            credentials_file,
            nkey_seed_file,
            ca_file,
            replicas,
            dev,
            wrapping_keys_file,
        } => {
            let wrapping = WrappingKeys::read(wrapping_keys_file)
                .map_err(|error| KeyStoreError::new(format!("{}: {error}", wrapping_keys_file.display())))?;
            let connection =
                connection(servers, credentials_file.as_ref(), nkey_seed_file.as_ref(), ca_file.as_ref());
            let bucket = if make {
                Bucket::open(&connection, *replicas, *dev).await?
            } else {
                Bucket::open_existing(&connection, *replicas, *dev).await?
            };
            Ok(Arc::new(JetStreamKeyStore::new(bucket, wrapping, entropy)))
        }
    }
}
