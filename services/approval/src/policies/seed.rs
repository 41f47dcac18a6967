//! The first policy, from a file at start-up.
//!
//! INVARIANT: a file never changes a policy that is there: after the first start it is ignored, and the log says so.

use crate::core::Core;
use crate::status::PolicyRefused;
use command::aggregate::PolicyAggregate;
use command::{Command, CommandError};
use domain::{Actor, EventId};
use journal::{Fact, Stream};
use policy::change::{self, Rejection, Seed};
use policy::{Policy, Problem};
use sha2::{Digest as _, Sha256};

/// What became of the file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Seeded {
    /// Its policy is in force.
    Applied,
    /// A policy was proposed or applied before.
    Ignored,
}

/// Why the file could not be used.
#[derive(Debug, thiserror::Error)]
pub enum SeedError {
    /// It is wrong; everything that is.
    #[error("the policy file has {} problems, the first: {}", .0.len(), first(.0))]
    Invalid(Vec<Problem>),
    /// The log could not be read or written.
    #[error("the policy file could not be applied: {0}")]
    Log(String),
}

fn first(problems: &[Problem]) -> String {
    problems.first().map(ToString::to_string).unwrap_or_default()
}

pub(crate) async fn seed(core: &Core, toml: &str, author: Actor) -> Result<Seeded, SeedError> {
    let policy = Policy::from_toml(toml).map_err(SeedError::Invalid)?;
    let source_digest: [u8; 32] = Sha256::digest(toml.as_bytes()).into();
    let seed = Seed { policy, author: author.clone(), source_digest };
    let command = Command {
        // The same on every replica: several that start at once with the same file seed once.
        event_id: EventId::from_parts([Stream::Policy.to_string().as_bytes(), b"seed"]),
        actor: Some(author),
        digest: Some(source_digest),
        trace: None,
    };
    let outcome = core
        .commander
        .execute::<PolicyAggregate, PolicyRefused>(Stream::Policy, command, |loaded, _| {
            let state = loaded.state.clone().unwrap_or_default();
            Ok(Fact::Policy(change::seed(&state, seed.clone())?))
        })
        .await;
    match outcome {
        Ok(outcome) if !outcome.repeated => {
            tracing::info!(policy_event = %outcome.event.id, "the policy file is in force");
            Ok(Seeded::Applied)
        }
        Ok(_)
        | Err(CommandError::KeyReused | CommandError::Refused(PolicyRefused(Rejection::AlreadySeeded))) => {
            tracing::info!("the policy file is ignored: a policy was proposed or applied before");
            Ok(Seeded::Ignored)
        }
        Err(CommandError::Refused(PolicyRefused(Rejection::Invalid(problems)))) => {
            Err(SeedError::Invalid(problems))
        }
        // There is one, so the file changes nothing. Nothing is granted; but the process starts, because removals go on.
        Err(CommandError::Corrupt(damage)) => {
            tracing::error!(%damage, "the history of the policy cannot be read");
            Ok(Seeded::Ignored)
        }
        Err(error) => Err(SeedError::Log(error.to_string())),
    }
}
