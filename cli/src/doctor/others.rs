//! Who else there is: AWS, the time, issuers, neighbours, and certificates that expire.

use super::finding::Finding;
use super::stores;
use crate::nats::Service;
use domain::ports::SharedClock;
use domain::{SignedDuration, Timestamp};
use identity::Authenticator;
use service_runtime::config::{Addresses, LogConfig, NeighbourConfig};
use service_runtime::tls;
use std::collections::BTreeMap;
use std::path::Path;
use tonic_health::pb::HealthCheckRequest;
use tonic_health::pb::health_check_response::ServingStatus;
use tonic_health::pb::health_client::HealthClient;
use wiring::{KeysSection, Settings, cloud};

/// A certificate of a service that lives for less was forgotten: what renews such ones does so long before.
const LEFT_MIN: SignedDuration = SignedDuration::from_hours(24);
/// The same of a CA, which nobody renews in the files of those who know others by it: time to bring them the next one.
const CA_LEFT_MIN: SignedDuration = SignedDuration::from_hours(30 * 24);

pub(super) async fn aws(settings: &Settings, clock: &SharedClock) -> Vec<Finding> {
    let Some(section) = &settings.aws else { return Vec::new() };
    let advice = "see region, rights and the way there; docs/operations.md, when AWS says no";
    let connected = cloud::connect(section, settings.aws_secret.as_ref(), clock.clone()).await;
    let cloud = match connected {
        Ok(cloud) => cloud,
        Err(error) => return vec![Finding::fail("aws", error.to_string(), advice)],
    };
    vec![match cloud.sts.caller_identity().await {
        Ok(identity) => Finding::ok("aws", format!("answers to {}", identity.arn)),
        Err(error) => Finding::fail("aws", error.to_string(), advice),
    }]
}

/// After the log and AWS were asked.
pub(super) fn clock(settings: &Settings, clock: &SharedClock) -> Finding {
    match clock.doubt() {
        Some(doubt) => {
            Finding::fail("clock", doubt.to_string(), "set the clock right; nothing is granted before")
        }
        None => Finding::ok("clock", format!("not provably more than {:#} off", settings.clock.skew_max)),
    }
}

pub(super) async fn issuers(settings: &Settings, clock: &SharedClock) -> Vec<Finding> {
    let mut findings = Vec::new();
    for config in &settings.issuers {
        let issuer = config.issuer.to_string();
        let advice = "nobody of this issuer gets in: is its discovery document reachable from here?";
        findings.push(match Authenticator::new(vec![config.clone()], clock.clone()) {
            Err(error) => Finding::fail("issuer", format!("{issuer}: {error}"), advice),
            Ok(authenticator) => {
                authenticator.refresh_keys().await;
                if authenticator.issuers_without_keys().is_empty() {
                    Finding::ok("issuer", format!("{issuer}: its keys are known"))
                } else {
                    Finding::fail("issuer", format!("{issuer}: its keys cannot be had"), advice)
                }
            }
        });
    }
    findings
}

pub(super) async fn neighbours(settings: &Settings) -> Vec<Finding> {
    let Some(neighbour) = &settings.neighbours.request else { return Vec::new() };
    let mut findings = Vec::new();
    for address in neighbour.address.iter() {
        let one = NeighbourConfig { address: Addresses::One(address.to_owned()), ..neighbour.clone() };
        let advice = "is it up, and do certificates or tokens go together?";
        findings.push(match health(settings, &one).await {
            Ok(ServingStatus::Serving) => Finding::ok("neighbour", format!("{address} is ready")),
            Ok(ServingStatus::NotServing | ServingStatus::ServiceUnknown | ServingStatus::Unknown) => {
                Finding::warn("neighbour", format!("{address} is not ready"), "see what it logs")
            }
            Err(why) => Finding::fail("neighbour", format!("{address}: {why}"), advice),
        });
    }
    findings
}

async fn health(settings: &Settings, neighbour: &NeighbourConfig) -> Result<ServingStatus, String> {
    let connection = wiring::neighbour(settings, neighbour).map_err(|error| error.to_string())?;
    let asked = HealthClient::new(connection).check(HealthCheckRequest::default()).await;
    asked.map(|answer| answer.into_inner().status()).map_err(|status| status.message().to_owned())
}

/// Those in files: a service's own, and the CAs by which it knows others.
pub(super) fn certificates(settings: &Settings, service: Service, now: Timestamp) -> Vec<Finding> {
    let tls = settings.server.tls.as_ref();
    let own = [
        tls.map(|tls| tls.certificate_file.as_path()),
        settings.client_certificate.as_ref().map(|own| own.certificate_file.as_path()),
    ];
    let mut cas: Vec<&Path> = tls.and_then(|tls| tls.client_ca_file.as_deref()).into_iter().collect();
    cas.extend(settings.neighbours.request.iter().filter_map(|neighbour| neighbour.ca_file.as_deref()));
    if let LogConfig::Jetstream { ca_file, .. } = &settings.log {
        cas.extend(ca_file.as_deref());
    }
    if let KeysSection::Jetstream { ca_file, .. } = &settings.keys {
        cas.extend(ca_file.as_deref());
    }
    // Who has no part in the bus need not have its files.
    let bus = settings.bus.as_ref().filter(|_| stores::is_on_bus(service));
    cas.extend(bus.and_then(|bus| bus.ca_file.as_deref()));
    let own = own.into_iter().flatten().map(|file| (file, LEFT_MIN));
    // What is both counts as a CA.
    let files: BTreeMap<&Path, SignedDuration> =
        own.chain(cas.into_iter().map(|file| (file, CA_LEFT_MIN))).collect();
    files.into_iter().map(|(file, left_min)| certificate(file, left_min, now)).collect()
}

/// Of a file with one certificate or several: the first to expire counts.
fn certificate(file: &Path, left_min: SignedDuration, now: Timestamp) -> Finding {
    let name = file.display();
    match tls::expires_at(file) {
        Err(error) => Finding::fail("certificate", error.to_string(), "calls with it fail"),
        Ok(None) => {
            Finding::warn("certificate", format!("{name} does not say when it expires"), "look at it")
        }
        Ok(Some(at)) if at <= now => Finding::fail(
            "certificate",
            format!("{name} has one that expired at {at}"),
            "renew it, or take it out if another has replaced it; processes read the file by themselves",
        ),
        Ok(Some(at)) if at.duration_since(now) < left_min => {
            Finding::warn("certificate", format!("{name} expires at {at}"), "is it renewed by itself?")
        }
        Ok(Some(at)) => Finding::ok("certificate", format!("{name} expires at {at}")),
    }
}

#[cfg(test)]
mod tests {
    use super::super::finding::State;
    use super::*;
    use std::time::Duration;
    use test_servers::certificates::Authority;

    #[test]
    fn a_ca_is_told_of_a_month_before_its_end_and_what_is_renewed_a_day_before() {
        use State::{Fail, Ok, Warn};
        let folder = tempfile::tempdir().unwrap();
        let authority = Authority::new(folder.path(), "ca").unwrap();
        let issued = authority.issue("own", &["localhost"], &[], Duration::from_hours(24)).unwrap();
        let end = tls::expires_at(&issued.certificate).unwrap().unwrap();
        // Behind one that lives for longer.
        let file = folder.path().join("both.pem");
        let text = [&authority.file, &issued.certificate].map(|file| std::fs::read_to_string(file).unwrap());
        std::fs::write(&file, text.concat()).unwrap();
        for (hours, of_own, of_ca) in [
            (-1, Fail, Fail),
            (0, Fail, Fail),
            (23, Warn, Warn),
            (24, Ok, Warn),
            (719, Ok, Warn),
            (720, Ok, Ok),
        ] {
            let now = end - SignedDuration::from_hours(hours);
            let found = [LEFT_MIN, CA_LEFT_MIN].map(|left_min| certificate(&file, left_min, now).state);
            assert_eq!(found, [of_own, of_ca], "{hours}");
        }
    }
}
