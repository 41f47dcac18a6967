//! A small company, for development, demonstrations and tests: three levels of units, six accounts, two permission sets, and
//! one person per persona.
//!
//! ```text
//! r-dayp
//! ├── 999999999999 management
//! ├── ou-dayp-security
//! │   └── 555555555555 log-archive
//! └── ou-dayp-workloads
//!     ├── ou-dayp-development
//!     │   ├── 333333333333 web-dev
//!     │   └── 444444444444 payments-dev
//!     └── ou-dayp-production
//!         ├── 111111111111 web-prod
//!         └── ou-dayp-payments
//!             └── 222222222222 payments-prod
//! ```

use super::SimulatedRole;
use crate::{Account, Contents, ExternalId, Group, GroupId, OrgUnit, PermissionSet, User, UserName};
use domain::{AccountId, Invalid, OuId, OuPath, PermissionSetArn, PrincipalId, RoleArn, SignedDuration};
use std::collections::{BTreeMap, BTreeSet};

/// `web-prod`.
pub const WEB_PROD: &str = "111111111111";
/// `payments-prod`.
pub const PAYMENTS_PROD: &str = "222222222222";
/// `web-dev`.
pub const WEB_DEV: &str = "333333333333";
/// `payments-dev`.
pub const PAYMENTS_DEV: &str = "444444444444";
/// `log-archive`, from which Daypass works.
pub const LOG_ARCHIVE: &str = "555555555555";
/// The management account.
pub const MANAGEMENT: &str = "999999999999";

/// The root.
pub const ROOT: &str = "r-dayp";
/// Everything that earns money.
pub const WORKLOADS: &str = "ou-dayp-workloads";
/// Under [`WORKLOADS`].
pub const PRODUCTION: &str = "ou-dayp-production";
/// Under [`PRODUCTION`].
pub const PAYMENTS: &str = "ou-dayp-payments";
/// Under [`WORKLOADS`].
pub const DEVELOPMENT: &str = "ou-dayp-development";
/// Security's own accounts.
pub const SECURITY: &str = "ou-dayp-security";

/// The permission set `ReadOnly`; its sessions last one hour.
pub const READ_ONLY: &str = "arn:aws:sso:::permissionSet/ssoins-1111111111111111/ps-1111111111111111";
/// The permission set `AdministratorAccess`; its sessions last one hour.
pub const ADMINISTRATOR_ACCESS: &str =
    "arn:aws:sso:::permissionSet/ssoins-1111111111111111/ps-2222222222222222";

/// A developer: requests.
pub const ADA: &str = "00000000-0000-4000-8000-0000000000a1";
/// Approves.
pub const BOB: &str = "00000000-0000-4000-8000-0000000000b2";
/// An administrator.
pub const CAROL: &str = "00000000-0000-4000-8000-0000000000c3";
/// The second administrator.
pub const DAVE: &str = "00000000-0000-4000-8000-0000000000d4";
/// An auditor.
pub const EVE: &str = "00000000-0000-4000-8000-0000000000e5";

/// Ada's group.
pub const DEVELOPERS: &str = "developers";
/// Bob's group.
pub const APPROVERS: &str = "approvers";
/// Carol's and Dave's group.
pub const ADMINS: &str = "admins";
/// Eve's group.
pub const AUDITORS: &str = "auditors";

const PEOPLE: [(&str, &str, &str, &str); 5] = [
    (ADA, "ada", "Ada Developer", DEVELOPERS),
    (BOB, "bob", "Bob Approver", APPROVERS),
    (CAROL, "carol", "Carol Admin", ADMINS),
    (DAVE, "dave", "Dave Admin", ADMINS),
    (EVE, "eve", "Eve Auditor", AUDITORS),
];

const UNITS: [(&str, &str, Option<&str>); 6] = [
    (ROOT, "Root", None),
    (WORKLOADS, "Workloads", Some(ROOT)),
    (PRODUCTION, "Production", Some(WORKLOADS)),
    (PAYMENTS, "Payments", Some(PRODUCTION)),
    (DEVELOPMENT, "Development", Some(WORKLOADS)),
    (SECURITY, "Security", Some(ROOT)),
];

const ACCOUNTS: [(&str, &str, &[&str], &str); 6] = [
    (WEB_PROD, "web-prod", &[ROOT, WORKLOADS, PRODUCTION], "production"),
    (PAYMENTS_PROD, "payments-prod", &[ROOT, WORKLOADS, PRODUCTION, PAYMENTS], "production"),
    (WEB_DEV, "web-dev", &[ROOT, WORKLOADS, DEVELOPMENT], "development"),
    (PAYMENTS_DEV, "payments-dev", &[ROOT, WORKLOADS, DEVELOPMENT], "development"),
    (LOG_ARCHIVE, "log-archive", &[ROOT, SECURITY], "security"),
    (MANAGEMENT, "management", &[ROOT], "management"),
];

/// The roles of every account but the management account, and their longest sessions in hours.
const ROLES: [(&str, i64); 2] = [("ReadOnly", 12), ("Administrator", 1)];

/// The organisation. `issuer` is the identity provider of all five people, and calls them by their user names.
pub fn organisation(issuer: &str) -> Contents {
    known(try_organisation(issuer))
}

/// What a large company has besides the sample.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct More {
    /// Accounts, in [`WORKLOADS`].
    pub accounts: u32,
    /// Permission sets.
    pub permission_sets: u32,
    /// Developers.
    pub developers: u32,
}

/// Makes `contents` larger. Numbers begin with 1; `issuer` is as for [`organisation`].
pub fn enlarge(contents: &mut Contents, issuer: &str, more: More) {
    known(try_enlarge(contents, issuer, more));
}

/// The account of this number among those that were added.
pub fn added_account(number: u32) -> Result<AccountId, Invalid> {
    AccountId::new(format!("6{number:011}"))
}

/// The permission set of this number among those that were added.
pub fn added_permission_set(number: u32) -> Result<PermissionSetArn, Invalid> {
    PermissionSetArn::new(format!("arn:aws:sso:::permissionSet/ssoins-1111111111111111/ps-{number:016}"))
}

/// The developer of this number among those that were added: the user, and the name that the issuer has for them.
pub fn added_developer(number: u32) -> Result<(PrincipalId, String), Invalid> {
    let id = PrincipalId::new(format!("00000000-0000-4000-9000-{number:012x}"))?;
    Ok((id, format!("developer-{number}")))
}

/// The role `name` (`ReadOnly`, `Administrator`) of an account, as Daypass assumes it.
pub fn role(account: &str, name: &str) -> Result<RoleArn, Invalid> {
    RoleArn::new(format!("arn:aws:iam::{account}:role/daypass/{name}"))
}

/// Every role that Daypass may assume.
pub fn roles() -> BTreeMap<RoleArn, SimulatedRole> {
    let accounts = ACCOUNTS.iter().map(|(id, ..)| *id).filter(|id| *id != MANAGEMENT);
    let roles = accounts.flat_map(|account| {
        ROLES.map(|(name, hours)| {
            let role = SimulatedRole { session_max: SignedDuration::from_hours(hours), external_id: None };
            (known(self::role(account, name)), role)
        })
    });
    roles.collect()
}

fn try_organisation(issuer: &str) -> Result<Contents, Invalid> {
    let mut contents = Contents::default();
    for (id, name, parent) in UNITS {
        let parent = parent.map(OuId::new).transpose()?;
        contents.units.insert(OuId::new(id)?, OrgUnit { name: name.to_owned(), parent });
    }
    for (id, name, path, environment) in ACCOUNTS {
        let account = Account {
            name: name.to_owned(),
            ou_path: OuPath(path.iter().map(|unit| OuId::new(*unit)).collect::<Result<_, _>>()?),
            tags: BTreeMap::from([("environment".to_owned(), environment.to_owned())]),
            active: true,
            management: id == MANAGEMENT,
        };
        contents.accounts.insert(AccountId::new(id)?, account);
    }
    for (arn, name) in [(READ_ONLY, "ReadOnly"), (ADMINISTRATOR_ACCESS, "AdministratorAccess")] {
        let set = PermissionSet { name: name.to_owned(), session_duration: SignedDuration::from_hours(1) };
        contents.permission_sets.insert(PermissionSetArn::new(arn)?, set);
    }
    for (id, name, display_name, group) in PEOPLE {
        let id = PrincipalId::new(id)?;
        let group_id = GroupId::new(group)?;
        let user = User {
            user_name: UserName::new(name),
            display_name: display_name.to_owned(),
            external_ids: BTreeSet::from([ExternalId { issuer: issuer.to_owned(), id: name.to_owned() }]),
            enabled: true,
        };
        contents.users.insert(id.clone(), user);
        contents.groups.insert(group_id.clone(), Group { display_name: group.to_owned() });
        contents.memberships.insert(id, BTreeSet::from([group_id]));
    }
    Ok(contents)
}

fn try_enlarge(contents: &mut Contents, issuer: &str, more: More) -> Result<(), Invalid> {
    let path = OuPath([ROOT, WORKLOADS].into_iter().map(OuId::new).collect::<Result<_, _>>()?);
    for number in 1..=more.accounts {
        let account = Account {
            name: format!("account-{number}"),
            ou_path: path.clone(),
            tags: BTreeMap::new(),
            active: true,
            management: false,
        };
        contents.accounts.insert(added_account(number)?, account);
    }
    for number in 1..=more.permission_sets {
        let name = format!("PermissionSet{number}");
        let set = PermissionSet { name, session_duration: SignedDuration::from_hours(1) };
        contents.permission_sets.insert(added_permission_set(number)?, set);
    }
    let developers = GroupId::new(DEVELOPERS)?;
    for number in 1..=more.developers {
        let (id, name) = added_developer(number)?;
        let user = User {
            user_name: UserName::new(&name),
            display_name: format!("Developer {number}"),
            external_ids: BTreeSet::from([ExternalId { issuer: issuer.to_owned(), id: name }]),
            enabled: true,
        };
        contents.users.insert(id.clone(), user);
        contents.memberships.insert(id, BTreeSet::from([developers.clone()]));
    }
    Ok(())
}

#[expect(
    clippy::expect_used,
    reason = "made of this file's constants and of numbers alone, and tests make them all"
)]
fn known<T>(made: Result<T, Invalid>) -> T {
    made.expect("the sample's constants are well formed")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_added_takes_nothing_from_the_sample() {
        let issuer = "https://idp.example";
        let sample = organisation(issuer);
        let mut large = sample.clone();
        enlarge(&mut large, issuer, More { accounts: 3, permission_sets: 2, developers: 4 });
        assert_eq!(large.accounts.len(), sample.accounts.len() + 3);
        assert_eq!(large.permission_sets.len(), sample.permission_sets.len() + 2);
        assert_eq!(large.users.len(), sample.users.len() + 4);
        assert!(sample.accounts.keys().all(|id| large.accounts.contains_key(id)));
        assert!(large.accounts.contains_key(&added_account(3).unwrap()));
        let (developer, _) = added_developer(4).unwrap();
        let ada = PrincipalId::new(ADA).unwrap();
        assert_eq!(large.memberships.get(&developer), large.memberships.get(&ada));
    }

    #[test]
    fn every_number_can_be_added() {
        for number in [1, u32::MAX] {
            assert!(added_account(number).is_ok());
            assert!(added_permission_set(number).is_ok());
            assert!(added_developer(number).is_ok());
        }
    }
}
