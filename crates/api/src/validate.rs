//! Field constraints: what the protos declare with `buf.validate`, as far as this crate's build knows it.
//!
//! INVARIANT: a description says what a value must be, and never repeats the value, which may be a secret.

use prost_types::{Duration, Timestamp};
use regex::Regex;
use std::fmt::Write as _;
use std::sync::OnceLock;

#[expect(clippy::pedantic, clippy::single_match, clippy::deref_addrof, reason = "generated code")]
mod generated {
    use super::{Pattern, StringRules, Validate, Violations};
    include!(concat!(env!("OUT_DIR"), "/validate.rs"));
}

/// The most violations that are told at once. They travel in the trailers, for which clients and proxies commonly allow 8 KiB.
pub const VIOLATIONS_MAX: usize = 24;

/// A message whose field constraints can be checked.
pub trait Validate {
    /// Whether callers send it. What a service answers is not checked.
    const IS_REQUEST: bool;

    /// Notes every violation, up to a limit.
    fn check(&self, found: &mut Violations);
}

/// What is wrong with one field.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Violation {
    /// The way to the field: `ask.target.account_id`, `asks[2].window`.
    pub field: String,
    /// The rule: `string.pattern`.
    pub rule: &'static str,
    /// What it must be.
    pub description: String,
}

/// What is wrong with `message`; empty when nothing is.
pub fn violations(message: &impl Validate) -> Vec<Violation> {
    let mut found = Violations::default();
    message.check(&mut found);
    found.found
}

/// A field by its name, or an item of a repeated one.
#[derive(Clone, Copy, Debug)]
pub struct At {
    name: &'static str,
    index: Option<usize>,
}

impl From<&'static str> for At {
    fn from(name: &'static str) -> Self {
        Self { name, index: None }
    }
}

impl From<(&'static str, usize)> for At {
    fn from((name, index): (&'static str, usize)) -> Self {
        Self { name, index: Some(index) }
    }
}

/// A regular expression of the protos, compiled when first used.
#[derive(Debug)]
pub struct Pattern {
    text: &'static str,
    compiled: OnceLock<Option<Regex>>,
}

impl Pattern {
    /// The pattern `text`, which the build has compiled once already.
    pub const fn new(text: &'static str) -> Self {
        Self { text, compiled: OnceLock::new() }
    }

    fn is_match(&self, text: &str) -> bool {
        self.compiled
            .get_or_init(|| Regex::new(self.text).ok())
            .as_ref()
            .is_some_and(|regex| regex.is_match(text))
    }
}

/// Constraints of a text. Lengths are in characters, except `max_bytes`.
#[derive(Clone, Copy, Debug)]
pub struct StringRules {
    /// Nothing else is asked of the empty text.
    pub ignore_empty: bool,
    /// At least so many characters.
    pub min_len: usize,
    /// At most so many characters.
    pub max_len: usize,
    /// At most so many bytes of UTF-8.
    pub max_bytes: usize,
    /// Must match.
    pub pattern: Option<&'static Pattern>,
    /// Must be a UUID in its usual form, with hyphens.
    pub uuid: bool,
}

impl StringRules {
    /// No constraint.
    pub const NONE: Self = Self {
        ignore_empty: false,
        min_len: 0,
        max_len: usize::MAX,
        max_bytes: usize::MAX,
        pattern: None,
        uuid: false,
    };
}

/// Collects violations on a walk through a message.
#[derive(Debug, Default)]
pub struct Violations {
    path: Vec<At>,
    found: Vec<Violation>,
}

impl Violations {
    /// Checks what is inside a field.
    pub fn within(&mut self, at: impl Into<At>, check: impl FnOnce(&mut Self)) {
        if self.found.len() < VIOLATIONS_MAX {
            self.path.push(at.into());
            check(self);
            self.path.pop();
        }
    }

    /// A field that must be set is not.
    pub fn required(&mut self, at: impl Into<At>) {
        self.note(at, "required", "must be set".to_owned());
    }

    /// The number of items; `false` when the items are not worth looking at.
    pub fn items(&mut self, at: impl Into<At>, count: usize, min: usize, max: usize) -> bool {
        if count < min {
            self.note(at, "repeated.min_items", format!("must have at least {min} items"));
            return false;
        }
        if count > max {
            self.note(at, "repeated.max_items", format!("must have at most {max} items"));
            return false;
        }
        true
    }

    /// A text.
    pub fn string(&mut self, at: impl Into<At>, value: &str, rules: &StringRules) {
        if rules.ignore_empty && value.is_empty() {
            return;
        }
        let at = at.into();
        if value.len() > rules.max_bytes {
            return self.note(at, "string.max_bytes", format!("must be at most {} bytes", rules.max_bytes));
        }
        // Bytes bound characters from above, so that counting is rarely needed, and never over much text.
        if value.len() > rules.max_len
            && (value.len() / 4 > rules.max_len || value.chars().count() > rules.max_len)
        {
            return self.note(at, "string.max_len", format!("must be at most {} characters", rules.max_len));
        }
        if rules.min_len > 0 && value.chars().take(rules.min_len).count() < rules.min_len {
            return self.note(at, "string.min_len", format!("must be at least {} characters", rules.min_len));
        }
        if rules.uuid && !is_uuid(value) {
            return self.note(at, "string.uuid", "must be a UUID".to_owned());
        }
        if let Some(pattern) = rules.pattern
            && !pattern.is_match(value)
        {
            self.note(at, "string.pattern", format!("must match {}", pattern.text));
        }
    }

    /// Bytes.
    pub fn bytes(&mut self, at: impl Into<At>, value: &[u8], max_len: usize) {
        if value.len() > max_len {
            self.note(at, "bytes.max_len", format!("must be at most {max_len} bytes"));
        }
    }

    /// A whole number.
    pub fn integer(&mut self, at: impl Into<At>, value: i64, min: i64, max: i64) {
        if value < min {
            self.note(at, "integer.gte", format!("must be at least {min}"));
        } else if value > max {
            self.note(at, "integer.lte", format!("must be at most {max}"));
        }
    }

    /// An enum.
    pub fn enumeration(
        &mut self,
        at: impl Into<At>,
        value: i32,
        is_defined: impl Fn(i32) -> bool,
        not_in: &[i32],
    ) {
        if !is_defined(value) {
            self.note(at, "enum.defined_only", "must be one of the defined values".to_owned());
        } else if not_in.contains(&value) {
            self.note(at, "enum.not_in", "must be set".to_owned());
        }
    }

    /// A duration: well formed as `google.protobuf.Duration` says, and inside of `bounds` (whole seconds, both included).
    pub fn duration(&mut self, at: impl Into<At>, value: &Duration, bounds: Option<(i64, i64)>) {
        const SECONDS_MAX: i64 = 315_576_000_000;
        let same_sign = value.seconds == 0 || value.nanos == 0 || (value.seconds < 0) == (value.nanos < 0);
        if !(-SECONDS_MAX..=SECONDS_MAX).contains(&value.seconds)
            || value.nanos.unsigned_abs() > 999_999_999
            || !same_sign
        {
            return self.note(at, "duration.valid", "must be a valid duration".to_owned());
        }
        if let Some((min, max)) = bounds {
            if value.seconds < min || (value.seconds == min && value.nanos < 0) {
                self.note(at, "duration.gte", format!("must be at least {min} s"));
            } else if value.seconds > max || (value.seconds == max && value.nanos > 0) {
                self.note(at, "duration.lte", format!("must be at most {max} s"));
            }
        }
    }

    /// An instant: well formed as `google.protobuf.Timestamp` says, from year 1 to 9999.
    pub fn timestamp(&mut self, at: impl Into<At>, value: &Timestamp) {
        const YEAR_1: i64 = -62_135_596_800;
        const YEAR_9999: i64 = 253_402_300_799;
        if !(YEAR_1..=YEAR_9999).contains(&value.seconds) || !(0..=999_999_999).contains(&value.nanos) {
            self.note(at, "timestamp.valid", "must be a valid instant of the years 1 to 9999".to_owned());
        }
    }

    fn note(&mut self, at: impl Into<At>, rule: &'static str, description: String) {
        if self.found.len() >= VIOLATIONS_MAX {
            return;
        }
        let mut field = String::new();
        for part in self.path.iter().chain([&at.into()]) {
            if !field.is_empty() {
                field.push('.');
            }
            field.push_str(part.name);
            if let Some(index) = part.index {
                let _ = write!(field, "[{index}]");
            }
        }
        self.found.push(Violation { field, rule, description });
    }
}

/// 8-4-4-4-12 hexadecimal digits.
fn is_uuid(text: &str) -> bool {
    text.len() == 36
        && text.bytes().enumerate().all(|(index, byte)| match index {
            8 | 13 | 18 | 23 => byte == b'-',
            _ => byte.is_ascii_hexdigit(),
        })
}
