//! The bucket: found or made, and spoken to.

use crate::safety::{STREAM, bucket_config, unsafe_settings};
use async_nats::client::Request;
use async_nats::connection::State;
use async_nats::jetstream::response::Response;
use async_nats::jetstream::stream::Info;
use async_nats::jetstream::{self, ErrorCode};
use async_nats::{Client, HeaderMap};
use bytes::Bytes;
use journal::key_store::KeyStoreError;
use nats_connection::Connection;
use serde::Deserialize;
use serde::de::DeserializeOwned;
use serde_json::{Value, json};
use std::collections::BTreeMap;
use std::time::Duration;

/// How long an answer may take: covers a cluster that elects a leader.
const ANSWER_WITHIN: Duration = Duration::from_secs(5);

/// A bucket that is as it must be.
pub struct Bucket {
    client: Client,
}

impl Bucket {
    /// Connects, makes the bucket on so many servers if there is none, and refuses one that could keep what is erased or lose what
    /// is not. Fewer than three servers are for `dev`elopment.
    pub async fn open(connection: &Connection, replicas: usize, dev: bool) -> Result<Self, KeyStoreError> {
        let bucket = Self::connect(connection).await?;
        let info = bucket.find_or_create(replicas).await?;
        bucket.refuse_unsafe(&info, replicas, dev)
    }

    /// The same, of a bucket that is there: nothing is made.
    pub async fn open_existing(
        connection: &Connection,
        replicas: usize,
        dev: bool,
    ) -> Result<Self, KeyStoreError> {
        let bucket = Self::connect(connection).await?;
        let info =
            bucket.info().await?.ok_or_else(|| KeyStoreError::new(format!("{STREAM} is not there")))?;
        bucket.refuse_unsafe(&info, replicas, dev)
    }

    async fn connect(connection: &Connection) -> Result<Self, KeyStoreError> {
        let options = connection.options("daypass-keys").await.map_err(|error| failed(&error))?;
        let addresses = connection.addresses().map_err(|error| failed(&error))?;
        let client = options
            .connect(addresses)
            .await
            .map_err(|error| KeyStoreError::new(format!("cannot connect: {error}")))?;
        Ok(Self { client })
    }

    fn refuse_unsafe(self, info: &Info, replicas: usize, dev: bool) -> Result<Self, KeyStoreError> {
        let unsafe_settings = unsafe_settings(&info.config, replicas, dev);
        if unsafe_settings.is_empty() {
            return Ok(self);
        }
        Err(KeyStoreError::Unsafe(format!("the stream {STREAM}: {}", unsafe_settings.join(", "))))
    }

    async fn info(&self) -> Result<Option<Info>, KeyStoreError> {
        match self.api::<Info>(&format!("STREAM.INFO.{STREAM}"), &Value::Null).await? {
            Err(error) if error.error_code() == ErrorCode::STREAM_NOT_FOUND => Ok(None),
            found => found.map(Some).map_err(|error| failed(&error)),
        }
    }

    /// Subjects that have a message, from the one at `offset` on, and how many there are in all. The server tells so many at a time.
    pub(crate) async fn subjects(&self, offset: usize) -> Result<(Vec<String>, usize), KeyStoreError> {
        #[derive(Deserialize)]
        struct Told {
            state: State,
            #[serde(default)]
            total: usize,
        }
        #[derive(Deserialize)]
        struct State {
            #[serde(default)]
            subjects: Option<BTreeMap<String, u64>>,
        }
        let which = json!({ "subjects_filter": ">", "offset": offset });
        let told = self.api::<Told>(&format!("STREAM.INFO.{STREAM}"), &which).await?;
        let Told { state, total } = told.map_err(|error| failed(&error))?;
        Ok((state.subjects.into_iter().flatten().map(|(subject, _)| subject).collect(), total))
    }

    async fn find_or_create(&self, replicas: usize) -> Result<Info, KeyStoreError> {
        if let Some(info) = self.info().await? {
            return Ok(info);
        }
        let wanted = serde_json::to_value(bucket_config(replicas)).map_err(|error| failed(&error))?;
        match self.api::<Info>(&format!("STREAM.CREATE.{STREAM}"), &wanted).await? {
            // Another one was faster.
            Err(error) if error.error_code() == ErrorCode::STREAM_NAME_EXIST => self
                .info()
                .await?
                .ok_or_else(|| KeyStoreError::new(format!("{STREAM} is being created or deleted"))),
            made => made.map_err(|error| failed(&error)),
        }
    }

    /// Sends a request, and waits for its answer.
    pub(crate) async fn request(
        &self,
        subject: String,
        headers: Option<HeaderMap>,
        payload: Bytes,
    ) -> Result<Bytes, KeyStoreError> {
        // The client would keep it for later.
        if self.client.connection_state() != State::Connected {
            return Err(KeyStoreError::new("not connected"));
        }
        let mut request = Request::new().payload(payload).timeout(Some(ANSWER_WITHIN));
        if let Some(headers) = headers {
            request = request.headers(headers);
        }
        let answer = self.client.send_request(subject, request).await;
        answer.map(|message| message.payload).map_err(|error| KeyStoreError::new(error.to_string()))
    }

    /// Calls JetStream's API: `STREAM.INFO.x` and the like.
    pub(crate) async fn api<T: DeserializeOwned>(
        &self,
        call: &str,
        request: &Value,
    ) -> Result<Result<T, jetstream::Error>, KeyStoreError> {
        let payload = if request.is_null() { Bytes::new() } else { request.to_string().into() };
        let answer = self.request(format!("$JS.API.{call}"), None, payload).await?;
        match serde_json::from_slice(&answer) {
            Ok(Response::Ok(value)) => Ok(Ok(value)),
            Ok(Response::Err { error }) => Ok(Err(error)),
            Err(error) => {
                Err(KeyStoreError::new(format!("{call} was answered with something else: {error}")))
            }
        }
    }
}

pub(crate) fn failed(error: &dyn std::fmt::Display) -> KeyStoreError {
    KeyStoreError::new(error.to_string())
}
