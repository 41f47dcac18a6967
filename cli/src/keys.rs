//! `daypass keys copy`: people's keys, from one key store to another: a backup, or back from one.
//!
//! INVARIANT: nothing secret is printed, and no key is replaced.

use crate::error::complain;
use crate::output;
use crate::place::NatsServers;
use domain::ports::SharedEntropy;
use journal::key_store::{KeyStore, KeyStoreError};
use service_runtime::clock::SystemEntropy;
use std::path::PathBuf;
use std::process::ExitCode;
use std::sync::Arc;
use wiring::{StartError, key_store};

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
        /// The file with the wrapping keys, for a key store on NATS servers.
        #[arg(long, value_name = "FILE")]
        wrapping_keys: Option<PathBuf>,
        #[command(flatten)]
        servers: NatsServers,
    },
}

pub(crate) async fn run(arguments: Arguments) -> ExitCode {
    let KeysCommand::Copy { from, to, wrapping_keys, servers } = arguments.command;
    let section = |name: &str| {
        servers.keys(name, wrapping_keys.as_deref()).map_err(|wrong| StartError::Other(wrong.to_owned()))
    };
    let entropy: SharedEntropy = Arc::new(SystemEntropy);
    let copied = async {
        let source = key_store::open_existing(&section(&from)?, Arc::clone(&entropy)).await?;
        let target = key_store::open(&section(&to)?, entropy).await?;
        copy(source.as_ref(), target.as_ref()).await
    };
    match copied.await {
        Ok(copied) => match output::print(&copied.to_string()) {
            Ok(()) => ExitCode::SUCCESS,
            Err(error) => error.exit_code(),
        },
        Err(error) => complain(&error),
    }
}

#[derive(Debug, PartialEq, Eq)]
struct Copied {
    new: usize,
    there: usize,
    /// Keys that cannot be used: the others are copied all the same.
    unusable: usize,
}

impl std::fmt::Display for Copied {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let Self { new, there, unusable } = self;
        write!(f, "{new} keys copied, {there} were there")?;
        if *unusable > 0 { write!(f, ", {unusable} cannot be used and were left out") } else { Ok(()) }
    }
}

async fn copy(from: &dyn KeyStore, to: &dyn KeyStore) -> Result<Copied, StartError> {
    let (mut missing, mut there, mut different, mut unusable) = (Vec::new(), 0, 0, 0);
    for person in from.people().await? {
        // Who was erased meanwhile stays so.
        let key = match from.find(&person).await {
            Ok(Some(key)) => key,
            Ok(None) => continue,
            Err(error @ KeyStoreError::Unusable { .. }) => {
                tracing::warn!(%error, "not copied");
                unusable += 1;
                continue;
            }
            Err(error) => return Err(error.into()),
        };
        match to.find(&person).await? {
            None => missing.push(key),
            Some(found) if found == key => there += 1,
            Some(_) => different += 1,
        }
    }
    if different > 0 {
        return Err(another_key(different));
    }
    for key in &missing {
        if to.keep(key).await? != *key {
            return Err(another_key(1));
        }
    }
    let copied = Copied { new: missing.len(), there, unusable };
    // Not one of them: it is the wrapping keys that are wrong.
    if unusable > 0 && copied.new == 0 && there == 0 {
        return Err(StartError::Other(format!(
            "none of {unusable} keys can be used: are these the wrapping keys?"
        )));
    }
    Ok(copied)
}

fn another_key(people: usize) -> StartError {
    StartError::Other(format!(
        "{people} people have another key in the target, and no key is replaced: is it the key store of another log?"
    ))
}

#[cfg(test)]
mod tests {
    use super::*;
    use domain::PersonId;
    use journal::key_store::MemoryKeyStore;
    use journal::seal::PersonKey;

    fn store() -> MemoryKeyStore {
        MemoryKeyStore::new(Arc::new(SystemEntropy))
    }

    fn person(digit: char) -> PersonId {
        PersonId::new(digit.to_string().repeat(32)).unwrap()
    }

    #[tokio::test]
    async fn one_key_that_cannot_be_used_keeps_no_other_from_being_copied() {
        let (store, backup) = (store(), store());
        store.obtain(&person('a')).await.unwrap();
        store.damage(&person('b'));
        let copied = copy(&store, &backup).await.unwrap();
        assert_eq!(copied, Copied { new: 1, there: 0, unusable: 1 });
        assert_eq!(copied.to_string(), "1 keys copied, 0 were there, 1 cannot be used and were left out");
        store.damage(&person('a'));
        assert!(copy(&store, &backup).await.is_err(), "none of them: somebody should know");
    }

    #[tokio::test]
    async fn a_justification_can_be_read_again_after_the_key_store_was_lost_and_restored() {
        let (lost, backup, new) = (store(), store(), store());
        let key = lost.obtain(&person('a')).await.unwrap();
        let sealed = key.seal("place", "the pager went off", &SystemEntropy).unwrap();
        assert_eq!(copy(&lost, &backup).await.unwrap(), Copied { new: 1, there: 0, unusable: 0 });
        assert_eq!(copy(&backup, &new).await.unwrap(), Copied { new: 1, there: 0, unusable: 0 });
        let restored = new.find(&person('a')).await.unwrap().unwrap();
        assert_eq!(restored.open("place", &sealed).unwrap(), "the pager went off");
        assert_eq!(copy(&backup, &new).await.unwrap(), Copied { new: 0, there: 1, unusable: 0 }, "once more");
    }

    #[tokio::test]
    async fn where_anybody_has_another_key_nothing_is_copied() {
        let (from, to) = (store(), store());
        from.obtain(&person('a')).await.unwrap();
        from.obtain(&person('b')).await.unwrap();
        let theirs = to.keep(&PersonKey::from_secret(person('b'), [7; 32])).await.unwrap();
        let refused = copy(&from, &to).await.unwrap_err().to_string();
        assert!(refused.starts_with("1 people have another key"), "{refused}");
        assert_eq!(to.find(&person('a')).await.unwrap(), None);
        assert_eq!(to.find(&person('b')).await.unwrap(), Some(theirs));
    }

    #[tokio::test]
    async fn who_was_erased_before_the_backup_stays_erased() {
        let (from, to) = (store(), store());
        from.obtain(&person('a')).await.unwrap();
        from.erase(&person('a')).await.unwrap();
        assert_eq!(copy(&from, &to).await.unwrap(), Copied { new: 0, there: 0, unusable: 0 });
        assert_eq!(to.find(&person('a')).await.unwrap(), None);
    }
}
