//! The store: keys made, found and erased in the bucket.

use crate::bucket::{Bucket, failed};
use crate::safety::{PREFIX, STREAM};
use crate::wrapping::{NotUnwrapped, WrappingKeys};
use async_nats::HeaderMap;
use async_nats::header::NATS_EXPECTED_LAST_SUBJECT_SEQUENCE;
use async_nats::jetstream::message::StreamMessage;
use async_nats::jetstream::stream::RawMessage;
use async_nats::jetstream::{self, ErrorCode};
use domain::PersonId;
use domain::ports::SharedEntropy;
use journal::key_store::{KeyStore, KeyStoreError};
use journal::seal::PersonKey;
use serde::Deserialize;
use serde_json::json;
use std::collections::BTreeSet;
use std::time::Duration;

/// How often a key is looked for that another replica has just made, or erased, as the leader's writers say and its readers do not
/// yet.
const TRIES_MAX: u32 = 8;
/// The pause before the second try; each one is twice as long.
const PAUSE: Duration = Duration::from_millis(2);

/// Keys in a bucket of JetStream, for processes of any number of machines.
pub struct JetStreamKeyStore {
    bucket: Bucket,
    wrapping: WrappingKeys,
    entropy: SharedEntropy,
}

impl JetStreamKeyStore {
    /// Keys in `bucket`, stored under `wrapping`.
    pub fn new(bucket: Bucket, wrapping: WrappingKeys, entropy: SharedEntropy) -> Self {
        Self { bucket, wrapping, entropy }
    }

    /// What is stored for the person, as the leader has it.
    async fn stored(&self, person: &PersonId) -> Result<Option<RawMessage>, KeyStoreError> {
        #[derive(Deserialize)]
        struct Found {
            message: RawMessage,
        }
        let which = json!({ "last_by_subj": subject(person) });
        match self.bucket.api::<Found>(&format!("STREAM.MSG.GET.{STREAM}"), &which).await? {
            Ok(Found { message }) => Ok(Some(message)),
            Err(error) if error.error_code() == ErrorCode::NO_MESSAGE_FOUND => Ok(None),
            Err(error) => Err(failed(&error)),
        }
    }

    /// Stores a person's first key. Says whether there was none.
    async fn store_first(&self, person: &PersonId, wrapped: Vec<u8>) -> Result<bool, KeyStoreError> {
        #[derive(Deserialize)]
        struct Ack {
            error: Option<jetstream::Error>,
            #[serde(default)]
            stream: String,
        }
        let mut headers = HeaderMap::new();
        headers.insert(NATS_EXPECTED_LAST_SUBJECT_SEQUENCE, "0");
        let answer = self.bucket.request(subject(person), Some(headers), wrapped.into()).await?;
        let ack: Ack = serde_json::from_slice(&answer).map_err(|error| failed(&error))?;
        match ack.error {
            None if ack.stream == STREAM => Ok(true),
            None => Err(KeyStoreError::new(format!("the stream {:?} answered", ack.stream))),
            Some(error) => match error.error_code() {
                ErrorCode::STREAM_WRONG_LAST_SEQUENCE | ErrorCode::STREAM_WRONG_LAST_SEQUENCE_CONSTANT => {
                    Ok(false)
                }
                _ => Err(failed(&error)),
            },
        }
    }
}

/// The pause after a number of tries.
async fn pause(tries: u32) {
    if tries > 0 {
        tokio::time::sleep(PAUSE.saturating_mul(1 << tries)).await;
    }
}

fn subject(person: &PersonId) -> String {
    format!("{PREFIX}{}", person.as_str())
}

#[async_trait::async_trait]
impl KeyStore for JetStreamKeyStore {
    async fn obtain(&self, person: &PersonId) -> Result<PersonKey, KeyStoreError> {
        match self.find(person).await? {
            Some(key) => Ok(key),
            None => self.keep(&PersonKey::generate(person.clone(), self.entropy.as_ref())).await,
        }
    }

    async fn keep(&self, key: &PersonKey) -> Result<PersonKey, KeyStoreError> {
        let person = key.person();
        for tries in 0..TRIES_MAX {
            let wrapped = self
                .wrapping
                .wrap(person, key, self.entropy.as_ref())
                .ok_or_else(|| KeyStoreError::new("a key cannot be wrapped"))?;
            if self.store_first(person, wrapped).await? {
                return Ok(key.clone());
            }
            if let Some(found) = self.find(person).await? {
                return Ok(found);
            }
            pause(tries).await;
        }
        Err(KeyStoreError::new("a key that another replica has made does not arrive"))
    }

    async fn people(&self) -> Result<BTreeSet<PersonId>, KeyStoreError> {
        let mut people = BTreeSet::new();
        let (mut offset, mut strange) = (0, 0_usize);
        loop {
            let (subjects, total) = self.bucket.subjects(offset).await?;
            offset += subjects.len();
            let is_last = subjects.is_empty() || offset >= total;
            for subject in subjects {
                let Ok(person) = PersonId::new(subject.strip_prefix(PREFIX).unwrap_or_default()) else {
                    strange += 1;
                    continue;
                };
                people.insert(person);
            }
            if is_last {
                // Whoever may write a key may write beside them. How many, not which: nobody knows what such a name says.
                if strange > 0 {
                    tracing::warn!(strange, "entries of the key store that are nobody's key are passed over");
                }
                return Ok(people);
            }
        }
    }

    async fn find(&self, person: &PersonId) -> Result<Option<PersonKey>, KeyStoreError> {
        let Some(stored) = self.stored(person).await? else { return Ok(None) };
        // Whatever is wrong with it, headers and all: the server has answered, and others' keys are as good as ever.
        let unusable = |why: String| KeyStoreError::unusable(person, why);
        let message = StreamMessage::try_from(stored).map_err(|error| unusable(error.to_string()))?;
        let key = self.wrapping.unwrap(person, &message.payload);
        key.map(Some).map_err(|error| match error {
            NotUnwrapped::UnknownWrappingKey => {
                KeyStoreError::wrapped_with_another(person, error.to_string())
            }
            NotUnwrapped::Foreign => unusable(error.to_string()),
        })
    }

    /// The server overwrites what it deletes.
    async fn erase(&self, person: &PersonId) -> Result<bool, KeyStoreError> {
        #[derive(Deserialize)]
        struct Deleted {}
        let (mut erased, mut first) = (false, None);
        for tries in 0..TRIES_MAX {
            let Some(stored) = self.stored(person).await? else { return Ok(erased) };
            // One that was made since the other was erased is for what is written since.
            if *first.get_or_insert(stored.sequence) != stored.sequence {
                return Ok(erased);
            }
            let which = json!({ "seq": stored.sequence });
            match self.bucket.api::<Deleted>(&format!("STREAM.MSG.DELETE.{STREAM}"), &which).await? {
                Ok(Deleted {}) => erased = true,
                // Another replica has erased it meanwhile.
                Err(error) if error.error_code() == ErrorCode::SEQUENCE_NOT_FOUND => {}
                Err(error) => return Err(failed(&error)),
            }
            pause(tries).await;
        }
        Err(KeyStoreError::new("a key that was erased is still there"))
    }
}
