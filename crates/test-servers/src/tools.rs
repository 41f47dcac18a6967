//! Finds the programs that `script/install-test-tools` has put into `.tools/`.

use std::path::{Path, PathBuf};

/// A program is not there.
#[derive(Debug, thiserror::Error)]
#[error("{} is missing: run script/install-test-tools", path.display())]
pub struct Missing {
    /// Where it was looked for.
    pub path: PathBuf,
}

/// The root of the workspace.
pub fn workspace() -> PathBuf {
    let manifest = Path::new(env!("CARGO_MANIFEST_DIR"));
    manifest.ancestors().nth(2).unwrap_or(manifest).to_path_buf()
}

/// A program of the Python environment: `moto_server`, `nats-server`, `aws`, `buf`, `python`.
pub fn python_tool(name: &str) -> Result<PathBuf, Missing> {
    existing(workspace().join(".tools/venv/bin").join(name))
}

/// The folder that Node resolves packages from (`oidc-provider`).
pub fn node_modules() -> Result<PathBuf, Missing> {
    existing(workspace().join(".tools/node/node_modules"))
}

fn existing(path: PathBuf) -> Result<PathBuf, Missing> {
    if path.exists() { Ok(path) } else { Err(Missing { path }) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_workspace_is_where_the_installer_is() {
        assert!(workspace().join("script/install-test-tools").is_file());
    }

    #[test]
    fn a_missing_program_says_what_to_run() {
        let error = python_tool("no-such-program").unwrap_err();
        assert!(error.to_string().ends_with("run script/install-test-tools"), "{error}");
    }
}
