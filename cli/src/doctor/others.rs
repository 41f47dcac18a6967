//! Who else there is: AWS, the time, issuers, neighbours, and certificates that expire.

use super::finding::Finding;
use super::stores;
use crate::nats::Service;
use domain::ports::SharedClock;
use domain::{SignedDuration, Timestamp};
use identity::Authenticator;
use service_runtime::config::{Addresses, LogConfig, NeighbourConfig};
use service_runtime::tls;
use std::path::{Path, PathBuf};
use tonic_health::pb::HealthCheckRequest;
use tonic_health::pb::health_check_response::ServingStatus;
use tonic_health::pb::health_client::HealthClient;
use wiring::{KeysSection, Settings, cloud};

/// A certificate that lives for less is about to be renewed, or was forgotten.
const LEFT_MIN: SignedDuration = SignedDuration::from_hours(24);

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
    let tls = settings.server.tls.iter();
    let mut files: Vec<&Path> = tls
        .flat_map(|tls| [&tls.certificate_file].into_iter().chain(&tls.client_ca_file))
        .map(PathBuf::as_path)
        .collect();
    files.extend(settings.client_certificate.iter().map(|own| own.certificate_file.as_path()));
    files.extend(settings.neighbours.request.iter().filter_map(|neighbour| neighbour.ca_file.as_deref()));
    if let LogConfig::Jetstream { ca_file, .. } = &settings.log {
        files.extend(ca_file.as_deref());
    }
    if let KeysSection::Jetstream { ca_file, .. } = &settings.keys {
        files.extend(ca_file.as_deref());
    }
    // Who has no part in the bus need not have its files.
    let bus = settings.bus.as_ref().filter(|_| stores::is_on_bus(service));
    files.extend(bus.and_then(|bus| bus.ca_file.as_deref()));
    files.sort_unstable();
    files.dedup();
    files.into_iter().map(|file| certificate(file, now)).collect()
}

fn certificate(file: &Path, now: Timestamp) -> Finding {
    let name = file.display();
    match tls::expires_at(file) {
        Err(error) => Finding::fail("certificate", error.to_string(), "calls with it fail"),
        Ok(None) => {
            Finding::warn("certificate", format!("{name} does not say when it expires"), "look at it")
        }
        Ok(Some(at)) if at <= now => Finding::fail(
            "certificate",
            format!("{name} expired at {at}"),
            "renew it; processes read it by themselves",
        ),
        Ok(Some(at)) if at.duration_since(now) < LEFT_MIN => {
            Finding::warn("certificate", format!("{name} expires at {at}"), "is it renewed by itself?")
        }
        Ok(Some(at)) => Finding::ok("certificate", format!("{name} expires at {at}")),
    }
}
