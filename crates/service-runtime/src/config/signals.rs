//! `[signals]`: who outside is believed, in what, and how each is known.

use super::{Problem, Section, TokenIdentity};
use domain::SignedDuration;
use identity::Algorithm;
use serde::Deserialize;
use std::collections::BTreeSet;
use std::path::PathBuf;

/// The longest that something may have happened before it is told.
const AGE_LIMIT: SignedDuration = SignedDuration::from_hours(24 * 30);

/// What [`is_source_name`] takes.
pub const SOURCE_NAME: &str = "must be 1 to 64 of a-z, 0-9, '_' and '-'";

/// Whether a source may be called so, here and where it gets an account on NATS servers. The name is a part of subjects, where a dot
/// would make it several, and of the names of an account and of a file, always behind something else.
pub fn is_source_name(name: &str) -> bool {
    let plain = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || b"_-".contains(&byte);
    (1..=64).contains(&name.len()) && name.bytes().all(plain)
}

/// `[signals]`
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct SignalsConfig {
    /// Whoever is not here is not believed.
    pub sources: Vec<SignalSource>,
}

/// `[[signals.sources]]`
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct SignalSource {
    /// What it is called: in what it tells, in subjects, in the log.
    pub name: String,
    /// What it may tell.
    pub kinds: BTreeSet<Tells>,
    /// What may follow beyond being recorded.
    #[serde(default)]
    pub may: BTreeSet<WhatFollows>,
    /// How long ago a thing may have happened when it is told.
    #[serde(default = "age_max")]
    pub age_max: SignedDuration,
    /// The workload that tells over gRPC.
    #[serde(default)]
    pub token: Option<TokenIdentity>,
    /// The NATS account that alone may publish `daypass.signals.v1.<name>.>`: the server vouches.
    #[serde(default)]
    pub nats_account: Option<String>,
    /// With what it signs each message on NATS: then whoever brings it does not matter.
    #[serde(default)]
    pub signature: Option<SourceSignature>,
}

fn age_max() -> SignedDuration {
    SignedDuration::from_hours(24)
}

/// How a source signs.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct SourceSignature {
    /// The one algorithm.
    pub algorithm: Algorithm,
    /// Its public keys, as a JSON Web Key Set; each with a `kid`.
    pub jwks_file: PathBuf,
}

/// A kind of signal.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Tells {
    /// A ticket was approved.
    TicketApproved,
    /// An incident was opened.
    IncidentOpened,
    /// An incident was closed.
    IncidentClosed,
    /// A person left.
    PersonLeft,
    /// They are back.
    PersonReturned,
    /// A security finding was raised.
    FindingRaised,
    /// A request is to be raised for a person.
    RaiseForPerson,
}

/// What may follow from what a source tells, beyond being recorded.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum WhatFollows {
    /// Incidents that are closed and findings end requests.
    Revoke,
}

impl Section for SignalsConfig {
    fn problems(&self) -> Vec<Problem> {
        let mut names = BTreeSet::new();
        let each = self.sources.iter().enumerate();
        each.flat_map(|(index, source)| {
            let again = !names.insert(source.name.as_str());
            let again = again.then(|| Problem::new("name", "is another source's as well"));
            let problems = source.problems().into_iter().chain(again);
            problems
                .map(|problem| Problem::new(format!("sources[{index}].{}", problem.field), problem.why))
                .collect::<Vec<_>>()
        })
        .collect()
    }
}

impl SignalSource {
    fn problems(&self) -> Vec<Problem> {
        let mut problems = Vec::new();
        if !is_source_name(&self.name) {
            problems.push(Problem::new("name", SOURCE_NAME));
        }
        if self.kinds.is_empty() {
            problems.push(Problem::new("kinds", "must say what it may tell"));
        }
        if self.age_max <= SignedDuration::ZERO || self.age_max > AGE_LIMIT {
            problems.push(Problem::new("age_max", "must be above zero and at most 30 days"));
        }
        if self.token.is_none() && self.nats_account.is_none() && self.signature.is_none() {
            problems.push(Problem::new("token", "or nats_account or signature must say how it is known"));
        }
        if self.nats_account.is_some() && self.signature.is_some() {
            problems.push(Problem::new("signature", "goes without nats_account: one of the two vouches"));
        }
        if self.nats_account.as_ref().is_some_and(String::is_empty) {
            problems.push(Problem::new("nats_account", "must not be empty"));
        }
        if self.token.as_ref().is_some_and(|token| !token.names_one()) {
            problems.push(Problem::new("token", "must have either a subject or a client_id"));
        }
        problems
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_source_is_called_what_can_be_one_part_of_a_subject() {
        for name in ["hr", "service_now", "a-1", "-", &"x".repeat(64)] {
            assert!(is_source_name(name), "{name}");
        }
        for name in ["", "HR", "a.b", "*", ">", "a b", "a/b", "é", &"x".repeat(65)] {
            assert!(!is_source_name(name), "{name}");
        }
    }
}
