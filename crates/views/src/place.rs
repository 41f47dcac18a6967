//! What the directory knows of a target, as far as its age allows.

use aws::Directory;
use domain::{Entitlement, OuPath, Partition, SignedDuration, Target};
use policy::AccountFacts;
use std::collections::BTreeMap;
use std::sync::Arc;

/// Why nothing can be said of a target.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum PlaceUnknown {
    /// The directory was never read.
    #[error("the directory has not been read yet")]
    NoDirectory,
    /// The directory was read too long ago to decide by.
    #[error("the directory is {age:#} old, which is too old to decide by")]
    TooOld {
        /// How old.
        age: SignedDuration,
    },
    /// The directory was read later than it is now by our clock, or another's.
    #[error("the directory is from the future, so its age cannot be told")]
    AgeUnknown,
    /// The target is in another AWS than the organisation.
    #[error("the target is in the partition {0}, and the organisation is in {1}")]
    AnotherPartition(Partition, Partition),
    /// There is no such account.
    #[error("there is no such account in the organisation")]
    NoAccount,
    /// The account is suspended or being closed.
    #[error("the account is not active")]
    AccountInactive,
    /// There is no such permission set.
    #[error("there is no such permission set")]
    NoPermissionSet,
    /// A delegated administrator cannot assign in the management account.
    #[error("permission sets of the management account cannot be assigned from here")]
    ManagementAccount,
}

/// A directory, and the account of a target in it.
#[derive(Clone, Debug)]
pub struct Place {
    directory: Arc<Directory>,
    account: aws::Account,
}

impl Place {
    /// Looks `target` up in `directory`, which must be younger than `age_max`.
    pub fn of(
        directory: &aws::CachedDirectory,
        target: &Target,
        now: domain::Timestamp,
        age_max: SignedDuration,
    ) -> Result<Self, PlaceUnknown> {
        let snapshot = fresh(directory, now, age_max)?;
        let (theirs, ours) = (target.partition(), directory.partition());
        if let Some(ours) = ours.filter(|ours| *ours != theirs) {
            return Err(PlaceUnknown::AnotherPartition(theirs, ours));
        }
        let account = snapshot.account(target.account()).ok_or(PlaceUnknown::NoAccount)?.clone();
        if !account.active {
            return Err(PlaceUnknown::AccountInactive);
        }
        match target.entitlement() {
            Entitlement::PermissionSet(_) if account.management => {
                return Err(PlaceUnknown::ManagementAccount);
            }
            Entitlement::PermissionSet(arn) => {
                snapshot.permission_set(arn).ok_or(PlaceUnknown::NoPermissionSet)?;
            }
            Entitlement::Role(_) => {}
        }
        Ok(Self { directory: snapshot, account })
    }

    /// The facts that rules look at.
    pub fn facts(&self) -> AccountFacts<'_> {
        AccountFacts { ou_path: self.ou_path(), tags: self.tags() }
    }

    /// The units above the account.
    pub fn ou_path(&self) -> &OuPath {
        &self.account.ou_path
    }

    /// The tags of the account.
    pub fn tags(&self) -> &BTreeMap<String, String> {
        &self.account.tags
    }

    /// The directory that this is out of.
    pub fn directory(&self) -> &Arc<Directory> {
        &self.directory
    }
}

/// The directory, if it is younger than `age_max`.
pub fn fresh(
    directory: &aws::CachedDirectory,
    now: domain::Timestamp,
    age_max: SignedDuration,
) -> Result<Arc<Directory>, PlaceUnknown> {
    let snapshot = directory.snapshot().ok_or(PlaceUnknown::NoDirectory)?;
    let age = directory.age(now).ok_or(PlaceUnknown::AgeUnknown)?;
    if age > age_max { Err(PlaceUnknown::TooOld { age }) } else { Ok(snapshot) }
}
