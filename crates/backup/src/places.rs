//! How far each stream of a log has come, in a few bytes of each, for a log has millions of them.

use aws_lc_rs::hmac;
use domain::ports::Entropy;
use event_log::{Revision, StreamName};
use std::collections::BTreeMap;

/// What stands for a stream's name, which may be long: the first half of its HMAC-SHA256 under a key of this process. Two of ten
/// million names have the same by chance once in 10^24 logs. Without the key nobody can choose names that have.
type Hash = [u8; 16];

/// The last revision of each stream. A node of the map has room for 11 entries of 24 bytes and is two thirds full: some 40 bytes a
/// stream, also while it grows, which a hash map does by copying itself.
pub(crate) struct Places {
    key: hmac::Key,
    last: BTreeMap<Hash, Revision>,
}

impl Places {
    pub(crate) fn new(entropy: &dyn Entropy) -> Self {
        let mut secret = [0; 32];
        entropy.fill(&mut secret);
        Self { key: hmac::Key::new(hmac::HMAC_SHA256, &secret), last: BTreeMap::new() }
    }

    pub(crate) fn last(&self, stream: &StreamName) -> Option<Revision> {
        self.last.get(&self.hash(stream)).copied()
    }

    pub(crate) fn set_last(&mut self, stream: &StreamName, revision: Revision) {
        self.last.insert(self.hash(stream), revision);
    }

    fn hash(&self, stream: &StreamName) -> Hash {
        let tag = hmac::sign(&self.key, stream.as_str().as_bytes());
        let mut hash = Hash::default();
        hash.copy_from_slice(tag.as_ref().split_at(size_of::<Hash>()).0);
        hash
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::given::Counting;

    fn stream(number: u64) -> StreamName {
        StreamName::new("duty", &number.to_string()).unwrap()
    }

    #[test]
    fn every_stream_has_a_place_of_its_own() {
        let mut places = Places::new(&Counting::default());
        for revision in [0, 1] {
            for number in 0..1_000 {
                places.set_last(&stream(number), Revision(number + revision));
            }
        }
        for number in 0..1_000 {
            assert_eq!(places.last(&stream(number)), Some(Revision(number + 1)));
        }
        assert_eq!(places.last(&stream(1_000)), None);
        assert_eq!(places.last.len(), 1_000);
    }

    #[test]
    fn what_stands_for_a_name_is_another_in_each_process() {
        let entropy = Counting::default();
        let (one, other) = (Places::new(&entropy), Places::new(&entropy));
        assert_eq!(one.hash(&stream(1)), one.hash(&stream(1)));
        assert_ne!(one.hash(&stream(1)), other.hash(&stream(1)));
    }

    /// deploy/k8s counts on 40 bytes a stream, two thirds of which are this.
    #[test]
    fn what_is_kept_of_a_stream_does_not_depend_on_its_name() {
        assert_eq!(size_of::<(Hash, Revision)>(), 24);
    }
}
