//! What the service changes in AWS, and by what that is measured.

use aws::{AssignmentKey, Assignments, AwsError, ErrorKind, Federation, SessionDenials, Sts};
use domain::Entitlement;
use opentelemetry::metrics::Meter;
use std::sync::Arc;

/// The parts of AWS that this service changes.
#[derive(Clone)]
pub struct Ports {
    identity_center: Arc<dyn Assignments>,
    account_access: Option<Arc<dyn Assignments>>,
    pub(crate) sts: Arc<dyn Sts>,
    pub(crate) federation: Option<Arc<dyn Federation>>,
    session_denials: Option<Arc<dyn SessionDenials>>,
    pub(crate) meter: Meter,
}

impl Ports {
    /// IAM Identity Center and STS: what every deployment has.
    pub fn new(identity_center: Arc<dyn Assignments>, sts: Arc<dyn Sts>) -> Self {
        let meter = opentelemetry::global::meter("daypass");
        Self { identity_center, account_access: None, sts, federation: None, session_denials: None, meter }
    }

    /// And Account Access Manager, for roles that are given to users of Identity Center.
    #[must_use]
    pub fn with_account_access(mut self, account_access: Arc<dyn Assignments>) -> Self {
        self.account_access = Some(account_access);
        self
    }

    /// And AWS Sign-In, for the console.
    #[must_use]
    pub fn with_federation(mut self, federation: Arc<dyn Federation>) -> Self {
        self.federation = Some(federation);
        self
    }

    /// And service control policies that end live sessions early, written under an identity of its own.
    #[must_use]
    pub fn with_session_denials(mut self, session_denials: Option<Arc<dyn SessionDenials>>) -> Self {
        self.session_denials = session_denials;
        self
    }

    /// Measures by another meter than the one of the process.
    #[must_use]
    pub fn with_meter(mut self, meter: Meter) -> Self {
        self.meter = meter;
        self
    }

    /// What ends live sessions early, where the deployment allows it.
    pub(crate) fn session_denials(&self) -> Option<&dyn SessionDenials> {
        self.session_denials.as_deref()
    }

    /// Where permission sets are assigned.
    pub(crate) fn identity_center(&self) -> &dyn Assignments {
        self.identity_center.as_ref()
    }

    /// Where roles are given to users, if that is configured.
    pub(crate) fn account_access(&self) -> Option<&dyn Assignments> {
        self.account_access.as_deref()
    }

    /// Where this assignment is made. Without the service it cannot be, which may be a mistake of the configuration: what is
    /// waiting goes on waiting for a while, and what is to be removed pages.
    pub(crate) fn assignments_of(&self, key: &AssignmentKey) -> Result<&dyn Assignments, AwsError> {
        match key.entitlement() {
            Entitlement::PermissionSet(_) => Ok(self.identity_center.as_ref()),
            Entitlement::Role(_) => self.account_access().ok_or_else(|| {
                let why = "Account Access Manager is not configured";
                AwsError::new(ErrorKind::Unavailable, "ProviderNotServed", why)
            }),
        }
    }
}
