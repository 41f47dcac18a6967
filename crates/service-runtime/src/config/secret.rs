//! Where secrets are.

use domain::Secret;
use serde::Deserialize;
use std::collections::BTreeMap;
use std::path::PathBuf;

/// Where a secret is: `{ file = "/run/secrets/client" }` or `{ env = "CLIENT_SECRET" }`.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum SecretRef {
    /// The content of a file, without white space around it.
    File(PathBuf),
    /// A variable of the environment.
    Env(String),
}

impl SecretRef {
    pub(super) fn load(&self, environment: &BTreeMap<String, String>) -> Result<Secret, String> {
        let text = match self {
            Self::File(path) => {
                std::fs::read_to_string(path).map_err(|error| format!("{}: {error}", path.display()))?
            }
            Self::Env(name) => {
                environment.get(name).cloned().ok_or(format!("there is no variable {name}"))?
            }
        };
        let text = text.trim();
        if text.is_empty() { Err("is empty".to_owned()) } else { Ok(Secret::new(text)) }
    }
}
