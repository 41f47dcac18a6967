//! The deployment's own keys, under which the keys of people are stored.
//!
//! A stored key is a version byte (1), eight bytes that tell which wrapping key was used, a nonce of twelve random bytes, and the
//! key of 32 bytes under AES-256-GCM (NIST SP 800-38D) with its tag of sixteen. The person's id is authenticated with it, so that a
//! stored key cannot be given to another person.

use aws_lc_rs::aead::{AES_256_GCM, Aad, LessSafeKey, NONCE_LEN, Nonce, UnboundKey};
use aws_lc_rs::hmac;
use domain::PersonId;
use domain::ports::Entropy;
use journal::seal::PersonKey;
use std::path::Path;

const VERSION: u8 = 1;
const ID_LEN: usize = 8;
const SECRET_LEN: usize = 32;
const TAG_LEN: usize = 16;

/// Wrapping keys: the first wraps, each unwraps what it has wrapped.
pub struct WrappingKeys(Vec<WrappingKey>);

struct WrappingKey {
    id: [u8; ID_LEN],
    cipher: LessSafeKey,
}

impl std::fmt::Debug for WrappingKeys {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "WrappingKeys({})", self.0.len())
    }
}

/// Why there are no wrapping keys. Never repeats what was read.
#[derive(Debug, thiserror::Error)]
pub enum InvalidWrappingKeys {
    /// The file.
    #[error("cannot be read: {0}")]
    Unreadable(std::io::Error),
    /// What is in it.
    #[error("must have one key a line, each of 64 hexadecimal digits, and at least one")]
    Format,
}

/// Why a stored key is not a person's key.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub(crate) enum NotUnwrapped {
    /// None of the wrapping keys that are known has wrapped it.
    #[error("it was wrapped with a key that is not in the file of wrapping keys")]
    UnknownWrappingKey,
    /// It was changed, or belongs to another person.
    #[error("it was changed, or is another person's")]
    Foreign,
}

impl WrappingKeys {
    /// Reads a file with one key a line, the one that wraps first.
    pub fn read(file: &Path) -> Result<Self, InvalidWrappingKeys> {
        Self::parse(&std::fs::read_to_string(file).map_err(InvalidWrappingKeys::Unreadable)?)
    }

    fn parse(text: &str) -> Result<Self, InvalidWrappingKeys> {
        let lines = text.lines().map(str::trim).filter(|line| !line.is_empty());
        let keys: Option<Vec<WrappingKey>> = lines.map(WrappingKey::parse).collect();
        keys.filter(|keys| !keys.is_empty()).map(Self).ok_or(InvalidWrappingKeys::Format)
    }

    /// The person's key as it is stored.
    pub(crate) fn wrap(&self, person: &PersonId, key: &PersonKey, entropy: &dyn Entropy) -> Option<Vec<u8>> {
        let wrapping = self.0.first()?;
        let mut nonce = [0; NONCE_LEN];
        entropy.fill(&mut nonce);
        let mut secret = key.secret().to_vec();
        let sealed = Nonce::assume_unique_for_key(nonce);
        wrapping.cipher.seal_in_place_append_tag(sealed, place(person), &mut secret).ok()?;
        Some([[VERSION].as_slice(), &wrapping.id, &nonce, &secret].concat())
    }

    /// The person's key out of what is stored.
    pub(crate) fn unwrap(&self, person: &PersonId, stored: &[u8]) -> Result<PersonKey, NotUnwrapped> {
        let ([VERSION, rest @ ..], true) =
            (stored, stored.len() == 1 + ID_LEN + NONCE_LEN + SECRET_LEN + TAG_LEN)
        else {
            return Err(NotUnwrapped::Foreign);
        };
        let (id, rest) = rest.split_at(ID_LEN);
        let (nonce, secret) = rest.split_at(NONCE_LEN);
        let wrapping = self.0.iter().find(|key| key.id == id).ok_or(NotUnwrapped::UnknownWrappingKey)?;
        let nonce = Nonce::try_assume_unique_for_key(nonce).map_err(|_| NotUnwrapped::Foreign)?;
        let mut secret = secret.to_vec();
        let opened = wrapping
            .cipher
            .open_in_place(nonce, place(person), &mut secret)
            .map_err(|_| NotUnwrapped::Foreign)?;
        let secret = <[u8; SECRET_LEN]>::try_from(&*opened).map_err(|_| NotUnwrapped::Foreign)?;
        Ok(PersonKey::from_secret(person.clone(), secret))
    }
}

fn place(person: &PersonId) -> Aad<String> {
    Aad::from(format!("daypass key store v1 {}", person.as_str()))
}

impl WrappingKey {
    fn parse(line: &str) -> Option<Self> {
        if line.len() != 2 * SECRET_LEN || !line.bytes().all(|byte| byte.is_ascii_hexdigit()) {
            return None;
        }
        let digits = |at: usize| u8::from_str_radix(line.get(at..at + 2)?, 16).ok();
        let secret: Vec<u8> = (0..SECRET_LEN).map(|byte| digits(2 * byte)).collect::<Option<_>>()?;
        let derive = |purpose: &[u8]| hmac::sign(&hmac::Key::new(hmac::HMAC_SHA256, &secret), purpose);
        let id = derive(b"daypass key store id v1");
        Some(Self {
            id: id.as_ref().first_chunk().copied()?,
            cipher: LessSafeKey::new(
                UnboundKey::new(&AES_256_GCM, derive(b"daypass key store wrap v1").as_ref()).ok()?,
            ),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    struct Counting;
    impl Entropy for Counting {
        fn fill(&self, bytes: &mut [u8]) {
            (0..).zip(bytes).for_each(|(i, byte)| *byte = i);
        }
    }

    fn person(digit: char) -> PersonId {
        PersonId::new(digit.to_string().repeat(32)).unwrap()
    }

    fn keys(digits: &[char]) -> WrappingKeys {
        let lines: Vec<String> = digits.iter().map(|digit| digit.to_string().repeat(64)).collect();
        WrappingKeys::parse(&lines.join("\n")).unwrap()
    }

    #[test]
    fn the_stored_form_is_read_for_ever() {
        const STORED: &str = "01751a2370544e167e000102030405060708090a0be8f385986daec926719cad7a0fec3fc667f2c0c66ecf3d8c8c18c93a26466dea3822429120724b4d02423fbb9dd72ccf";
        let key = PersonKey::from_secret(person('a'), [0x41; 32]);
        let stored = keys(&['1']).wrap(&person('a'), &key, &Counting).unwrap();
        assert_eq!(domain::hex(&stored), STORED);
        assert_eq!(keys(&['1']).unwrap(&person('a'), &stored), Ok(key));
    }

    #[test]
    fn a_key_is_unwrapped_for_its_person_alone_and_unchanged_alone() {
        let key = PersonKey::from_secret(person('a'), [7; 32]);
        let stored = keys(&['1']).wrap(&person('a'), &key, &Counting).unwrap();
        assert!(!stored.windows(8).any(|window| window == [7; 8]));
        assert_eq!(keys(&['1']).unwrap(&person('b'), &stored), Err(NotUnwrapped::Foreign));
        for place in 0..stored.len() {
            let mut changed = stored.clone();
            changed[place] ^= 1;
            assert!(keys(&['1']).unwrap(&person('a'), &changed).is_err(), "byte {place}");
        }
        assert_eq!(keys(&['1']).unwrap(&person('a'), &stored[1..]), Err(NotUnwrapped::Foreign));
    }

    #[test]
    fn a_new_wrapping_key_goes_first_and_the_old_one_still_unwraps() {
        let key = PersonKey::from_secret(person('a'), [7; 32]);
        let old = keys(&['1']).wrap(&person('a'), &key, &Counting).unwrap();
        assert_eq!(keys(&['2', '1']).unwrap(&person('a'), &old), Ok(key.clone()));
        assert_eq!(keys(&['2']).unwrap(&person('a'), &old), Err(NotUnwrapped::UnknownWrappingKey));
        let new = keys(&['2', '1']).wrap(&person('a'), &key, &Counting).unwrap();
        assert_eq!(keys(&['2']).unwrap(&person('a'), &new), Ok(key));
    }

    #[test]
    fn a_file_that_is_not_one_is_refused_without_repeating_it() {
        for text in ["", "\n", "CANARY", &"1".repeat(63), &format!("{}\nCANARY", "1".repeat(64))] {
            let refused = WrappingKeys::parse(text).unwrap_err();
            assert!(!format!("{refused} {refused:?}").contains("CANARY"));
        }
        assert_eq!(format!("{:?}", keys(&['1', '2'])), "WrappingKeys(2)");
    }
}
