//! The log: reachable, as its engine wants it, known to be in step with AWS; and the servers that it is on.

use super::finding::Finding;
use command::Commander;
use command::aggregate::LogAggregate;
use domain::ports::SharedClock;
use domain::{SignedDuration, Timestamp};
use event_log::{EventLog, LogError};
use journal::{Service, Stream};
use lifecycle::log::Restored;
use service_runtime::clock::SystemEntropy;
use service_runtime::config::LogConfig;
use std::sync::Arc;
use wiring::Settings;
use wiring::engine::{self, Copies, ServerState, Survey};

/// From so many parts in a hundred of a limit on, there is a warning; and from so many, something is wrong.
const WARN_FROM: u64 = 80;
const FAIL_FROM: u64 = 95;

/// A NATS server's certificate that lives for less was to be renewed long ago: on Kubernetes that is done 91 days before its end.
const CERTIFICATE_LEFT_MIN: SignedDuration = SignedDuration::from_hours(30 * 24);

const MIB: u64 = 1024 * 1024;

pub(super) async fn look(settings: &Settings, clock: &SharedClock) -> Vec<Finding> {
    if let LogConfig::Sqlite { path } = &settings.log
        && !path.exists()
    {
        let what = format!("{} is not there", path.display());
        return vec![Finding::warn(
            "log",
            what,
            "it is made at the first start; if there was one, restore it",
        )];
    }
    let log = match engine::open_read_only(&settings.log, &SystemEntropy).await {
        Ok(log) => log,
        Err(error) => return vec![unusable(&error)],
    };
    wiring::ask_log(clock, log.as_ref()).await;
    let mut findings = vec![about(log.as_ref()).await];
    findings.extend(restored(log, clock).await);
    match engine::survey(&settings.log, &SystemEntropy).await {
        Ok(survey) => {
            let now = super::now(clock);
            findings.extend(survey.iter().flat_map(|survey| of_servers(survey, now)));
        }
        Err(error) => findings.push(unusable(&error)),
    }
    findings
}

fn unusable(error: &LogError) -> Finding {
    let advice = match error {
        LogError::Unavailable(_) => "is it up, and may this machine and user reach it?",
        LogError::Unsafe(_) => "set it as it says: docs/operations.md, a NATS cluster",
        LogError::Corrupt(_) => "stop writing, and compare with a backup",
    };
    Finding::fail("log", error.to_string(), advice)
}

async fn about(log: &dyn EventLog) -> Finding {
    match (log.id().await, log.head().await) {
        (Ok(id), Ok(head)) => Finding::ok("log", format!("{id}, at position {}", head.0)),
        (Err(error), _) | (_, Err(error)) => unusable(&error),
    }
}

/// A restored log grants nothing before AWS was looked through.
async fn restored(log: Arc<dyn EventLog>, clock: &SharedClock) -> Option<Finding> {
    let commander = Commander::new(log, Service::Activation, Arc::clone(clock));
    match commander.load::<LogAggregate>(&Stream::Log).await {
        Ok(loaded) => match loaded.state {
            None => None,
            Some(Restored { at, swept: true }) => {
                Some(Finding::ok("restored", format!("at {at}, and AWS was looked through since")))
            }
            Some(Restored { at, swept: false }) => Some(Finding::warn(
                "restored",
                format!("at {at}: nothing is granted before AWS has been looked through"),
                "see what activation logs about it",
            )),
        },
        Err(error) => Some(Finding::fail("restored", error.to_string(), "see the log's own lines")),
    }
}

fn of_servers(survey: &Survey, now: Timestamp) -> Vec<Finding> {
    let mut findings = vec![of_copies(&survey.copies)];
    if survey.servers.is_empty() {
        findings.push(Finding::warn(
            "server",
            "none can be asked: versions, syncing, memory, disk and certificates are not seen",
            "set log.monitoring_urls",
        ));
    }
    for server in &survey.servers {
        match server {
            Ok(server) => {
                findings.extend(of_server(server, survey.copies.streams));
                findings
                    .extend(server.certificate_expires_at.map(|at| of_certificate(&server.name, at, now)));
            }
            Err(why) => {
                findings.push(Finding::warn("server", why, "until it is back, another loss stops the log"));
            }
        }
    }
    findings
}

fn of_copies(copies: &Copies) -> Finding {
    let Copies { wanted, leader, behind, away, events, streams } = copies;
    if *wanted > 1 && leader.is_none() {
        return Finding::fail(
            "copies",
            "the log has no leader",
            "are two servers up, and do they reach each other?",
        );
    }
    if !away.is_empty() {
        let what = format!("{} away", away.join(", "));
        return Finding::warn("copies", what, "bring it back: until then another loss stops the log");
    }
    if !behind.is_empty() {
        let lacking = behind.iter().map(|(name, lag)| format!("{name} lacks {lag}"));
        let what = lacking.collect::<Vec<_>>().join(", ");
        return Finding::warn("copies", what, "it catches up by itself; if not, look at its disk");
    }
    Finding::ok("copies", format!("{wanted}, all current: {events} events in {streams} streams"))
}

fn of_server(server: &ServerState, streams: u64) -> Vec<Finding> {
    let ServerState { name, version, syncs_always, memory_max, storage_max, storage_used, .. } = server;
    let mut findings = vec![if *syncs_always {
        Finding::ok("server", format!("{name}: nats-server {version}, syncs always"))
    } else {
        let what = format!("{name}: nats-server {version} acknowledges before it syncs");
        Finding::fail("server", what, "jetstream { sync_interval: always }")
    }];
    let needed = engine::server_memory_bytes(streams);
    if let Some(max) = memory_max {
        let what =
            format!("{name}: {} MiB needed for {streams} streams, {} MiB allowed", needed / MIB, max / MIB);
        let advice = "give the server more memory: its container's limit and GOMEMLIMIT, or max_memory_store if it has it";
        findings.push(compared("memory", what, needed, *max, advice));
    }
    if let Some(max) = storage_max {
        let what = format!("{name}: {} MiB of {} MiB used", storage_used / MIB, max / MIB);
        findings.push(compared(
            "disk",
            what,
            *storage_used,
            *max,
            "give the server a larger disk, or raise max_file_store",
        ));
    }
    findings
}

/// Of the certificate that a server shows. It reads a renewed one when it is told to.
fn of_certificate(name: &str, expires_at: Timestamp, now: Timestamp) -> Finding {
    let advice = "renew it, and have the server read it (reload): docs/runbooks/rotate-keys.md";
    if expires_at <= now {
        return Finding::fail(
            "certificate",
            format!("{name} shows one that expired at {expires_at}"),
            advice,
        );
    }
    let what = format!("{name} shows one that expires at {expires_at}");
    if expires_at.duration_since(now) < CERTIFICATE_LEFT_MIN {
        return Finding::warn("certificate", what, advice);
    }
    Finding::ok("certificate", what)
}

fn compared(check: &'static str, what: String, used: u64, max: u64, advice: &'static str) -> Finding {
    let hundredths = used.saturating_mul(100).checked_div(max).unwrap_or(u64::MAX);
    match hundredths {
        FAIL_FROM.. => Finding::fail(check, what, advice),
        WARN_FROM..FAIL_FROM => Finding::warn(check, what, advice),
        0..WARN_FROM => Finding::ok(check, what),
    }
}

#[cfg(test)]
mod tests {
    use super::super::finding::State;
    use super::*;

    fn server(memory_max: u64, storage_used: u64) -> ServerState {
        ServerState {
            name: "n1".to_owned(),
            version: "2.12.6".to_owned(),
            syncs_always: true,
            memory_max: Some(memory_max),
            storage_max: Some(1_000 * MIB),
            storage_used,
            certificate_expires_at: None,
        }
    }

    fn states(findings: &[Finding]) -> Vec<State> {
        findings.iter().map(|finding| finding.state).collect()
    }

    #[test]
    fn memory_is_told_by_the_number_of_streams() {
        use State::{Fail, Ok, Warn};
        // 512 MiB, and 0.7 GB for each million.
        for (millions, expected) in [(0, Ok), (3, Ok), (4, Warn), (6, Fail)] {
            let findings = of_server(&server(3_900 * MIB, 0), millions * 1_000_000);
            assert_eq!(states(&findings), [Ok, expected, Ok], "{millions}");
        }
    }

    #[test]
    fn a_disk_that_fills_up_is_told_before_it_is_full() {
        use State::{Fail, Ok, Warn};
        for (used, expected) in [(799, Ok), (800, Warn), (950, Fail), (2_000, Fail)] {
            let findings = of_server(&server(4_000 * MIB, used * MIB), 0);
            assert_eq!(states(&findings), [Ok, Ok, expected], "{used}");
        }
    }

    #[test]
    fn a_certificate_that_a_server_shows_is_told_of_before_it_ends() {
        use State::{Fail, Ok, Warn};
        let now = Timestamp::UNIX_EPOCH;
        for (hours, expected) in [(-1, Fail), (0, Fail), (1, Warn), (719, Warn), (720, Ok), (8_760, Ok)] {
            let expires_at = now + SignedDuration::from_hours(hours);
            assert_eq!(of_certificate("n1", expires_at, now).state, expected, "{hours}");
        }
    }

    #[test]
    fn a_server_that_acknowledges_before_it_syncs_and_a_log_without_a_leader_are_wrong() {
        let server = ServerState { syncs_always: false, ..server(4_000 * MIB, 0) };
        assert_eq!(states(&of_server(&server, 0)), [State::Fail, State::Ok, State::Ok]);
        let copies = |leader: Option<&str>, away: &[&str], behind: &[(&str, u64)]| Copies {
            wanted: 3,
            leader: leader.map(ToOwned::to_owned),
            behind: behind.iter().map(|(name, lag)| ((*name).to_owned(), *lag)).collect(),
            away: away.iter().map(|name| (*name).to_owned()).collect(),
            events: 1,
            streams: 1,
        };
        assert_eq!(of_copies(&copies(None, &[], &[])).state, State::Fail);
        assert_eq!(of_copies(&copies(Some("n1"), &["n2"], &[])).state, State::Warn);
        assert_eq!(of_copies(&copies(Some("n1"), &[], &[("n2", 4)])).state, State::Warn);
        assert_eq!(of_copies(&copies(Some("n1"), &[], &[])).state, State::Ok);
    }
}
