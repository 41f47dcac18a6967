//! Values of the directory as messages.

use api::request::v1 as api;
use aws::{Account, Directory, Group, GroupId, OrgUnit, PermissionSet, User};
use domain::{AccountId, OuId, PermissionSetArn, PrincipalId};
use views::wire;

pub(super) fn account(id: &AccountId, account: &Account) -> api::Account {
    api::Account {
        account_id: id.to_string(),
        name: account.name.clone(),
        ou_path: account.ou_path.0.iter().map(ToString::to_string).collect(),
        tags: account.tags.clone().into_iter().collect(),
        active: account.active,
        management: account.management,
    }
}

pub(super) fn unit(id: &OuId, unit: &OrgUnit) -> api::OrgUnit {
    api::OrgUnit {
        ou_id: id.to_string(),
        name: unit.name.clone(),
        parent_id: unit.parent.as_ref().map(ToString::to_string).unwrap_or_default(),
    }
}

pub(super) fn permission_set(arn: &PermissionSetArn, set: &PermissionSet) -> api::PermissionSet {
    api::PermissionSet {
        arn: arn.to_string(),
        name: set.name.clone(),
        session_duration: Some(wire::duration(set.session_duration)),
    }
}

pub(super) fn user(directory: &Directory, id: &PrincipalId, user: &User) -> api::DirectoryUser {
    let groups = directory.contents().memberships.get(id);
    let external_ids = user.external_ids.iter();
    api::DirectoryUser {
        principal_id: id.to_string(),
        user_name: user.user_name.to_string(),
        display_name: user.display_name.clone(),
        external_ids: external_ids
            .map(|known| api::ExternalId { issuer: known.issuer.clone(), id: known.id.clone() })
            .collect(),
        group_ids: groups.into_iter().flatten().map(ToString::to_string).collect(),
        enabled: user.enabled,
    }
}

pub(super) fn group(id: &GroupId, group: &Group) -> api::DirectoryGroup {
    api::DirectoryGroup { group_id: id.to_string(), display_name: group.display_name.clone() }
}
