//! Cases of [`crate::Assignments`].

use super::{AssignmentsFixture, Of, Outcome, Why, attempt, ensure, final_status, refused};
use crate::{AssignmentKey, Attempt, Deletion, ErrorKind, OperationId, OperationStatus, Uncounted};
use domain::{AccountId, Entitlement, PrincipalId};
use std::collections::BTreeSet;

async fn create(fixture: &dyn AssignmentsFixture, key: &AssignmentKey) -> Result<OperationStatus, Why> {
    let operation = fixture.assignments().create(key, attempt(fixture)).await?;
    final_status(fixture, Of::Creation, &operation).await
}

async fn delete(fixture: &dyn AssignmentsFixture, key: &AssignmentKey) -> Result<OperationStatus, Why> {
    match fixture.assignments().delete(key, attempt(fixture), &Uncounted).await? {
        Deletion::Started(operation) => final_status(fixture, Of::Deletion, &operation).await,
        Deletion::NotFound => Err(Why("nothing to delete was found".to_owned())),
    }
}

fn succeeded(status: &OperationStatus) -> Outcome {
    ensure(*status == OperationStatus::Succeeded, || format!("{status:?}"))
}

async fn found(fixture: &dyn AssignmentsFixture, key: &AssignmentKey, expected: bool) -> Outcome {
    let found = fixture.assignments().find(key, &Uncounted).await?;
    ensure(found == expected, || format!("found: {found}, expected: {expected}"))
}

pub(super) async fn an_assignment_comes_and_goes(fixture: &dyn AssignmentsFixture) -> Outcome {
    let key = fixture.new_key("comes-and-goes").await?;
    found(fixture, &key, false).await?;
    succeeded(&create(fixture, &key).await?)?;
    found(fixture, &key, true).await?;
    succeeded(&delete(fixture, &key).await?)?;
    found(fixture, &key, false).await
}

pub(super) async fn what_was_deleted_can_be_created_again(fixture: &dyn AssignmentsFixture) -> Outcome {
    let key = fixture.new_key("again").await?;
    for _ in 0..2 {
        succeeded(&create(fixture, &key).await?)?;
        found(fixture, &key, true).await?;
        succeeded(&delete(fixture, &key).await?)?;
        found(fixture, &key, false).await?;
    }
    Ok(())
}

pub(super) async fn operations_are_seen_in_progress(fixture: &dyn AssignmentsFixture) -> Outcome {
    let key = fixture.new_key("in-progress").await?;
    let operation = fixture.assignments().create(&key, attempt(fixture)).await?;
    let status = fixture.assignments().creation_status(&operation).await?;
    ensure(status == OperationStatus::InProgress, || format!("{status:?}"))?;
    found(fixture, &key, false).await?;
    succeeded(&final_status(fixture, Of::Creation, &operation).await?)?;
    found(fixture, &key, true).await
}

pub(super) async fn a_second_create_is_no_error_and_no_second_assignment(
    fixture: &dyn AssignmentsFixture,
) -> Outcome {
    let key = fixture.new_key("second-create").await?;
    succeeded(&create(fixture, &key).await?)?;
    succeeded(&create(fixture, &key).await?)?;
    let holders = fixture.assignments().holders(key.account(), key.entitlement(), &Uncounted).await?;
    ensure(holders == BTreeSet::from([key.principal().clone()]), || format!("{holders:?}"))?;
    succeeded(&delete(fixture, &key).await?)?;
    found(fixture, &key, false).await
}

pub(super) async fn deleting_what_is_not_there_begins_nothing(fixture: &dyn AssignmentsFixture) -> Outcome {
    let key = fixture.new_key("not-there").await?;
    let deletion = fixture.assignments().delete(&key, attempt(fixture), &Uncounted).await?;
    ensure(!matches!(deletion, Deletion::Started(_)), || format!("{deletion:?}"))
}

pub(super) async fn finding_is_exact(fixture: &dyn AssignmentsFixture) -> Outcome {
    let key = fixture.new_key("exact").await?;
    let other = fixture.new_key("exact-other").await?;
    succeeded(&create(fixture, &key).await?)?;
    let (account, entitlement) = (key.account().clone(), key.entitlement().clone());
    let principal = key.principal().clone();
    for near in [
        AssignmentKey::new(other.principal().clone(), account.clone(), entitlement.clone()),
        AssignmentKey::new(principal.clone(), other.account().clone(), entitlement),
        AssignmentKey::new(principal, account, other.entitlement().clone()),
    ] {
        match fixture.assignments().find(&near, &Uncounted).await {
            // A role is in one account: what says otherwise is not looked for.
            Err(error) if error.kind == ErrorKind::Invalid => {}
            looked => ensure(!looked?, || format!("{near} is found"))?,
        }
    }
    found(fixture, &key, true).await
}

pub(super) async fn what_users_hold_in_an_account_is_listed_where_there_is_such_a_list(
    fixture: &dyn AssignmentsFixture,
) -> Outcome {
    let key = fixture.new_key("held-in").await?;
    let other = fixture.new_key("held-in-other").await?;
    let port = fixture.assignments();
    succeeded(&create(fixture, &key).await?)?;
    let Some(held) = port.held_in(key.account(), &Uncounted).await? else {
        return ensure(matches!(key.entitlement(), Entitlement::PermissionSet(_)), || {
            "roles are not listed".to_owned()
        });
    };
    ensure(held.contains(&key) && !held.contains(&other), || format!("{held:?}"))?;
    succeeded(&delete(fixture, &key).await?)?;
    let held = port.held_in(key.account(), &Uncounted).await?.unwrap_or_default();
    ensure(!held.contains(&key), || format!("{held:?}"))
}

pub(super) async fn an_attempt_past_its_deadline_does_nothing(fixture: &dyn AssignmentsFixture) -> Outcome {
    let key = fixture.new_key("too-late").await?;
    let now = fixture.now();
    let late = Attempt { signed_at: now, start_before: now };
    refused(fixture.assignments().create(&key, late).await, ErrorKind::Unavailable)?;
    found(fixture, &key, false).await?;
    succeeded(&create(fixture, &key).await?)?;
    refused(fixture.assignments().delete(&key, late, &Uncounted).await, ErrorKind::Unavailable)?;
    found(fixture, &key, true).await
}

pub(super) async fn an_unknown_entitlement_is_refused(fixture: &dyn AssignmentsFixture) -> Outcome {
    let key = fixture.new_key("unknown-entitlement").await?;
    let entitlement = fixture.unknown_entitlement(&key)?;
    let unknown = AssignmentKey::new(key.principal().clone(), key.account().clone(), entitlement);
    refused(fixture.assignments().create(&unknown, attempt(fixture)).await, ErrorKind::NotFound)
}

pub(super) async fn an_unknown_account_or_user_gets_nothing(fixture: &dyn AssignmentsFixture) -> Outcome {
    let key = fixture.new_key("unknown-account").await?;
    let user = PrincipalId::new("00000000-0000-4000-8000-00000000dead")?;
    let nowhere = AccountId::new("000000000000")?;
    for unknown in [
        AssignmentKey::new(key.principal().clone(), nowhere, key.entitlement().clone()),
        AssignmentKey::new(user, key.account().clone(), key.entitlement().clone()),
    ] {
        match fixture.assignments().create(&unknown, attempt(fixture)).await {
            Ok(operation) => {
                let status = final_status(fixture, Of::Creation, &operation).await?;
                ensure(matches!(status, OperationStatus::Failed { .. }), || format!("{status:?}"))?;
                found(fixture, &unknown, false).await?;
            }
            Err(error) => ensure(!error.retriable(), || error.to_string())?,
        }
    }
    Ok(())
}

pub(super) async fn another_services_entitlement_is_refused(fixture: &dyn AssignmentsFixture) -> Outcome {
    let key = fixture.new_key("foreign").await?;
    let entitlement = fixture.foreign_entitlement(&key)?;
    let foreign = AssignmentKey::new(key.principal().clone(), key.account().clone(), entitlement);
    let port = fixture.assignments();
    refused(port.create(&foreign, attempt(fixture)).await, ErrorKind::Invalid)?;
    refused(port.delete(&foreign, attempt(fixture), &Uncounted).await, ErrorKind::Invalid)?;
    refused(port.find(&foreign, &Uncounted).await, ErrorKind::Invalid)
}

pub(super) async fn an_unknown_operation_has_no_status(fixture: &dyn AssignmentsFixture) -> Outcome {
    let unknown = OperationId::new("00000000-0000-4000-8000-00000000dead")?;
    refused(fixture.assignments().creation_status(&unknown).await, ErrorKind::NotFound)?;
    refused(fixture.assignments().deletion_status(&unknown).await, ErrorKind::NotFound)
}
