//! Secrets, and where they are.

use serde::Deserialize;
use std::collections::BTreeMap;
use std::path::PathBuf;

/// A secret: not in `Debug`, without `Display`, and out only on purpose.
#[derive(Clone)]
pub struct Secret(String);

impl Secret {
    /// Wraps `text`.
    pub fn new(text: impl Into<String>) -> Self {
        Self(text.into())
    }

    /// The secret itself, for the one who may have it.
    pub fn expose(&self) -> &str {
        &self.0
    }
}

impl std::fmt::Debug for Secret {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Secret(…)")
    }
}

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
