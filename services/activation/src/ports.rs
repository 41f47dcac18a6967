//! What the service changes in AWS.

use aws::{Assignments, Sts};
use std::sync::Arc;

/// The parts of AWS that this service changes.
#[derive(Clone)]
pub struct Ports {
    pub(crate) assignments: Arc<dyn Assignments>,
    pub(crate) sts: Arc<dyn Sts>,
}

impl Ports {
    /// IAM Identity Center and STS: what every deployment has.
    pub fn new(assignments: Arc<dyn Assignments>, sts: Arc<dyn Sts>) -> Self {
        Self { assignments, sts }
    }
}
