//! Where access is given: partitions, accounts, organisational units.

use crate::{Invalid, invalid::text};

/// A separate AWS, with its own endpoints and ARNs.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, serde::Serialize, serde::Deserialize)]
pub enum Partition {
    /// Commercial regions.
    #[serde(rename = "aws")]
    Aws,
    /// China.
    #[serde(rename = "aws-cn")]
    AwsCn,
    /// GovCloud (US).
    #[serde(rename = "aws-us-gov")]
    AwsUsGov,
}

impl Partition {
    /// As in the second field of an ARN.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Aws => "aws",
            Self::AwsCn => "aws-cn",
            Self::AwsUsGov => "aws-us-gov",
        }
    }
}

impl std::fmt::Display for Partition {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(self.as_str())
    }
}

impl std::str::FromStr for Partition {
    type Err = Invalid;
    fn from_str(text: &str) -> Result<Self, Invalid> {
        match text {
            "aws" => Ok(Self::Aws),
            "aws-cn" => Ok(Self::AwsCn),
            "aws-us-gov" => Ok(Self::AwsUsGov),
            _ => Err(Invalid::new("partition", "must be aws, aws-cn or aws-us-gov")),
        }
    }
}

text!(
    /// An AWS account.
    AccountId, "account id", "must be 12 digits", |text| text.len() == 12 && text.bytes().all(|b| b.is_ascii_digit())
);

text!(
    /// An organisational unit or the root of the organisation: `ou-ab12-11111111`, `r-ab12`.
    OuId, "organisational unit id", "must be an id of AWS Organizations, such as ou-ab12-11111111 or r-ab12",
    |text| {
        (text.starts_with("ou-") || text.starts_with("r-"))
            && text.len() <= 68
            && text.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'-')
    }
);

/// The units that an account is in, from the root of the organisation down to its parent.
#[derive(
    Clone, Debug, Default, PartialEq, Eq, Hash, PartialOrd, Ord, serde::Serialize, serde::Deserialize,
)]
pub struct OuPath(pub Vec<OuId>);

impl OuPath {
    /// Whether `unit` is anywhere above the account.
    pub fn contains(&self, unit: &OuId) -> bool {
        self.0.contains(unit)
    }

    /// The unit that the account is directly in.
    pub fn parent(&self) -> Option<&OuId> {
        self.0.last()
    }
}

impl std::fmt::Display for OuPath {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        for (i, unit) in self.0.iter().enumerate() {
            if i > 0 {
                f.write_str("/")?;
            }
            f.write_str(unit.as_str())?;
        }
        Ok(())
    }
}
