//! Cases of [`crate::Assignments`].

use super::{Fixture, Of, Outcome, Why, attempt, ensure, final_status, refused};
use crate::{AssignmentKey, Attempt, Deletion, ErrorKind, OperationId, OperationStatus};
use domain::{AccountId, PermissionSetArn, PrincipalId, SignedDuration};
use std::collections::{BTreeMap, BTreeSet};

/// A key whose three parts exist, and were made for `case`.
async fn new_key(fixture: &dyn Fixture, case: &str) -> Result<AssignmentKey, Why> {
    let unit = fixture.create_unit(None, case).await?;
    let account = fixture.create_account(&unit, case, &BTreeMap::new()).await?;
    let set = fixture.create_permission_set(case, SignedDuration::from_hours(1)).await?;
    let user = fixture.create_user(case, None).await?;
    Ok(AssignmentKey::new(user, account, set))
}

async fn create(fixture: &dyn Fixture, key: &AssignmentKey) -> Result<OperationStatus, Why> {
    let operation = fixture.assignments().create(key, attempt(fixture)).await?;
    final_status(fixture, Of::Creation, &operation).await
}

async fn delete(fixture: &dyn Fixture, key: &AssignmentKey) -> Result<OperationStatus, Why> {
    match fixture.assignments().delete(key, attempt(fixture)).await? {
        Deletion::Started(operation) => final_status(fixture, Of::Deletion, &operation).await,
        Deletion::AlreadyGone => Err(Why("it was gone already".to_owned())),
    }
}

fn succeeded(status: &OperationStatus) -> Outcome {
    ensure(*status == OperationStatus::Succeeded, || format!("{status:?}"))
}

async fn found(fixture: &dyn Fixture, key: &AssignmentKey, expected: bool) -> Outcome {
    let found = fixture.assignments().find(key).await?;
    ensure(found == expected, || format!("found: {found}, expected: {expected}"))
}

pub(super) async fn an_assignment_comes_and_goes(fixture: &dyn Fixture) -> Outcome {
    let key = new_key(fixture, "comes-and-goes").await?;
    found(fixture, &key, false).await?;
    succeeded(&create(fixture, &key).await?)?;
    found(fixture, &key, true).await?;
    succeeded(&delete(fixture, &key).await?)?;
    found(fixture, &key, false).await
}

pub(super) async fn operations_are_seen_in_progress(fixture: &dyn Fixture) -> Outcome {
    let key = new_key(fixture, "in-progress").await?;
    let operation = fixture.assignments().create(&key, attempt(fixture)).await?;
    let status = fixture.assignments().creation_status(&operation).await?;
    ensure(status == OperationStatus::InProgress, || format!("{status:?}"))?;
    found(fixture, &key, false).await?;
    succeeded(&final_status(fixture, Of::Creation, &operation).await?)?;
    found(fixture, &key, true).await
}

pub(super) async fn a_second_create_is_no_error_and_no_second_assignment(fixture: &dyn Fixture) -> Outcome {
    let key = new_key(fixture, "second-create").await?;
    succeeded(&create(fixture, &key).await?)?;
    succeeded(&create(fixture, &key).await?)?;
    let holders = fixture.assignments().holders(key.account(), key.permission_set()).await?;
    ensure(holders == BTreeSet::from([key.principal().clone()]), || format!("{holders:?}"))?;
    succeeded(&delete(fixture, &key).await?)?;
    found(fixture, &key, false).await
}

pub(super) async fn deleting_what_is_not_there_is_already_gone(fixture: &dyn Fixture) -> Outcome {
    let key = new_key(fixture, "not-there").await?;
    let deletion = fixture.assignments().delete(&key, attempt(fixture)).await?;
    ensure(deletion == Deletion::AlreadyGone, || format!("{deletion:?}"))
}

pub(super) async fn finding_is_exact(fixture: &dyn Fixture) -> Outcome {
    let key = new_key(fixture, "exact").await?;
    let other = new_key(fixture, "exact-other").await?;
    succeeded(&create(fixture, &key).await?)?;
    let (account, set) = (key.account().clone(), key.permission_set().clone());
    let principal = key.principal().clone();
    for near in [
        AssignmentKey::new(other.principal().clone(), account.clone(), set.clone()),
        AssignmentKey::new(principal.clone(), other.account().clone(), set),
        AssignmentKey::new(principal, account, other.permission_set().clone()),
    ] {
        found(fixture, &near, false).await?;
    }
    found(fixture, &key, true).await
}

pub(super) async fn an_attempt_past_its_deadline_does_nothing(fixture: &dyn Fixture) -> Outcome {
    let key = new_key(fixture, "too-late").await?;
    let now = fixture.now();
    let late = Attempt { signed_at: now, start_before: now };
    refused(fixture.assignments().create(&key, late).await, ErrorKind::Unavailable)?;
    found(fixture, &key, false).await?;
    succeeded(&create(fixture, &key).await?)?;
    refused(fixture.assignments().delete(&key, late).await, ErrorKind::Unavailable)?;
    found(fixture, &key, true).await
}

pub(super) async fn an_unknown_permission_set_is_refused(fixture: &dyn Fixture) -> Outcome {
    let key = new_key(fixture, "unknown-set").await?;
    let (instance, _) = key.permission_set().as_str().rsplit_once('/').unwrap_or_default();
    let set = PermissionSetArn::new(format!("{instance}/ps-00000000deadbeef"))?;
    let unknown = AssignmentKey::new(key.principal().clone(), key.account().clone(), set);
    refused(fixture.assignments().create(&unknown, attempt(fixture)).await, ErrorKind::NotFound)
}

pub(super) async fn an_unknown_account_or_user_fails_and_leaves_nothing(fixture: &dyn Fixture) -> Outcome {
    let key = new_key(fixture, "unknown-account").await?;
    let account = AccountId::new("000000000000")?;
    let user = PrincipalId::new("00000000-0000-4000-8000-00000000dead")?;
    for unknown in [
        AssignmentKey::new(key.principal().clone(), account, key.permission_set().clone()),
        AssignmentKey::new(user, key.account().clone(), key.permission_set().clone()),
    ] {
        let status = create(fixture, &unknown).await?;
        ensure(matches!(status, OperationStatus::Failed { .. }), || format!("{status:?}"))?;
        found(fixture, &unknown, false).await?;
    }
    Ok(())
}

pub(super) async fn an_unknown_operation_has_no_status(fixture: &dyn Fixture) -> Outcome {
    let unknown = OperationId::new("00000000-0000-4000-8000-00000000dead")?;
    refused(fixture.assignments().creation_status(&unknown).await, ErrorKind::NotFound)?;
    refused(fixture.assignments().deletion_status(&unknown).await, ErrorKind::NotFound)
}
