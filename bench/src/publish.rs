//! The limit of any append to JetStream: acknowledged publishing of the same bodies, each to a subject of its own, by the client alone.

use crate::engine::BODY_BYTES;
use crate::{Failed, Measured, hammer};
use async_nats::jetstream::{self, stream};
use bytes::Bytes;
use std::time::Duration;

/// Publishes to a stream that is made for it, kept on so many servers as `replicas`, as the log's is.
pub(crate) async fn run(
    servers: &[String],
    replicas: usize,
    callers: usize,
    within: Duration,
) -> Result<Measured, Failed> {
    let context = jetstream::new(async_nats::connect(servers).await?);
    let name = format!("RAW_{callers}");
    let config = stream::Config {
        name: name.clone(),
        subjects: vec![format!("raw.{callers}.>")],
        storage: stream::StorageType::File,
        num_replicas: replicas,
        ..stream::Config::default()
    };
    context.create_stream(config).await?;
    let body = Bytes::from(vec![7_u8; BODY_BYTES]);
    let measured = hammer(callers, within, |caller, number| {
        let (context, body) = (context.clone(), body.clone());
        async move {
            context.publish(format!("raw.{callers}.{caller}.{number}"), body).await?.await?;
            Ok(())
        }
    })
    .await;
    context.delete_stream(name).await?;
    measured
}
