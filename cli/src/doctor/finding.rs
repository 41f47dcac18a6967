//! One line of the answer.

use crate::output::text::visible;
use serde_json::{Value, json};
use std::fmt;

/// How it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum State {
    /// As it must be.
    Ok,
    /// It works, and somebody should look at it.
    Warn,
    /// It does not work, or may lose something.
    Fail,
}

impl State {
    const fn name(self) -> &'static str {
        match self {
            Self::Ok => "ok",
            Self::Warn => "warn",
            Self::Fail => "fail",
        }
    }
}

/// What was looked at, how it is, and what to do.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Finding {
    check: &'static str,
    pub(super) state: State,
    what: String,
    advice: &'static str,
}

impl Finding {
    pub(super) fn ok(check: &'static str, what: impl Into<String>) -> Self {
        Self { check, state: State::Ok, what: what.into(), advice: "" }
    }

    pub(super) fn warn(check: &'static str, what: impl Into<String>, advice: &'static str) -> Self {
        Self { check, state: State::Warn, what: what.into(), advice }
    }

    pub(super) fn fail(check: &'static str, what: impl Into<String>, advice: &'static str) -> Self {
        Self { check, state: State::Fail, what: what.into(), advice }
    }

    /// For programs.
    pub(super) fn object(&self) -> Value {
        json!({ "check": self.check, "state": self.state.name(), "what": self.what, "do": self.advice })
    }
}

impl fmt::Display for Finding {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:<5} {:<12} {}", self.state.name(), self.check, visible(&self.what))?;
        if self.advice.is_empty() { Ok(()) } else { write!(f, "; {}", self.advice) }
    }
}
