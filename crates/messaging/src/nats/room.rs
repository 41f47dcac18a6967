//! How much of the servers' disks the bus may take. The log is on the same ones: what takes all of JetStream's room has appends to the log
//! refused, and no right on the log is needed for that. So each stream of the bus has a limit of bytes.

use async_nats::jetstream::stream::Config;

/// What the streams of the bus may take together on each server.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Room {
    bytes: i64,
}

impl Room {
    /// The least: less has no room for a few of the largest signals.
    pub const MIB_MIN: u32 = 16;
    /// Where nobody says otherwise. Some four million events, which take 0.9 KB each with their headers: two days of a large organisation.
    pub const MIB: u32 = 4_096;

    /// A server reserves this much when the streams are made, and refuses them if JetStream has less.
    pub fn of_mib(mib: u32) -> Self {
        Self { bytes: i64::from(mib) << 20 }
    }

    /// The rest: events are what the bus is for.
    pub(super) fn events(self) -> i64 {
        self.bytes - self.signals() - self.parked()
    }

    pub(super) fn signals(self) -> i64 {
        self.bytes / 16
    }

    pub(super) fn parked(self) -> i64 {
        self.bytes / 16
    }
}

impl Default for Room {
    fn default() -> Self {
        Self::of_mib(Self::MIB)
    }
}

/// The same stream without a limit of bytes, as services make it that find none: a server would reserve that much and refuse the stream where
/// JetStream has less, and services cannot be told of another room.
pub(super) fn unreserved(config: Config) -> Config {
    Config { max_bytes: -1, ..config }
}

/// What a stream that is there has to be changed to, so that it is bounded as one that would be made is; `None`: nothing. A limit that somebody
/// set stays, unless the room `is_told`.
pub fn bounded(found: &Config, wanted: &Config, is_told: bool) -> Option<Config> {
    let max_bytes = if found.max_bytes <= 0 || is_told { wanted.max_bytes } else { found.max_bytes };
    // What is parked has no limit of one message's size.
    let is_sized = found.max_message_size > 0 || wanted.max_message_size <= 0;
    let max_message_size = if is_sized { found.max_message_size } else { wanted.max_message_size };
    let is_so = (found.max_bytes, found.max_message_size) == (max_bytes, max_message_size);
    (!is_so).then(|| Config { max_bytes, max_message_size, ..found.clone() })
}

#[cfg(test)]
mod tests {
    use super::super::{events_config, parked_config, signals_config};
    use super::*;

    #[test]
    fn streams_take_no_more_than_their_room_together() {
        for mib in [Room::MIB_MIN, 100, Room::MIB, u32::MAX] {
            let room = Room::of_mib(mib);
            let parts = [events_config(3, room), signals_config(3, room), parked_config(3, room)]
                .map(|config| config.max_bytes);
            assert!(parts.iter().all(|part| *part >= 1024 * 1024), "{parts:?}");
            assert_eq!(parts.iter().sum::<i64>(), i64::from(mib) * 1024 * 1024);
        }
    }

    #[test]
    fn a_limit_that_somebody_set_stays_unless_another_is_told() {
        let wanted = events_config(3, Room::default());
        let unlimited = Config { max_bytes: -1, max_message_size: -1, ..wanted.clone() };
        assert_eq!(bounded(&unlimited, &wanted, false), Some(wanted.clone()));
        let own = Config { max_bytes: 7, ..wanted.clone() };
        assert_eq!(bounded(&own, &wanted, false), None);
        assert_eq!(bounded(&own, &wanted, true), Some(wanted.clone()));
        assert_eq!(bounded(&wanted, &wanted, true), None);
    }

    #[test]
    fn what_is_parked_may_be_as_large_as_what_is_told() {
        let wanted = parked_config(3, Room::default());
        assert!(wanted.max_message_size <= 0, "{wanted:?}");
        // As servers tell it.
        let found = Config { max_message_size: -1, ..wanted.clone() };
        assert_eq!(bounded(&found, &wanted, false), None);
        let unlimited = Config { max_bytes: -1, ..found.clone() };
        assert_eq!(bounded(&unlimited, &wanted, false), Some(found));
    }

    #[test]
    fn setup_bounds_what_services_made() {
        let wanted = events_config(3, Room::default());
        let made = unreserved(wanted.clone());
        assert_eq!(made.max_bytes, -1);
        assert_eq!(bounded(&made, &wanted, false), Some(wanted));
    }
}
