//! Settings as a program has them that is told nothing of them: read the way programs read their configuration, so that a
//! measurement has no numbers of its own.

use crate::Failed;
use activation::{Missing, Settings};
use service_runtime::config::Loader;
use wiring::{ActivationSection, WhenMissing};

/// Only what has to be said.
const CONFIGURATION: &str = r#"
[server]
listen = "127.0.0.1:0"
[log]
engine = "sqlite"
path = "log.db"
[data]
folder = "data"
[aws]
region = "eu-central-1"
[[issuers]]
issuer = "https://idp.example"
audiences = ["https://daypass.example"]
algorithms = ["RS256"]
"#;

/// What concerns the calls of Identity Center.
pub(crate) struct Shipped {
    pub(crate) activation: Settings,
    /// By which each process that reads the organisation reads permission sets.
    pub(crate) permission_set_calls_per_second: u32,
}

impl Shipped {
    pub(crate) fn read() -> Result<Self, Failed> {
        let settings = wiring::Settings::from_loader(Loader::new(CONFIGURATION, []))?;
        // Every field is named, so that none that is new is left out.
        let ActivationSection {
            external_id: _,
            console_issuer,
            issues_per_request_max,
            replica,
            calls_per_second,
            outstanding_max,
            start_lead_max,
            missing,
            organisation_sweep_calls_per_second,
        } = settings.activation;
        let activation = Settings {
            console_issuer,
            issues_per_request_max,
            replica,
            calls_per_second,
            outstanding_max,
            start_lead_max,
            missing: match missing {
                WhenMissing::Restore => Missing::Restore,
                WhenMissing::End => Missing::End,
            },
            organisation_sweep_calls_per_second,
            ..Settings::default()
        };
        let aws = settings.aws.ok_or("the configuration has no [aws]")?;
        Ok(Self { activation, permission_set_calls_per_second: aws.permission_set_calls_per_second })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use aws::Limits;

    #[test]
    fn what_programs_call_untold_is_what_aws_takes() {
        let shipped = Shipped::read().unwrap();
        let reading = usize::try_from(shipped.permission_set_calls_per_second).unwrap();
        let limits = Limits::IDENTITY_CENTER;
        assert_eq!(shipped.activation.calls_per_second + reading, limits.calls_per_second);
        assert_eq!(shipped.activation.outstanding_max, limits.outstanding_max);
    }
}
