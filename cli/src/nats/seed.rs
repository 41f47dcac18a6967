//! The keys of users: one file each, kept from run to run, made anew when asked.

use super::Problem;
use domain::ports::Entropy as _;
use nkeys::{KeyPair, KeyPairType};
use service_runtime::clock::SystemEntropy;
use std::collections::BTreeSet;
use std::fmt;
use std::io::Write as _;
use std::path::{Path, PathBuf};

/// The files of one deployment.
pub(super) struct Seeds {
    folder: PathBuf,
    rotate: BTreeSet<String>,
}

/// What became of a file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Keeping {
    Kept,
    Made,
}

impl fmt::Display for Keeping {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Kept => "kept",
            Self::Made => "made",
        })
    }
}

impl Seeds {
    pub(super) fn in_folder(folder: &Path, rotate: BTreeSet<String>) -> Result<Self, Problem> {
        std::fs::create_dir_all(folder).map_err(|error| Problem::of(folder, &error))?;
        restrict(folder, 0o700)?;
        Ok(Self { folder: folder.to_owned(), rotate })
    }

    pub(super) fn file(&self, name: &str) -> PathBuf {
        self.folder.join(format!("{name}.nk"))
    }

    /// The public half of a user's key.
    pub(super) fn public_key(&self, name: &str) -> Result<(String, Keeping), Problem> {
        let file = self.file(name);
        let (seed, keeping) = self.secret(&file, name, || {
            let pair = KeyPair::new_from_raw(KeyPairType::User, random());
            pair.and_then(|pair| pair.seed()).map_err(|error| Problem::of(&file, &error))
        })?;
        // An error of the library does not repeat the seed.
        let pair = KeyPair::from_seed(seed.trim()).map_err(|error| Problem::of(&file, &error))?;
        if pair.key_pair_type() == KeyPairType::User {
            return Ok((pair.public_key(), keeping));
        }
        Err(Problem::of(&file, &"is not the seed of a user"))
    }

    /// A password that only servers know.
    pub(super) fn password(&self, name: &str) -> Result<String, Problem> {
        let file = self.folder.join(format!("{name}.secret"));
        let (password, _) = self.secret(&file, name, || Ok(domain::hex(&random())))?;
        Ok(password.trim().to_owned())
    }

    /// What a file holds; made where there is none, or another is asked for.
    fn secret(
        &self,
        file: &Path,
        name: &str,
        make: impl FnOnce() -> Result<String, Problem>,
    ) -> Result<(String, Keeping), Problem> {
        if !self.rotate.contains(name) {
            match std::fs::read_to_string(file) {
                Ok(secret) => {
                    restrict(file, 0o600)?;
                    return Ok((secret, Keeping::Kept));
                }
                Err(error) if error.kind() == std::io::ErrorKind::NotFound => {}
                Err(error) => return Err(Problem::of(file, &error)),
            }
        }
        let secret = make()?;
        write(file, &format!("{secret}\n"))?;
        Ok((secret, Keeping::Made))
    }
}

fn random() -> [u8; 32] {
    let mut bytes = [0; 32];
    SystemEntropy.fill(&mut bytes);
    bytes
}

/// Puts `text` in the place of `file`, whole or not at all, readable by its owner alone.
pub(super) fn write(file: &Path, text: &str) -> Result<(), Problem> {
    let problem = |error: std::io::Error| Problem::of(file, &error);
    let fresh = file.with_extension("fresh");
    let _ = std::fs::remove_file(&fresh);
    let mut options = std::fs::OpenOptions::new();
    options.write(true).create_new(true);
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
    let mut open = options.open(&fresh).map_err(problem)?;
    open.write_all(text.as_bytes()).and_then(|()| open.sync_all()).map_err(problem)?;
    std::fs::rename(&fresh, file).map_err(problem)
}

#[cfg(unix)]
fn restrict(path: &Path, mode: u32) -> Result<(), Problem> {
    use std::os::unix::fs::PermissionsExt as _;
    std::fs::set_permissions(path, std::fs::Permissions::from_mode(mode))
        .map_err(|error| Problem::of(path, &error))
}

#[cfg(not(unix))]
fn restrict(_path: &Path, _mode: u32) -> Result<(), Problem> {
    Ok(())
}
