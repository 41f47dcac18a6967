//! The organisation of the end-to-end tests, made in an emulator by a client of its own (boto3, `organisation/fill.py`).
//!
//! ```text
//! root ── workloads ── prod ── payments   payments-prod (role Deployer)
//!      │            │  └ shop-prod
//!      │            └─ dev                shop-dev
//!      └─ sandbox                         playground
//! ```

use crate::tools::{Missing, python_tool, workspace};
use serde::Deserialize;
use std::collections::BTreeMap;
use tokio::process::Command;

/// The region that everything is in.
pub const REGION: &str = "us-east-1";

/// The ids of what was made.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
pub struct Organisation {
    /// The account that owns the organisation.
    pub management_account: String,
    /// The Identity Center instance, as it must be configured (see [`crate::moto::instance_arn`]).
    pub instance_arn: String,
    /// Its identity store.
    pub identity_store_id: String,
    /// Root and organisational units.
    pub units: Units,
    /// Member accounts.
    pub accounts: Accounts,
    /// `Deployer`, in `payments-prod`; sessions of at most four hours.
    pub deployer_role: String,
    /// ARNs of the permission sets.
    pub permission_sets: PermissionSets,
    /// User ids by name: `ada`, `bob`, `carol`, `dave`, `eve`.
    pub users: BTreeMap<String, String>,
    /// Group ids.
    pub groups: Groups,
}

/// Root and organisational units, three levels deep.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
pub struct Units {
    /// The root.
    pub root: String,
    /// Under the root.
    pub workloads: String,
    /// Under workloads.
    pub prod: String,
    /// Under prod.
    pub payments: String,
    /// Under workloads.
    pub dev: String,
    /// Under the root.
    pub sandbox: String,
}

/// Member accounts, each tagged with `env`, all but the playground also with `team`.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
pub struct Accounts {
    /// In the unit payments; `env=prod`, `team=payments`.
    pub payments_prod: String,
    /// In the unit prod; `env=prod`, `team=shop`.
    pub shop_prod: String,
    /// In the unit dev; `env=dev`, `team=shop`.
    pub shop_dev: String,
    /// In the unit sandbox; `env=sandbox`.
    pub playground: String,
}

/// ARNs of the permission sets.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
pub struct PermissionSets {
    /// `ReadOnly`, sessions of one hour.
    pub read_only: String,
    /// `Administrator`, sessions of two hours.
    pub administrator: String,
}

/// Ids of the groups.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
pub struct Groups {
    /// ada.
    pub developers: String,
    /// bob and dave.
    pub approvers: String,
    /// eve.
    pub auditors: String,
    /// carol and dave.
    pub admins: String,
}

/// The organisation was not made.
#[derive(Debug, thiserror::Error)]
pub enum FillError {
    /// No Python.
    #[error(transparent)]
    Missing(#[from] Missing),
    /// The operating system said no.
    #[error(transparent)]
    Io(#[from] std::io::Error),
    /// The script failed.
    #[error("the organisation was not made:\n{0}")]
    Failed(String),
    /// It told something else than ids.
    #[error("ids of the organisation: {0}")]
    Ids(#[from] serde_json::Error),
}

impl Organisation {
    /// Makes the organisation in the empty emulator at `endpoint`.
    pub async fn fill(endpoint: &str) -> Result<Self, FillError> {
        let output = Command::new(python_tool("python")?)
            .arg(workspace().join("crates/test-servers/organisation/fill.py"))
            .arg(endpoint)
            .kill_on_drop(true)
            .output()
            .await?;
        if !output.status.success() {
            return Err(FillError::Failed(String::from_utf8_lossy(&output.stderr).into_owned()));
        }
        Ok(serde_json::from_slice(&output.stdout)?)
    }
}
