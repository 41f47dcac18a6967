//! What the bucket must be like, so that a key stays until it is erased, and not longer.

use async_nats::jetstream::stream::{Config, DiscardPolicy, PersistenceMode, RetentionPolicy, StorageType};
use std::time::Duration;

/// The bucket.
pub const BUCKET: &str = "DAYPASS_KEYS";
/// The stream that it is.
pub const STREAM: &str = "KV_DAYPASS_KEYS";
/// What a person's id follows in the subject of their key.
pub const PREFIX: &str = "$KV.DAYPASS_KEYS.";

const SUBJECTS: &str = "$KV.DAYPASS_KEYS.>";
/// Servers that must keep the bucket outside development: fewer cannot lose one and go on.
const REPLICAS_MIN: usize = 3;

/// The bucket as it is made here: one message for each person, and no second one while there is a first.
pub fn bucket_config(replicas: usize) -> Config {
    Config {
        name: STREAM.into(),
        description: Some(
            "The keys of Daypass for what people write. Erasing a key erases their words.".into(),
        ),
        subjects: vec![SUBJECTS.into()],
        storage: StorageType::File,
        num_replicas: replicas,
        retention: RetentionPolicy::Limits,
        discard: DiscardPolicy::New,
        discard_new_per_subject: true,
        max_messages: -1,
        max_messages_per_subject: 1,
        max_bytes: -1,
        max_age: Duration::ZERO,
        max_message_size: -1,
        max_consumers: -1,
        // Erasing is deleting. That what must stay is not deleted is a matter of rights: services have none to.
        deny_delete: false,
        deny_purge: true,
        // Keys are asked of the leader alone.
        allow_direct: false,
        ..Config::default()
    }
}

/// What is wrong with a bucket, by the names that the server's documentation uses. One that is kept less safely than `replicas`
/// servers keep it is refused outside `dev`.
pub(crate) fn unsafe_settings(stream: &Config, replicas: usize, dev: bool) -> Vec<&'static str> {
    let limited = |limit: i64| limit > 0;
    let replicas_min = if dev { 1 } else { replicas.max(REPLICAS_MIN) };
    let checks = [
        (
            stream.num_replicas >= replicas_min,
            "num_replicas must be 3 at least, and as many as are configured",
        ),
        (stream.storage == StorageType::File, "storage must be file"),
        (stream.retention == RetentionPolicy::Limits, "retention must be limits"),
        (stream.discard == DiscardPolicy::New, "discard must be new"),
        (stream.discard_new_per_subject, "discard_new_per_subject must be on"),
        (stream.max_messages_per_subject == 1, "max_msgs_per_subject must be 1"),
        (stream.subjects == [SUBJECTS], "subjects must be $KV.DAYPASS_KEYS.> alone"),
        (stream.max_age.is_zero(), "max_age must be unlimited"),
        (!limited(stream.max_messages), "max_msgs must be unlimited"),
        (!limited(stream.max_bytes), "max_bytes must be unlimited"),
        (!stream.deny_delete, "deny_delete must be off: people have a right to have their key deleted"),
        (!stream.allow_rollup, "allow_rollup_hdrs must be off"),
        (!stream.allow_message_ttl, "allow_msg_ttl must be off"),
        (!matches!(stream.persist_mode, Some(PersistenceMode::Async)), "persist_mode must not be async"),
        (!stream.no_ack, "no_ack must be off"),
        (!stream.sealed, "sealed must be off"),
        (stream.mirror.is_none(), "mirror must be none"),
        (stream.sources.as_ref().is_none_or(Vec::is_empty), "sources must be none"),
        (stream.subject_transform.is_none(), "subject_transform must be none"),
        (stream.republish.is_none(), "republish must be none"),
    ];
    checks.into_iter().filter(|(right, _)| !right).map(|(_, setting)| setting).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_made_here_is_as_it_must_be() {
        assert_eq!(unsafe_settings(&bucket_config(3), 3, false), Vec::<&str>::new());
        assert_eq!(unsafe_settings(&bucket_config(1), 1, true), Vec::<&str>::new());
    }

    #[test]
    fn what_keeps_erased_keys_or_loses_others_is_refused() {
        let made = || bucket_config(3);
        for config in [
            bucket_config(1),
            Config { max_messages_per_subject: 64, ..made() },
            Config { discard_new_per_subject: false, ..made() },
            Config { deny_delete: true, ..made() },
            Config { max_age: Duration::from_hours(1), ..made() },
            Config { storage: StorageType::Memory, ..made() },
            Config { max_messages: 10, ..made() },
        ] {
            assert_eq!(unsafe_settings(&config, 3, false).len(), 1, "{config:?}");
        }
    }
}
