//! Lookups in the directory, by the names of what went wrong elsewhere.

use crate::support::noon;
use aws::simulated::sample;
use aws::{Contents, Directory, ExternalId, GroupId, LookupError, User, UserName};
use domain::{AccountId, GroupRef, OuId, PrincipalId};
use std::collections::BTreeSet;

const ISSUER: &str = "https://idp.example";

fn contents() -> Contents {
    sample::organisation(ISSUER)
}

fn directory(contents: Contents) -> Directory {
    Directory::new(noon(), contents)
}

fn add_user(contents: &mut Contents, id: &str, name: &str, external_id: &str) -> PrincipalId {
    let id = PrincipalId::new(id).unwrap();
    let user = User {
        user_name: UserName::new(name),
        display_name: name.to_owned(),
        external_ids: BTreeSet::from([ExternalId { issuer: ISSUER.to_owned(), id: external_id.to_owned() }]),
        enabled: true,
    };
    contents.users.insert(id.clone(), user);
    id
}

#[test]
fn team_41_nested_ous_are_all_above_the_account() {
    let directory = directory(contents());
    let path = directory.ou_path(&AccountId::new(sample::PAYMENTS_PROD).unwrap()).unwrap();
    for unit in [sample::ROOT, sample::WORKLOADS, sample::PRODUCTION, sample::PAYMENTS] {
        assert!(path.contains(&OuId::new(unit).unwrap()), "{unit}");
    }
    assert!(!path.contains(&OuId::new(sample::DEVELOPMENT).unwrap()));
    assert_eq!(path.parent(), Some(&OuId::new(sample::PAYMENTS).unwrap()));
}

#[test]
fn team_30_letter_case_of_a_user_name_does_not_matter() {
    let mut contents = contents();
    let grace = add_user(&mut contents, "aa", " Grace.HOPPER@Example.com ", "g1");
    let directory = directory(contents);
    for name in ["grace.hopper@example.com", "GRACE.HOPPER@EXAMPLE.COM"] {
        assert_eq!(directory.user_by_name(name).unwrap(), &grace);
    }
}

#[test]
fn letter_case_of_an_external_id_matters() {
    let mut contents = contents();
    let upper = add_user(&mut contents, "aa", "upper", "00uX");
    let lower = add_user(&mut contents, "bb", "lower", "00ux");
    let directory = directory(contents);
    assert_eq!(directory.user_by_external_id(ISSUER, "00uX").unwrap(), &upper);
    assert_eq!(directory.user_by_external_id(ISSUER, "00ux").unwrap(), &lower);
}

#[test]
fn two_users_with_one_external_id_are_nobody() {
    let mut contents = contents();
    add_user(&mut contents, "aa", "one", "same");
    add_user(&mut contents, "bb", "two", "same");
    let directory = directory(contents);
    assert_eq!(directory.user_by_external_id(ISSUER, "same"), Err(LookupError::Ambiguous));
}

#[test]
fn another_issuers_external_id_is_nobody() {
    let directory = directory(contents());
    assert_eq!(directory.user_by_external_id("https://guest.example", "ada"), Err(LookupError::Unknown));
    assert_eq!(directory.user_by_external_id(ISSUER, "ad"), Err(LookupError::Unknown));
    assert_eq!(directory.user_by_external_id(ISSUER, "adaa"), Err(LookupError::Unknown));
}

#[test]
fn a_user_is_found_by_id_alone_and_exactly() {
    let directory = directory(contents());
    assert_eq!(directory.user_by_id(sample::ADA).unwrap().as_str(), sample::ADA);
    assert_eq!(directory.user_by_id(&sample::ADA.to_uppercase()), Err(LookupError::Unknown));
    assert_eq!(directory.user_by_id("ada"), Err(LookupError::Unknown));
}

#[test]
fn team_585_a_deleted_group_is_empty_reported_and_harmless() {
    let mut contents = contents();
    contents.groups.remove(&GroupId::new(sample::APPROVERS).unwrap());
    let directory = directory(contents);
    let deleted = GroupRef::new("identity-store", sample::APPROVERS).unwrap();
    let kept = GroupRef::new("identity-store", sample::ADMINS).unwrap();
    assert!(directory.members_of(&deleted).is_empty());
    assert!(directory.groups_of(&PrincipalId::new(sample::BOB).unwrap()).is_empty());
    assert_eq!(directory.members_of(&kept).len(), 2);
    assert_eq!(directory.missing_groups([&deleted, &kept]), BTreeSet::from([deleted]));
}

#[test]
fn a_group_of_another_source_has_no_members_here() {
    let directory = directory(contents());
    let guest = GroupRef::new("guest-idp", sample::ADMINS).unwrap();
    assert!(directory.members_of(&guest).is_empty());
    assert_eq!(directory.group_name(&guest), None);
    assert!(directory.missing_groups([&guest]).is_empty());
}

#[test]
fn a_membership_of_a_user_who_is_gone_counts_for_nothing() {
    let mut contents = contents();
    contents.users.remove(&PrincipalId::new(sample::CAROL).unwrap());
    let directory = directory(contents);
    let admins = GroupRef::new("identity-store", sample::ADMINS).unwrap();
    assert_eq!(directory.members_of(&admins), BTreeSet::from([PrincipalId::new(sample::DAVE).unwrap()]));
    assert!(directory.groups_of(&PrincipalId::new(sample::CAROL).unwrap()).is_empty());
}
