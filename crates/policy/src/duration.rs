//! Durations as people write them in policy files: `8h`, `1d12h`, `90s`.

use domain::{Invalid, SignedDuration};

const UNITS: [(char, i64); 4] = [('d', 86_400), ('h', 3_600), ('m', 60), ('s', 1)];
const INVALID: Invalid = Invalid::new("duration", "must look like 30m, 8h or 1d12h (units d, h, m, s)");

/// Reads a duration: whole numbers with the units `d` (24 h), `h`, `m`, `s`, each at most once, the longest first.
pub fn parse(text: &str) -> Result<SignedDuration, Invalid> {
    let mut units = UNITS.iter();
    let mut seconds = 0_i64;
    let mut rest = text;
    while !rest.is_empty() {
        let end = rest.find(|c: char| !c.is_ascii_digit()).ok_or(INVALID)?;
        let (number, tail) = rest.split_at(end);
        let mut tail = tail.chars();
        let letter = tail.next().ok_or(INVALID)?;
        let (_, length) = units.find(|(unit, _)| *unit == letter).ok_or(INVALID)?;
        let count: i64 = number.parse().map_err(|_| INVALID)?;
        seconds = count.checked_mul(*length).and_then(|part| seconds.checked_add(part)).ok_or(INVALID)?;
        rest = tail.as_str();
    }
    if text.is_empty() {
        return Err(INVALID);
    }
    Ok(SignedDuration::from_secs(seconds))
}

/// Writes a duration as [`parse`] reads it. Parts of a second and negative durations, which no checked policy holds, are
/// written as none.
pub fn format(duration: SignedDuration) -> String {
    use std::fmt::Write as _;
    let mut left = duration.as_secs();
    let mut text = String::new();
    for (unit, length) in UNITS {
        if left >= length {
            let _ = write!(text, "{}{unit}", left / length);
            left %= length;
        }
    }
    if text.is_empty() { "0s".to_owned() } else { text }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn durations_are_read_as_people_write_them() {
        for (text, seconds) in [("8h", 28_800), ("30m", 1_800), ("1d12h", 129_600), ("90s", 90), ("0s", 0)] {
            assert_eq!(parse(text), Ok(SignedDuration::from_secs(seconds)), "{text}");
        }
    }

    #[test]
    fn what_is_not_a_duration_is_refused() {
        for text in ["", "8", "h", "8 h", "-8h", "1h1h", "1m1h", "8H", "1.5h", "PT8H", "9223372036854775807d"]
        {
            assert!(parse(text).is_err(), "{text}");
        }
    }

    proptest! {
        #[test]
        fn what_is_written_is_read_back(seconds in 0_i64..100_000_000) {
            let duration = SignedDuration::from_secs(seconds);
            prop_assert_eq!(parse(&format(duration)), Ok(duration));
        }
    }
}
