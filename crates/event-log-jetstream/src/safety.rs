//! What the stream must be like, so that an acknowledged event stays as it is for ever.
//!
//! INVARIANT: looks, and refuses; never changes what is there.

use crate::config::JetStreamConfig;
use crate::wire::{STREAM, SUBJECTS};
use async_nats::jetstream::stream::{Config, DiscardPolicy, PersistenceMode, RetentionPolicy, StorageType};
use event_log::{BODY_BYTES_MAX, LogError};
use std::collections::HashMap;
use std::time::Duration;
use uuid::Uuid;

/// The key in the stream's metadata that holds the log's identity.
pub const ID_KEY: &str = "daypass-log-id";

/// Servers that must keep the log outside development: fewer cannot lose one and go on.
const REPLICAS_MIN: usize = 3;
/// Room for subject and headers beside the largest body.
pub(crate) const MESSAGE_BYTES_MIN: usize = BODY_BYTES_MAX + 16 * 1024;
/// Within this time the server takes a message with a repeated `Nats-Msg-Id` for the one before. Appends send none, so another
/// window changes nothing for them, and a stream that has another is as safe. It is the least that the server takes: others'
/// ids are kept that long in memory.
const DUPLICATE_WINDOW: Duration = Duration::from_millis(100);

/// The stream as Daypass creates it.
pub fn stream_config(replicas: usize, id: Uuid) -> Config {
    Config {
        name: STREAM.into(),
        description: Some("The event log of Daypass. Nothing in it is ever changed or deleted.".into()),
        subjects: vec![SUBJECTS.into()],
        storage: StorageType::File,
        num_replicas: replicas,
        retention: RetentionPolicy::Limits,
        discard: DiscardPolicy::New,
        max_messages: -1,
        max_messages_per_subject: -1,
        max_bytes: -1,
        max_age: Duration::ZERO,
        max_message_size: -1,
        max_consumers: -1,
        duplicate_window: DUPLICATE_WINDOW,
        deny_delete: true,
        deny_purge: true,
        // For the bulk of a read; how far it must reach is asked of the leader.
        allow_direct: true,
        metadata: HashMap::from([(ID_KEY.into(), id.to_string())]),
        ..Config::default()
    }
}

/// Fewer than three replicas are for development only.
pub(crate) fn refuse_few_replicas(config: &JetStreamConfig) -> Result<(), LogError> {
    if config.replicas == 0 || (config.replicas < REPLICAS_MIN && !config.dev) {
        return Err(LogError::Unsafe(format!(
            "replicas must be at least {REPLICAS_MIN} (is {})",
            config.replicas
        )));
    }
    Ok(())
}

/// Looks at the existing stream; returns the log's identity.
pub(crate) fn look_at_stream(config: &JetStreamConfig, stream: &Config) -> Result<Uuid, LogError> {
    let mut wrong: Vec<String> = unsafe_settings(stream).into_iter().map(String::from).collect();
    let replicas_min = if config.dev { config.replicas.min(1) } else { REPLICAS_MIN.max(config.replicas) };
    if stream.num_replicas < replicas_min {
        wrong.push(format!("num_replicas must be at least {replicas_min}"));
    }
    let id = stream.metadata.get(ID_KEY).and_then(|id| id.parse().ok());
    if id.is_none() {
        wrong.push(format!("metadata must have {ID_KEY}"));
    }
    id.filter(|_| wrong.is_empty())
        .ok_or_else(|| LogError::Unsafe(format!("the stream {STREAM}: {}", wrong.join(", "))))
}

/// What is wrong with a stream, by the names that `nats stream info --json` and the server's documentation use.
fn unsafe_settings(stream: &Config) -> Vec<&'static str> {
    let limited = |limit: i64| limit > 0;
    let message_bytes = usize::try_from(stream.max_message_size).unwrap_or(0);
    let checks = [
        (stream.storage == StorageType::File, "storage must be file"),
        (stream.retention == RetentionPolicy::Limits, "retention must be limits"),
        (stream.discard == DiscardPolicy::New, "discard must be new"),
        (stream.subjects == [SUBJECTS], "subjects must be daypass.log.> alone"),
        (stream.max_age.is_zero(), "max_age must be unlimited"),
        (!limited(stream.max_messages), "max_msgs must be unlimited"),
        (!limited(stream.max_bytes), "max_bytes must be unlimited"),
        (!limited(stream.max_messages_per_subject), "max_msgs_per_subject must be unlimited"),
        (message_bytes == 0 || message_bytes >= MESSAGE_BYTES_MIN, "max_msg_size must be 528 KiB at least"),
        (stream.deny_delete, "deny_delete must be on"),
        (stream.deny_purge, "deny_purge must be on"),
        (!stream.allow_rollup, "allow_rollup_hdrs must be off"),
        (!stream.allow_message_ttl, "allow_msg_ttl must be off"),
        (
            stream.subject_delete_marker_ttl.is_none_or(|ttl| ttl.is_zero()),
            "subject_delete_marker_ttl must be off",
        ),
        (!stream.allow_message_schedules, "allow_msg_schedules must be off"),
        (!stream.allow_message_counter, "allow_msg_counter must be off"),
        (!stream.allow_atomic_publish, "allow_atomic must be off"),
        (!stream.allow_batch_publish, "allow_batched must be off"),
        (!matches!(stream.persist_mode, Some(PersistenceMode::Async)), "persist_mode must not be async"),
        (!stream.no_ack, "no_ack must be off"),
        (!stream.sealed, "sealed must be off"),
        (stream.mirror.is_none(), "mirror must be none"),
        (stream.sources.as_ref().is_none_or(Vec::is_empty), "sources must be none"),
        (stream.subject_transform.is_none(), "subject_transform must be none"),
        (stream.republish.is_none(), "republish must be none"),
        (stream.first_sequence.unwrap_or(0) <= 1, "first_seq must be 1"),
    ];
    checks.into_iter().filter(|(right, _)| !right).map(|(_, setting)| setting).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_we_create_is_safe() {
        assert_eq!(unsafe_settings(&stream_config(3, Uuid::nil())), Vec::<&str>::new());
    }
}
