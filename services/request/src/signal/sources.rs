//! Who is believed in what, and how each is known. From the deployment's configuration, out of reach at run time.

use domain::{Invalid, Person};
use identity::{Caller, MessageKeys, UnusableKeys};
use lifecycle::signal::{Belief, SignalKind};
use service_runtime::config::{SignalSource, SignalsConfig, Tells, TokenIdentity, WhatFollows};
use std::collections::BTreeMap;
use std::sync::Arc;

/// Everyone outside who is believed. Without any, nobody is.
#[derive(Clone, Debug, Default)]
pub struct Sources(Arc<BTreeMap<String, Source>>);

/// Someone outside who is believed.
#[derive(Debug)]
pub(crate) struct Source {
    pub(crate) name: String,
    pub(crate) belief: Belief,
    pub(crate) on_bus: OnBus,
    token: Option<TokenIdentity>,
}

/// How a source is known by its messages on the bus.
#[derive(Debug)]
pub(crate) enum OnBus {
    /// It is not: it tells over gRPC only.
    Unknown,
    /// The server lets nobody else publish under its name.
    Account,
    /// By its signature.
    Signature(MessageKeys),
}

/// Why a source cannot be believed as it is configured.
#[derive(Debug, thiserror::Error)]
pub enum SourceError {
    /// The file of its keys cannot be read.
    #[error("signals.sources: {path}: {error}")]
    File {
        /// Which.
        path: String,
        /// What is wrong with it.
        error: std::io::Error,
    },
    /// Its keys are none.
    #[error("signals.sources: {path}: {error}")]
    Keys {
        /// Which file.
        path: String,
        /// What is wrong with them.
        error: UnusableKeys,
    },
}

impl Sources {
    /// The sources that `config` names, with the keys that it points to.
    pub fn new(config: &SignalsConfig) -> Result<Self, SourceError> {
        let sources = config.sources.iter().map(|source| Ok((source.name.clone(), Source::new(source)?)));
        Ok(Self(Arc::new(sources.collect::<Result<_, SourceError>>()?)))
    }

    /// The source of this name.
    pub(crate) fn named(&self, name: &str) -> Option<&Source> {
        self.0.get(name)
    }
}

impl Source {
    fn new(config: &SignalSource) -> Result<Self, SourceError> {
        let on_bus = match (&config.signature, &config.nats_account) {
            (Some(signature), _) => {
                let path = signature.jwks_file.display().to_string();
                let jwks = std::fs::read(&signature.jwks_file)
                    .map_err(|error| SourceError::File { path: path.clone(), error })?;
                let keys = MessageKeys::parse(&jwks, signature.algorithm);
                OnBus::Signature(keys.map_err(|error| SourceError::Keys { path, error })?)
            }
            (None, Some(_)) => OnBus::Account,
            (None, None) => OnBus::Unknown,
        };
        Ok(Self {
            name: config.name.clone(),
            belief: Belief {
                kinds: config.kinds.iter().map(|kind| kind_of(*kind)).collect(),
                may_revoke: config.may.contains(&WhatFollows::Revoke),
                age_max: config.age_max,
            },
            token: config.token.clone(),
            on_bus,
        })
    }

    /// Whether the caller is this source.
    pub(crate) fn is(&self, caller: &Caller) -> bool {
        self.token.as_ref().is_some_and(|token| token.is(caller))
    }
}

/// A source as a person: for keys and for what no token says.
pub(crate) fn person_of(source: &str) -> Result<Person, Invalid> {
    Person::new("daypass:signal-source", source)
}

const fn kind_of(tells: Tells) -> SignalKind {
    match tells {
        Tells::TicketApproved => SignalKind::TicketApproved,
        Tells::IncidentOpened => SignalKind::IncidentOpened,
        Tells::IncidentClosed => SignalKind::IncidentClosed,
        Tells::PersonLeft => SignalKind::PersonLeft,
        Tells::PersonReturned => SignalKind::PersonReturned,
        Tells::FindingRaised => SignalKind::FindingRaised,
        Tells::RaiseForPerson => SignalKind::RaiseForPerson,
    }
}
