//! The suite that every implementation of the ports must pass: [`run`] with a [`Fixture`] of it.
//!
//! Assignments have more than one implementation in one AWS: [`run_assignments`] is their part of the suite alone.
//!
//! A case needs nothing but what it makes itself, so that the suite can run against an AWS that holds other things. What an
//! implementation cannot do is said by its [`Capabilities`], never skipped silently: [`run`] answers with the cases that ran.

mod assignments;
mod directory;
mod sts;

use crate::{
    AssignmentKey, Assignments, Attempt, AwsError, Directory, DirectorySource, ErrorKind, GroupId,
    OperationId, OperationStatus, Sts,
};
use domain::{
    AccountId, Entitlement, Invalid, OuId, PermissionSetArn, PrincipalId, RoleArn, SignedDuration, Timestamp,
};
use std::collections::BTreeMap;

/// What an implementation does beyond answering.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
#[expect(clippy::struct_excessive_bools, reason = "a list of independent facts, named where it is made")]
pub struct Capabilities {
    /// Operations are seen in progress before they are done.
    pub asynchronous_statuses: bool,
    /// Accounts, users, permission sets and roles that do not exist cannot be assigned.
    pub rejects_unknown_targets: bool,
    /// A role that does not exist cannot be assumed, nor one for longer than it allows.
    pub knows_roles: bool,
    /// An id of no operation has no status.
    pub rejects_unknown_operations: bool,
    /// Creating an assignment twice makes one.
    pub idempotent_create: bool,
    /// Users can be made with external ids.
    pub external_ids: bool,
}

/// An implementation under test, and the hands of its administrators.
#[async_trait::async_trait]
pub trait Fixture: Send + Sync {
    /// What it does.
    fn capabilities(&self) -> Capabilities;
    /// The port under test.
    fn sts(&self) -> &dyn Sts;
    /// The port under test.
    fn assignments(&self) -> &dyn Assignments;
    /// The port under test.
    fn directory(&self) -> &dyn DirectorySource;
    /// The time as the implementation sees it.
    fn now(&self) -> Timestamp;
    /// Lets time pass.
    async fn wait(&self, duration: SignedDuration);
    /// Makes a role that may be assumed for `session_max`.
    async fn create_role(&self, name: &str, session_max: SignedDuration) -> Result<RoleArn, AwsError>;
    /// Makes a unit under `parent`, or under the root.
    async fn create_unit(&self, parent: Option<&OuId>, name: &str) -> Result<OuId, AwsError>;
    /// Makes an account in `unit`, with tags.
    async fn create_account(
        &self,
        unit: &OuId,
        name: &str,
        tags: &BTreeMap<String, String>,
    ) -> Result<AccountId, AwsError>;
    /// Moves an account.
    async fn move_account(&self, account: &AccountId, from: &OuId, to: &OuId) -> Result<(), AwsError>;
    /// Makes a permission set.
    async fn create_permission_set(
        &self,
        name: &str,
        session_duration: SignedDuration,
    ) -> Result<PermissionSetArn, AwsError>;
    /// Makes a user; `external_id` is (issuer, id) and only given where [`Capabilities::external_ids`].
    async fn create_user(
        &self,
        user_name: &str,
        external_id: Option<(&str, &str)>,
    ) -> Result<PrincipalId, AwsError>;
    /// Makes a group.
    async fn create_group(&self, display_name: &str) -> Result<GroupId, AwsError>;
    /// Deletes a group.
    async fn delete_group(&self, group: &GroupId) -> Result<(), AwsError>;
    /// Puts a user into a group.
    async fn add_member(&self, group: &GroupId, user: &PrincipalId) -> Result<(), AwsError>;
}

/// An implementation of [`Assignments`] under test.
#[async_trait::async_trait]
pub trait AssignmentsFixture: Send + Sync {
    /// What it does; only what concerns assignments is looked at.
    fn capabilities(&self) -> Capabilities;
    /// The port under test.
    fn assignments(&self) -> &dyn Assignments;
    /// The time as the implementation sees it.
    fn now(&self) -> Timestamp;
    /// Lets time pass.
    async fn wait(&self, duration: SignedDuration);
    /// A key whose parts exist, and were made for `case`.
    async fn new_key(&self, case: &str) -> Result<AssignmentKey, AwsError>;
    /// An entitlement like that of `key`, which does not exist.
    fn unknown_entitlement(&self, key: &AssignmentKey) -> Result<Entitlement, AwsError>;
    /// An entitlement in the account of `key` that the port does not assign.
    fn foreign_entitlement(&self, key: &AssignmentKey) -> Result<Entitlement, AwsError>;
}

/// The assignments of a whole AWS: permission sets.
struct OfWhole<'a>(&'a dyn Fixture);

#[async_trait::async_trait]
impl AssignmentsFixture for OfWhole<'_> {
    fn capabilities(&self) -> Capabilities {
        self.0.capabilities()
    }

    fn assignments(&self) -> &dyn Assignments {
        self.0.assignments()
    }

    fn now(&self) -> Timestamp {
        self.0.now()
    }

    async fn wait(&self, duration: SignedDuration) {
        self.0.wait(duration).await;
    }

    async fn new_key(&self, case: &str) -> Result<AssignmentKey, AwsError> {
        let unit = self.0.create_unit(None, case).await?;
        let account = self.0.create_account(&unit, case, &BTreeMap::new()).await?;
        let set = self.0.create_permission_set(case, SignedDuration::from_hours(1)).await?;
        let user = self.0.create_user(case, None).await?;
        Ok(AssignmentKey::new(user, account, set))
    }

    fn unknown_entitlement(&self, key: &AssignmentKey) -> Result<Entitlement, AwsError> {
        let (instance, _) = key.entitlement().arn().rsplit_once('/').unwrap_or_default();
        Ok(PermissionSetArn::new(format!("{instance}/ps-00000000deadbeef"))?.into())
    }

    fn foreign_entitlement(&self, key: &AssignmentKey) -> Result<Entitlement, AwsError> {
        Ok(RoleArn::new(format!("arn:aws:iam::{}:role/Anything", key.account()))?.into())
    }
}

/// A case that the implementation does not pass.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{case}: {why}")]
pub struct Nonconformance {
    /// The case's name.
    pub case: &'static str,
    /// What was seen.
    pub why: String,
}

/// Why a case does not pass.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Why(String);

impl From<AwsError> for Why {
    fn from(error: AwsError) -> Self {
        Self(error.to_string())
    }
}

impl From<Invalid> for Why {
    fn from(invalid: Invalid) -> Self {
        Self(invalid.to_string())
    }
}

impl From<crate::LookupError> for Why {
    fn from(error: crate::LookupError) -> Self {
        Self(error.to_string())
    }
}

type Outcome = Result<(), Why>;

/// Runs one case of the suite, if the implementation is able.
macro_rules! case {
    ($ran:ident, $fixture:ident, $module:ident :: $case:ident $(if $able:expr)?) => {
        if true $(&& $able)? {
            match $module::$case($fixture).await {
                Ok(()) => $ran.passed.push(stringify!($case)),
                Err(Why(why)) => $ran.failed.push(Nonconformance { case: stringify!($case), why }),
            }
        }
    };
}

/// The cases that ran.
#[derive(Default)]
struct Ran {
    passed: Vec<&'static str>,
    failed: Vec<Nonconformance>,
}

impl Ran {
    fn verdict(self) -> Result<Vec<&'static str>, Vec<Nonconformance>> {
        if self.failed.is_empty() { Ok(self.passed) } else { Err(self.failed) }
    }
}

/// Runs every case that the fixture's capabilities allow, in order. Answers with the names of the cases that ran, or with every
/// case that did not pass.
pub async fn run(fixture: &dyn Fixture) -> Result<Vec<&'static str>, Vec<Nonconformance>> {
    let able = fixture.capabilities();
    let mut ran = Ran::default();
    case!(ran, fixture, sts::the_caller_is_told);
    case!(ran, fixture, sts::credentials_expire_as_asked);
    case!(ran, fixture, sts::a_session_can_be_cut_down);
    case!(ran, fixture, sts::a_session_longer_than_the_role_allows_is_refused if able.knows_roles);
    case!(ran, fixture, sts::an_unknown_role_is_denied if able.knows_roles);

    ran_assignments(&OfWhole(fixture), &mut ran).await;

    case!(ran, fixture, directory::nested_units_are_all_on_the_path);
    case!(ran, fixture, directory::a_moved_account_is_found_where_it_is);
    case!(ran, fixture, directory::account_tags_are_read);
    case!(ran, fixture, directory::permission_sets_are_read_with_their_session_duration);
    case!(ran, fixture, directory::user_names_have_one_letter_case);
    case!(ran, fixture, directory::external_ids_are_exact if able.external_ids);
    case!(ran, fixture, directory::members_of_groups_are_read);
    case!(ran, fixture, directory::a_deleted_group_harms_nobody);
    case!(ran, fixture, directory::a_long_list_is_read_to_its_end);
    ran.verdict()
}

/// Runs every case about assignments that the fixture's capabilities allow; answers as [`run`] does.
pub async fn run_assignments(
    fixture: &dyn AssignmentsFixture,
) -> Result<Vec<&'static str>, Vec<Nonconformance>> {
    let mut ran = Ran::default();
    ran_assignments(fixture, &mut ran).await;
    ran.verdict()
}

async fn ran_assignments(fixture: &dyn AssignmentsFixture, ran: &mut Ran) {
    let able = fixture.capabilities();
    case!(ran, fixture, assignments::an_assignment_comes_and_goes);
    case!(ran, fixture, assignments::what_was_deleted_can_be_created_again);
    case!(ran, fixture, assignments::operations_are_seen_in_progress if able.asynchronous_statuses);
    case!(ran, fixture, assignments::a_second_create_is_no_error_and_no_second_assignment if able.idempotent_create);
    case!(ran, fixture, assignments::deleting_what_is_not_there_begins_nothing);
    case!(ran, fixture, assignments::finding_is_exact);
    case!(ran, fixture, assignments::what_users_hold_in_an_account_is_listed_where_there_is_such_a_list);
    case!(ran, fixture, assignments::an_attempt_past_its_deadline_does_nothing);
    case!(ran, fixture, assignments::an_unknown_entitlement_is_refused if able.rejects_unknown_targets);
    case!(ran, fixture, assignments::an_unknown_account_or_user_gets_nothing if able.rejects_unknown_targets);
    case!(ran, fixture, assignments::another_services_entitlement_is_refused);
    case!(ran, fixture, assignments::an_unknown_operation_has_no_status if able.rejects_unknown_operations);
}

fn ensure(holds: bool, why: impl FnOnce() -> String) -> Outcome {
    if holds { Ok(()) } else { Err(Why(why())) }
}

/// The error of `result`, which must have this kind.
fn refused<T: std::fmt::Debug>(result: Result<T, AwsError>, kind: ErrorKind) -> Outcome {
    match result {
        Err(error) => ensure(error.kind == kind, || format!("expected {}, got {error}", kind.as_str())),
        Ok(answer) => Err(Why(format!("expected {}, got {answer:?}", kind.as_str()))),
    }
}

async fn read(fixture: &dyn Fixture) -> Result<Directory, AwsError> {
    Ok(Directory::new(fixture.now(), fixture.directory().fetch().await?))
}

/// An attempt that may start now.
fn attempt(fixture: &dyn AssignmentsFixture) -> Attempt {
    let now = fixture.now();
    Attempt { signed_at: now, start_before: now.checked_add(SignedDuration::from_mins(1)).unwrap_or(now) }
}

/// How often a status is asked for until it must be final.
const STATUS_POLLS: usize = 60;

/// Which of the two statuses.
#[derive(Clone, Copy)]
enum Of {
    Creation,
    Deletion,
}

async fn final_status(
    fixture: &dyn AssignmentsFixture,
    of: Of,
    operation: &OperationId,
) -> Result<OperationStatus, Why> {
    for _ in 0..STATUS_POLLS {
        let status = match of {
            Of::Creation => fixture.assignments().creation_status(operation).await?,
            Of::Deletion => fixture.assignments().deletion_status(operation).await?,
        };
        if status.is_final() {
            return Ok(status);
        }
        fixture.wait(SignedDuration::from_secs(1)).await;
    }
    Err(Why("the operation never ends".to_owned()))
}
