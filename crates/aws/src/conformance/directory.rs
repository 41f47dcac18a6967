//! Cases of [`crate::DirectorySource`].

use super::{Fixture, Outcome, Why, ensure, read};
use crate::directory::GROUP_SOURCE;
use crate::{Directory, GroupId};
use domain::{AccountId, GroupRef, OuId, OuPath, SignedDuration};
use std::collections::{BTreeMap, BTreeSet};

/// More users than one page of Identity Store holds (100).
const MORE_THAN_A_PAGE: usize = 105;

fn path_of(directory: &Directory, account: &AccountId) -> Result<OuPath, Why> {
    directory.ou_path(account).cloned().ok_or_else(|| Why(format!("account {account} is missing")))
}

fn group_ref(group: &GroupId) -> Result<GroupRef, Why> {
    Ok(GroupRef::new(GROUP_SOURCE, group.as_str())?)
}

pub(super) async fn nested_units_are_all_on_the_path(fixture: &dyn Fixture) -> Outcome {
    let outer = fixture.create_unit(None, "nested-outer").await?;
    let middle = fixture.create_unit(Some(&outer), "nested-middle").await?;
    let inner = fixture.create_unit(Some(&middle), "nested-inner").await?;
    let account = fixture.create_account(&inner, "nested", &BTreeMap::new()).await?;
    let directory = read(fixture).await?;
    let path = path_of(&directory, &account)?;
    let (root, units) = path.0.split_first().ok_or_else(|| Why("the path is empty".to_owned()))?;
    ensure(root.as_str().starts_with("r-") && units == [outer, middle.clone(), inner.clone()], || {
        path.to_string()
    })?;
    let unit = directory.unit(&inner).ok_or_else(|| Why("the inner unit is missing".to_owned()))?;
    ensure(unit.name == "nested-inner" && unit.parent == Some(middle), || format!("{unit:?}"))
}

pub(super) async fn a_moved_account_is_found_where_it_is(fixture: &dyn Fixture) -> Outcome {
    let from = fixture.create_unit(None, "moved-from").await?;
    let to = fixture.create_unit(None, "moved-to").await?;
    let account = fixture.create_account(&from, "moved", &BTreeMap::new()).await?;
    let in_unit = |directory: &Directory, unit: &OuId| {
        let path = path_of(directory, &account)?;
        ensure(path.parent() == Some(unit), || path.to_string())
    };
    in_unit(&read(fixture).await?, &from)?;
    fixture.move_account(&account, &from, &to).await?;
    in_unit(&read(fixture).await?, &to)
}

pub(super) async fn account_tags_are_read(fixture: &dyn Fixture) -> Outcome {
    let unit = fixture.create_unit(None, "tagged").await?;
    let tags = BTreeMap::from([
        ("environment".to_owned(), "production".to_owned()),
        ("owner".to_owned(), "payments".to_owned()),
    ]);
    let id = fixture.create_account(&unit, "tagged", &tags).await?;
    let directory = read(fixture).await?;
    let account = directory.account(&id).ok_or_else(|| Why("the account is missing".to_owned()))?;
    ensure(account.tags == tags && account.name == "tagged" && account.active, || format!("{account:?}"))
}

pub(super) async fn permission_sets_are_read_with_their_session_duration(fixture: &dyn Fixture) -> Outcome {
    let arn = fixture.create_permission_set("four-hours", SignedDuration::from_hours(4)).await?;
    let directory = read(fixture).await?;
    let set =
        directory.permission_set(&arn).ok_or_else(|| Why("the permission set is missing".to_owned()))?;
    ensure(set.name == "four-hours" && set.session_duration == SignedDuration::from_hours(4), || {
        format!("{set:?}")
    })
}

pub(super) async fn user_names_have_one_letter_case(fixture: &dyn Fixture) -> Outcome {
    let user = fixture.create_user("Grace.HOPPER", None).await?;
    let directory = read(fixture).await?;
    for name in ["grace.hopper", "GRACE.HOPPER", "Grace.HOPPER"] {
        ensure(directory.user_by_name(name)? == &user, || name.to_owned())?;
    }
    ensure(directory.user_by_id(user.as_str())? == &user, || "not found by its id".to_owned())
}

pub(super) async fn external_ids_are_exact(fixture: &dyn Fixture) -> Outcome {
    let user = fixture.create_user("external", Some(("https://idp.example", "00uX"))).await?;
    let directory = read(fixture).await?;
    ensure(directory.user_by_external_id("https://idp.example", "00uX")? == &user, || {
        "another user".to_owned()
    })?;
    for (issuer, id) in [("https://idp.example", "00ux"), ("https://idp.example/", "00uX")] {
        let near = directory.user_by_external_id(issuer, id);
        ensure(near == Err(crate::LookupError::Unknown), || format!("{issuer} {id}: {near:?}"))?;
    }
    Ok(())
}

pub(super) async fn members_of_groups_are_read(fixture: &dyn Fixture) -> Outcome {
    let group = fixture.create_group("members").await?;
    let other = fixture.create_group("members-other").await?;
    let user = fixture.create_user("member", None).await?;
    fixture.add_member(&group, &user).await?;
    let directory = read(fixture).await?;
    let (group, other) = (group_ref(&group)?, group_ref(&other)?);
    ensure(directory.groups_of(&user) == BTreeSet::from([group.clone()]), || "other groups".to_owned())?;
    ensure(directory.members_of(&group) == BTreeSet::from([user]), || "other members".to_owned())?;
    ensure(directory.members_of(&other).is_empty(), || "members of an empty group".to_owned())?;
    ensure(directory.group_name(&group) == Some("members"), || "another name".to_owned())
}

pub(super) async fn a_deleted_group_harms_nobody(fixture: &dyn Fixture) -> Outcome {
    let kept = fixture.create_group("kept").await?;
    let deleted = fixture.create_group("deleted").await?;
    let user = fixture.create_user("left-behind", None).await?;
    fixture.add_member(&kept, &user).await?;
    fixture.add_member(&deleted, &user).await?;
    fixture.delete_group(&deleted).await?;
    let directory = read(fixture).await?;
    let (kept, deleted) = (group_ref(&kept)?, group_ref(&deleted)?);
    ensure(directory.groups_of(&user) == BTreeSet::from([kept.clone()]), || "other groups".to_owned())?;
    ensure(directory.members_of(&deleted).is_empty(), || "it has members".to_owned())?;
    ensure(directory.missing_groups([&kept, &deleted]) == BTreeSet::from([deleted]), || {
        "not reported".to_owned()
    })
}

pub(super) async fn a_long_list_is_read_to_its_end(fixture: &dyn Fixture) -> Outcome {
    let mut users = BTreeSet::new();
    for number in 0..MORE_THAN_A_PAGE {
        users.insert(fixture.create_user(&format!("one-of-many-{number}"), None).await?);
    }
    let directory = read(fixture).await?;
    let missing = users.iter().filter(|user| directory.user(user).is_none()).count();
    ensure(missing == 0, || format!("{missing} users are missing"))
}
