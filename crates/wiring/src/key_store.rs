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
            let wrapping = WrappingKeys::read(wrapping_keys_file).map_err(|error| {
                KeyStoreError::Unsafe(format!("{}: {error}", wrapping_keys_file.display()))
            })?;
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::process::StartError;
    use service_runtime::clock::SystemEntropy;

    #[tokio::test]
    async fn who_has_no_wrapping_keys_does_not_wait_for_them() {
        let no_keys = concat!(env!("CARGO_MANIFEST_DIR"), "/Cargo.toml");
        for (file, why) in [("/nowhere/wrapping.keys", "cannot be read"), (no_keys, "64 hexadecimal digits")]
        {
            let keys = KeysSection::Jetstream {
                servers: vec!["nats://127.0.0.1:1".to_owned()],
                credentials_file: None,
                nkey_seed_file: None,
                ca_file: None,
                replicas: 3,
                dev: false,
                wrapping_keys_file: file.into(),
            };
            let error = StartError::from(open(&keys, Arc::new(SystemEntropy)).await.err().unwrap());
            assert!(error.to_string().contains(why), "{error}");
            assert!(!error.may_pass(), "{error}");
        }
    }

    #[test]
    fn a_key_store_that_is_away_is_waited_for_and_one_that_is_refused_is_not() {
        assert!(StartError::Keys(KeyStoreError::new("not connected")).may_pass());
        assert!(!StartError::Keys(KeyStoreError::Unsafe("max_age must be unlimited".to_owned())).may_pass());
    }
}
