//! Configuration: one TOML file, overridden by the environment, and everything that is wrong with it told at once.
//!
//! A variable `DAYPASS_<SECTION>__<FIELD>` (double underscores between levels) overrides one field: `DAYPASS_SERVER__LISTEN`.
//! Secrets are never fields: a [`SecretRef`] names the file or the variable that holds one.
//!
//! A service reads its sections with a [`Loader`], each by its type, and then asks the loader whether all of them were right.

mod secret;
mod sections;
mod signals;

pub use domain::Secret;
pub use secret::SecretRef;
pub use sections::{
    Addresses, ClientCertificate, ClientCertificateConfig, ClientCredentials, Limits, LogConfig, LogFormat,
    NeighbourConfig, RolesConfig, ServerConfig, ServiceIdentity, TelemetryConfig, TlsConfig, TokenIdentity,
    WebConfig,
};

pub use signals::{
    SOURCE_NAME, SignalSource, SignalsConfig, SourceSignature, Tells, WhatFollows, is_source_name,
};

use figment::Figment;
use figment::providers::{Format as _, Toml};
use figment::value::Value;
use identity::IssuerConfig;
use serde::de::DeserializeOwned;
use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

const PREFIX: &str = "DAYPASS_";
const LEVELS: &str = "__";

/// One thing wrong with a configuration.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, thiserror::Error)]
#[error("{field}: {why}")]
pub struct Problem {
    /// Where: `server.limits.call_duration_max`.
    pub field: String,
    /// What it must be.
    pub why: String,
}

impl Problem {
    /// A problem of `field`.
    pub fn new(field: impl Into<String>, why: impl Into<String>) -> Self {
        Self { field: field.into(), why: why.into() }
    }
}

/// Everything that is wrong with a configuration.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the configuration is wrong: {}", .0.iter().map(ToString::to_string).collect::<Vec<_>>().join("; "))]
pub struct Problems(pub Vec<Problem>);

/// A section that can be wrong in more ways than its types say.
pub trait Section: DeserializeOwned {
    /// What is wrong with it, by fields within the section.
    fn problems(&self) -> Vec<Problem> {
        Vec::new()
    }
}

/// Reads sections, and remembers what was wrong.
#[derive(Debug)]
pub struct Loader {
    values: Figment,
    environment: BTreeMap<String, String>,
    asked: BTreeSet<String>,
    problems: Vec<Problem>,
}

impl Loader {
    /// Reads `file`, and the environment of the process.
    pub fn read(file: &Path) -> Result<Self, Problems> {
        let text = std::fs::read_to_string(file)
            .map_err(|error| Problems(vec![Problem::new(file.display().to_string(), error.to_string())]))?;
        Ok(Self::new(
            &text,
            std::env::vars_os()
                .filter_map(|(name, value)| Some((name.into_string().ok()?, value.into_string().ok()?))),
        ))
    }

    /// Reads TOML, and variables.
    pub fn new(toml: &str, environment: impl IntoIterator<Item = (String, String)>) -> Self {
        let environment: BTreeMap<_, _> = environment.into_iter().collect();
        let mut values = Figment::new().merge(Toml::string(toml));
        for (name, text) in &environment {
            if let Some(path) = name.strip_prefix(PREFIX)
                && path.contains(LEVELS)
            {
                let path = path.to_lowercase().replace(LEVELS, ".");
                let value = text.parse::<Value>().unwrap_or_else(|never| match never {});
                values = values.merge((path, value));
            }
        }
        let mut problems = Vec::new();
        if let Err(error) = values.extract::<BTreeMap<String, Value>>() {
            // The file is not TOML at all: sections would only repeat it.
            problems.extend(of_figment("", error));
        }
        Self { values, environment, asked: BTreeSet::new(), problems }
    }

    /// A section that must be there. `None` when it is wrong; [`Loader::finish`] will say how.
    pub fn required<T: Section>(&mut self, name: &str) -> Option<T> {
        self.asked.insert(name.to_owned());
        if self.values.find_value(name).is_err() {
            self.problems.push(Problem::new(name, "is missing"));
            return None;
        }
        self.extract(name)
    }

    /// A section that may be left out.
    pub fn optional<T: Section>(&mut self, name: &str) -> Option<T> {
        self.asked.insert(name.to_owned());
        if self.values.find_value(name).is_err() { None } else { self.extract(name) }
    }

    /// A section that has defaults for everything.
    pub fn or_default<T: Section + Default>(&mut self, name: &str) -> T {
        self.optional(name).unwrap_or_default()
    }

    /// The issuers of tokens: `[[issuers]]`.
    pub fn issuers(&mut self) -> Vec<IssuerConfig> {
        self.asked.insert("issuers".to_owned());
        let Ok(Value::Array(_, items)) = self.values.find_value("issuers") else {
            self.problems.push(Problem::new("issuers", "must be a list, with at least one issuer"));
            return Vec::new();
        };
        let mut issuers = Vec::new();
        for (index, item) in items.iter().enumerate() {
            match item.deserialize::<IssuerConfig>() {
                Ok(issuer) => issuers.push(issuer),
                Err(error) => self.problems.extend(of_figment(&format!("issuers[{index}]"), error)),
            }
        }
        if issuers.len() == items.len() {
            self.problems.extend(
                identity::problems_of(&issuers)
                    .into_iter()
                    .map(|problem| Problem::new(problem.field, problem.why)),
            );
        }
        issuers
    }

    /// The secret that `secret` names.
    pub fn secret(&mut self, field: &str, secret: &SecretRef) -> Option<Secret> {
        match secret.load(&self.environment) {
            Ok(secret) => Some(secret),
            Err(why) => {
                self.problems.push(Problem::new(field, why));
                None
            }
        }
    }

    /// Notes a problem that a service found by itself.
    pub fn note(&mut self, problem: Problem) {
        self.problems.push(problem);
    }

    /// Whether everything was right. Sections that nobody asked for are not.
    pub fn finish(mut self) -> Result<(), Problems> {
        if let Ok(sections) = self.values.extract::<BTreeMap<String, Value>>() {
            for name in sections.keys().filter(|name| !self.asked.contains(*name)) {
                self.problems.push(Problem::new(name, "is not a section of this program"));
            }
        }
        self.problems.sort();
        self.problems.dedup();
        if self.problems.is_empty() { Ok(()) } else { Err(Problems(self.problems)) }
    }

    fn extract<T: Section>(&mut self, name: &str) -> Option<T> {
        match self.values.find_value(name).map_err(Box::new).and_then(|value| Ok(value.deserialize::<T>()?)) {
            Ok(section) => {
                let problems = section.problems();
                let right = problems.is_empty();
                self.problems.extend(
                    problems
                        .into_iter()
                        .map(|problem| Problem::new(format!("{name}.{}", problem.field), problem.why)),
                );
                right.then_some(section)
            }
            Err(error) => {
                self.problems.extend(of_figment(name, *error));
                None
            }
        }
    }
}

/// Figment's own words, without values: someone may have put a secret where none belongs.
fn of_figment(section: &str, error: figment::Error) -> Vec<Problem> {
    use figment::error::Kind;
    error
        .into_iter()
        .map(|error| {
            let field = [section].into_iter().chain(error.path.iter().map(String::as_str));
            let field = field.filter(|part| !part.is_empty()).collect::<Vec<_>>().join(".");
            let why = match &error.kind {
                Kind::MissingField(name) => format!("lacks `{name}`"),
                Kind::UnknownField(name, known) => {
                    format!("has no field `{name}`; there are {}", known.join(", "))
                }
                Kind::InvalidType(_, expected) | Kind::InvalidValue(_, expected) => {
                    format!("must be {expected}")
                }
                Kind::InvalidLength(_, expected) => format!("must have {expected}"),
                Kind::UnknownVariant(_, known) => format!("must be one of {}", known.join(", ")),
                Kind::DuplicateField(name) => format!("has `{name}` twice"),
                Kind::ISizeOutOfRange(_) | Kind::USizeOutOfRange(_) => "is out of range".to_owned(),
                Kind::Unsupported(_) | Kind::UnsupportedKey(..) => "is not a value of this kind".to_owned(),
                Kind::Message(text) => text.clone(),
            };
            Problem::new(field, why)
        })
        .collect()
}

#[cfg(test)]
mod tests;
