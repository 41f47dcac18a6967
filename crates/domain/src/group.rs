//! Groups, and not knowing them.

use crate::invalid::{printable, text};
use std::collections::BTreeSet;

text!(
    /// Where a group's name means something: `identity-store`, or the configured name of a token issuer.
    GroupSource, "group source", "must be 1 to 64 of a-z, 0-9, '-', '_' and '.'",
    |text| (1..=64).contains(&text.len())
        && text.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b"-_.".contains(&b))
);

/// A group of people. Names of two sources never mix: an `admins` of a guest's issuer is not the `admins` of the house.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, serde::Serialize, serde::Deserialize)]
#[serde(try_from = "Unchecked")]
pub struct GroupRef {
    /// Who says so.
    pub source: GroupSource,
    /// The source's identifier, exact.
    pub id: String,
}

/// A group reference as it was written down, by whomever.
#[derive(serde::Deserialize)]
struct Unchecked {
    source: String,
    id: String,
}

impl TryFrom<Unchecked> for GroupRef {
    type Error = crate::Invalid;
    fn try_from(group: Unchecked) -> Result<Self, Self::Error> {
        Self::new(&group.source, &group.id)
    }
}

impl GroupRef {
    /// A group reference; `id` is 1 to 255 printable characters.
    pub fn new(source: &str, id: &str) -> Result<Self, crate::Invalid> {
        if !printable(id, 255) {
            return Err(crate::Invalid::new("group id", "must be 1 to 255 printable characters"));
        }
        Ok(Self { source: GroupSource::new(source)?, id: id.to_owned() })
    }
}

impl std::fmt::Display for GroupRef {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}:{}", self.source, self.id)
    }
}

/// `source:id`, as `Display` writes it.
impl std::str::FromStr for GroupRef {
    type Err = crate::Invalid;
    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let (source, id) =
            text.split_once(':').ok_or(crate::Invalid::new("group", "must be written source:id"))?;
        Self::new(source, id)
    }
}

/// The groups that someone is in, as far as that can be told now.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Groups {
    /// All of them.
    Known(BTreeSet<GroupRef>),
    /// It cannot be told (claim missing or cut short, directory too old): no decision may rest on it.
    Unknown(String),
}

impl Groups {
    /// The groups, or why they are not known.
    pub fn known(&self) -> Result<&BTreeSet<GroupRef>, &str> {
        match self {
            Self::Known(groups) => Ok(groups),
            Self::Unknown(why) => Err(why),
        }
    }

    /// Whether membership in one of `wanted` is proved.
    pub fn any_of(&self, wanted: &BTreeSet<GroupRef>) -> bool {
        match self {
            Self::Known(groups) => !groups.is_disjoint(wanted),
            Self::Unknown(_) => false,
        }
    }
}
