//! What is kept beside the log: keys, the bus, files with secrets; and what is written.

use super::finding::Finding;
use crate::nats::Service;
use domain::ports::SharedEntropy;
use journal::key_store::{KeyStore, KeyStoreError};
use journal::level;
use service_runtime::config::LogConfig;
use std::path::{Path, PathBuf};
use wiring::nats::{EVENTS_STREAM, SIGNALS_STREAM};
use wiring::{KeysSection, Settings, bus, key_store};

/// So many people's keys are looked at.
const PEOPLE_MAX: usize = 1_000;

pub(super) async fn keys(settings: &Settings, entropy: SharedEntropy) -> Vec<Finding> {
    if let KeysSection::Sqlite { path } = &settings.keys
        && !path.exists()
    {
        let what = format!("{} is not there", path.display());
        return vec![Finding::warn(
            "keys",
            what,
            "it is made at the first start; if there was one, restore it",
        )];
    }
    let looked_at = async {
        let store = key_store::open_existing(&settings.keys, entropy).await?;
        readable(store.as_ref()).await
    };
    vec![match looked_at.await {
        Ok((people, looked_at)) => Finding::ok("keys", format!("of {people} people, {looked_at} looked at")),
        Err(error @ KeyStoreError::Unusable { .. }) => Finding::fail(
            "keys",
            error.to_string(),
            "is keys.wrapping_keys_file the one of all processes? Whose else: daypass keys check",
        ),
        Err(error) => Finding::fail(
            "keys",
            error.to_string(),
            "is it up, and is keys.wrapping_keys_file the one of all processes?",
        ),
    }]
}

/// How many people have a key, and of how many it can be read.
async fn readable(store: &dyn KeyStore) -> Result<(usize, usize), KeyStoreError> {
    let people = store.people().await?;
    let looked_at = people.len().min(PEOPLE_MAX);
    for person in people.iter().take(PEOPLE_MAX) {
        store.find(person).await?;
    }
    Ok((people.len(), looked_at))
}

pub(super) async fn bus(settings: &Settings, service: Service) -> Vec<Finding> {
    let Some(section) = &settings.bus else { return Vec::new() };
    let mut findings = Vec::new();
    for (stream, what) in streams_of(service) {
        findings.push(match bus::has_stream(section, stream).await {
            Ok(true) => Finding::ok("bus", format!("{what} have their stream")),
            Ok(false) => {
                Finding::warn("bus", format!("{what} have no stream"), "make it: daypass nats setup")
            }
            Err(error) => Finding::fail(
                "bus",
                format!("{what}: {error}"),
                "is it up, and may this machine, user and service (--service) reach it?",
            ),
        });
    }
    findings
}

/// What a service has on the bus. It may ask for no other stream, and who has none there has no key for it either.
fn streams_of(service: Service) -> Vec<(&'static str, &'static str)> {
    let events = (EVENTS_STREAM, "events for others");
    let signals = (SIGNALS_STREAM, "signals");
    match service {
        Service::Request => vec![signals],
        Service::Audit => vec![events],
        Service::Serve => vec![events, signals],
        Service::Approval | Service::Activation => Vec::new(),
    }
}

/// Whether a service reaches the bus at all.
pub(super) fn is_on_bus(service: Service) -> bool {
    !streams_of(service).is_empty()
}

pub(super) fn write_level(settings: &Settings) -> Finding {
    let (level, newest) = (settings.upgrade.write_level, level::NEWEST);
    if level >= newest {
        return Finding::ok("write level", format!("{level}, the newest"));
    }
    let what = format!("{level} of {newest}: what is newer is refused");
    Finding::warn(
        "write level",
        what,
        "raise upgrade.write_level when no process of the release before is left",
    )
}

/// Files with secrets that others on this machine can read.
pub(super) fn files(settings: &Settings) -> Vec<Finding> {
    let mut files: Vec<&Path> = Vec::new();
    match &settings.keys {
        KeysSection::Sqlite { path } => files.push(path),
        KeysSection::Jetstream { wrapping_keys_file, nkey_seed_file, credentials_file, .. } => {
            files.push(wrapping_keys_file);
            files.extend(nkey_seed_file.iter().chain(credentials_file).map(PathBuf::as_path));
        }
    }
    match &settings.log {
        LogConfig::Sqlite { .. } => {}
        LogConfig::Jetstream { nkey_seed_file, credentials_file, .. } => {
            files.extend(nkey_seed_file.iter().chain(credentials_file).map(PathBuf::as_path));
        }
        LogConfig::Kurrentdb { password_file, .. } => files.extend(password_file.as_deref()),
    }
    if let Some(bus) = &settings.bus {
        files.extend(bus.nkey_seed_file.iter().chain(&bus.credentials_file).map(PathBuf::as_path));
    }
    files.extend(settings.server.tls.iter().map(|tls| tls.key_file.as_path()));
    files.extend(settings.client_certificate.iter().map(|own| own.key_file.as_path()));
    files.sort_unstable();
    files.dedup();
    let open = files.into_iter().filter(|file| is_open_to_others(file));
    open.map(|file| Finding::warn("secret", format!("others may read {}", file.display()), "chmod 600"))
        .collect()
}

#[cfg(unix)]
fn is_open_to_others(file: &Path) -> bool {
    use std::os::unix::fs::PermissionsExt as _;
    const OTHERS: u32 = 0o007;
    std::fs::metadata(file).is_ok_and(|metadata| metadata.permissions().mode() & OTHERS != 0)
}

#[cfg(not(unix))]
fn is_open_to_others(_file: &Path) -> bool {
    false
}
