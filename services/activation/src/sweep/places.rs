//! The places of the organisation that a sweep looks at, and what users hold there.

use super::standing::Listed;
use crate::core::Core;
use crate::fault::Fault;
use crate::traffic::Urgency;
use aws::{AwsError, ErrorKind, Turns};
use domain::{AccountId, Entitlement, PermissionSetArn, Target};
use lifecycle::assignment::AssignmentKey;

impl Core {
    /// How many places the organisation has to look at.
    pub(crate) fn places(&self) -> usize {
        self.views.directory.snapshot().map_or(0, |directory| self.places_of(&directory))
    }

    pub(crate) fn places_of(&self, directory: &aws::Directory) -> usize {
        swept_accounts(directory).count().saturating_mul(self.places_of_account(directory))
    }

    /// Every permission set, and all roles together.
    fn places_of_account(&self, directory: &aws::Directory) -> usize {
        let roles = usize::from(self.ports.account_access().is_some());
        directory.contents().permission_sets.len().saturating_add(roles)
    }

    /// What users hold at one place of the organisation.
    pub(crate) async fn held_at(&self, place: usize, calls: &mut usize) -> Result<Listed, Fault> {
        match self.views.directory.snapshot() {
            Some(directory) => self.held_in(&directory, place, calls).await,
            None => Ok(Listed::untold(self.now())),
        }
    }

    /// The same, of an organisation as it was read once.
    pub(crate) async fn held_in(
        &self,
        directory: &aws::Directory,
        place: usize,
        calls: &mut usize,
    ) -> Result<Listed, Fault> {
        let Some(place) = self.place_of(directory, place) else { return Ok(Listed::untold(self.now())) };
        let management = directory.account(place.account()).is_some_and(|account| account.management);
        let traffic = match place {
            Place::Set(..) => self.identity_center_traffic(),
            Place::Roles(_) => self.account_access_traffic(),
        };
        let asking = traffic.asking(Urgency::Check).await;
        let looked_at = self.now();
        let held = self.held(&place, &asking);
        let answer = asking.answer(self.settings.call_within, ErrorKind::Unavailable, held).await;
        *calls = calls.saturating_add(asking.calls());
        match answer {
            Ok(Some(held)) => Ok(Listed { held, looked_at, whole: Some(place) }),
            Ok(None) => Ok(Listed::untold(looked_at)),
            // So it is for a delegated administrator, who could not have made anything there either.
            Err(error) if management && error.kind == ErrorKind::Denied => {
                tracing::info!(%place, %error, "the management account is not looked through: AWS does not let us");
                Ok(Listed::untold(looked_at))
            }
            Err(error) => Err(error.into()),
        }
    }

    /// All that users hold at a place; `None`: nobody tells.
    async fn held(&self, place: &Place, turns: &dyn Turns) -> Result<Option<Vec<AssignmentKey>>, AwsError> {
        match place {
            Place::Set(account, set) => {
                let entitlement = Entitlement::PermissionSet(set.clone());
                let holders = self.ports.identity_center().holders(account, &entitlement, turns).await?;
                let Ok(target) = Target::new(account.clone(), entitlement) else { return Ok(None) };
                let key = |principal| AssignmentKey { principal, target: target.clone() };
                Ok(Some(holders.into_iter().map(key).collect()))
            }
            Place::Roles(account) => {
                let Some(port) = self.ports.account_access() else { return Ok(None) };
                let Some(held) = port.held_in(account, turns).await? else { return Ok(None) };
                let key = |held: aws::AssignmentKey| {
                    let target = Target::new(held.account().clone(), held.entitlement().clone()).ok()?;
                    Some(AssignmentKey { principal: held.principal().clone(), target })
                };
                Ok(Some(held.into_iter().filter_map(key).collect()))
            }
        }
    }

    /// What a place of an organisation is.
    pub(crate) fn place_of(&self, directory: &aws::Directory, place: usize) -> Option<Place> {
        let of_account = self.places_of_account(directory);
        let account = swept_accounts(directory).nth(place.checked_div(of_account)?)?.clone();
        let sets = &directory.contents().permission_sets;
        Some(match sets.keys().nth(place.checked_rem(of_account)?) {
            Some(set) => Place::Set(account, set.clone()),
            None => Place::Roles(account),
        })
    }
}

/// What one call can look at.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Place {
    /// Who holds a permission set in an account.
    Set(AccountId, PermissionSetArn),
    /// Who may assume roles in an account, by Account Access Manager.
    Roles(AccountId),
}

impl Place {
    pub(super) const fn account(&self) -> &AccountId {
        match self {
            Self::Set(account, _) | Self::Roles(account) => account,
        }
    }

    /// Whether a target is looked at there.
    pub(super) fn has(&self, target: &Target) -> bool {
        let of_place = match (self, target.entitlement()) {
            (Self::Set(_, looked_at), Entitlement::PermissionSet(set)) => looked_at == set,
            (Self::Roles(_), Entitlement::Role(_)) => true,
            (Self::Set(..), Entitlement::Role(_)) | (Self::Roles(_), Entitlement::PermissionSet(_)) => false,
        };
        of_place && self.account() == target.account()
    }

    /// Whether an organisation has it: where the account is no longer in use, or the permission set is gone, nobody holds anything that
    /// works.
    pub(crate) fn is_in(&self, directory: &aws::Directory) -> bool {
        let has_set = match self {
            Self::Set(_, set) => directory.permission_set(set).is_some(),
            Self::Roles(_) => true,
        };
        has_set && directory.account(self.account()).is_some_and(|account| account.active)
    }
}

impl std::fmt::Display for Place {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Set(account, set) => write!(f, "{set} in {account}"),
            Self::Roles(account) => write!(f, "roles in {account}"),
        }
    }
}

/// The accounts that can be used (ADR 10): in one that is suspended nobody can do anything, and it is looked through as soon as it
/// is active again.
fn swept_accounts(directory: &aws::Directory) -> impl Iterator<Item = &AccountId> {
    directory.contents().accounts.iter().filter(|(_, account)| account.active).map(|(id, _)| id)
}
