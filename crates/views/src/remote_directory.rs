//! The directory as another service of Daypass tells it, for processes that do not read AWS themselves.

use api::request::v1::directory_service_client::DirectoryServiceClient;
use api::request::v1::{self as wire, GetDirectoryRequest};
use aws::{
    Account, AwsError, Contents, DirectorySource, ErrorKind, ExternalId, Group, GroupId, OrgUnit,
    PermissionSet, User, UserName,
};
use domain::{Invalid, OuPath, SignedDuration, Timestamp};
use std::time::Duration;
use tonic::body::Body;
use tonic::client::GrpcService;
use tonic::codegen::{Body as HttpBody, Bytes, StdError};

/// One reading may take so long: a directory of 5,000 accounts and 50,000 users is some 10 MB. It also bounds the wait for a replica
/// that is paused.
const READING_DURATION_MAX: Duration = Duration::from_secs(20);

/// The code of an answer that is no directory.
const MALFORMED: &str = "MalformedDirectory";

/// How often a reading is tried before the failure counts.
const READINGS_MAX: u32 = 3;

/// The `DirectoryService` behind a connection.
pub struct GrpcDirectory<T> {
    client: DirectoryServiceClient<T>,
}

impl<T> std::fmt::Debug for GrpcDirectory<T> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("GrpcDirectory").finish_non_exhaustive()
    }
}

impl<T> GrpcDirectory<T>
where
    T: GrpcService<Body>,
    T::Error: Into<StdError>,
    T::ResponseBody: HttpBody<Data = Bytes> + Send + 'static,
    <T::ResponseBody as HttpBody>::Error: Into<StdError> + Send,
{
    /// The directory of the service at the other end of `connection`.
    pub fn new(connection: T) -> Self {
        Self { client: DirectoryServiceClient::new(connection) }
    }
}

#[async_trait::async_trait]
impl<T> DirectorySource for GrpcDirectory<T>
where
    T: GrpcService<Body> + Clone + Send + Sync + 'static,
    T::Future: Send,
    T::Error: Into<StdError>,
    T::ResponseBody: HttpBody<Data = Bytes> + Send + 'static,
    <T::ResponseBody as HttpBody>::Error: Into<StdError> + Send,
{
    async fn fetch(&self) -> Result<Contents, AwsError> {
        let unasked = || {
            AwsError::new(ErrorKind::Invalid, MALFORMED, "unchanged, where nothing was there to compare with")
        };
        self.read_patiently(None).await?.ok_or_else(unasked)
    }

    async fn fetch_newer(&self, newer_than: Timestamp) -> Result<Option<Contents>, AwsError> {
        self.read_patiently(Some(newer_than)).await
    }
}

impl<T> GrpcDirectory<T>
where
    T: GrpcService<Body> + Clone + Send + Sync + 'static,
    T::Future: Send,
    T::Error: Into<StdError>,
    T::ResponseBody: HttpBody<Data = Bytes> + Send + 'static,
    <T::ResponseBody as HttpBody>::Error: Into<StdError> + Send,
{
    /// Reading changes nothing, so a reading that failed for want of a neighbour is made again, by another replica if there is one, and
    /// with another token if that was refused.
    async fn read_patiently(&self, newer_than: Option<Timestamp>) -> Result<Option<Contents>, AwsError> {
        let mut tries = 1;
        loop {
            let reading = tokio::time::timeout(READING_DURATION_MAX, self.read(newer_than)).await;
            let slow = || AwsError::new(ErrorKind::Unavailable, "Timeout", "the neighbour does not answer");
            match reading.unwrap_or_else(|_| Err(slow())) {
                Err(error) if error.kind == ErrorKind::Unavailable && tries < READINGS_MAX => {
                    tracing::debug!(%error, tries, "the directory is asked for again");
                    tries += 1;
                }
                outcome => return outcome,
            }
        }
    }

    /// `None`: there is nothing newer. The date of such an answer is that of what the neighbour has, and says nothing of ours.
    async fn read(&self, newer_than: Option<Timestamp>) -> Result<Option<Contents>, AwsError> {
        let mut parts = self
            .client
            .clone()
            .get_directory(GetDirectoryRequest { newer_than: newer_than.map(crate::wire::time) })
            .await
            .map_err(|status| unavailable(&status))?
            .into_inner();
        let mut contents = Contents::default();
        while let Some(part) = parts.message().await.map_err(|status| unavailable(&status))? {
            if part.unchanged {
                return Ok(None);
            }
            let last = part.last;
            let as_of = part.fetched_at.as_ref().map(crate::wire::read_time).transpose();
            contents.as_of = as_of.map_err(|invalid| malformed(&invalid))?;
            add(&mut contents, part).map_err(|invalid| malformed(&invalid))?;
            if last && contents.as_of.is_some() {
                return Ok(Some(contents));
            }
        }
        Err(AwsError::new(ErrorKind::Unavailable, "CutShort", "the directory was cut short"))
    }
}

fn unavailable(status: &tonic::Status) -> AwsError {
    AwsError::new(ErrorKind::Unavailable, status.code().description(), status.message())
}

fn malformed(invalid: &Invalid) -> AwsError {
    AwsError::new(ErrorKind::Invalid, MALFORMED, &invalid.to_string())
}

fn add(contents: &mut Contents, part: wire::GetDirectoryResponse) -> Result<(), Invalid> {
    for account in part.accounts {
        let ou_path = account.ou_path.iter().map(|unit| unit.parse()).collect::<Result<_, _>>()?;
        let known = Account {
            name: account.name,
            ou_path: OuPath(ou_path),
            tags: account.tags.into_iter().collect(),
            active: account.active,
            management: account.management,
        };
        contents.accounts.insert(account.account_id.parse()?, known);
    }
    for unit in part.units {
        let parent = if unit.parent_id.is_empty() { None } else { Some(unit.parent_id.parse()?) };
        contents.units.insert(unit.ou_id.parse()?, OrgUnit { name: unit.name, parent });
    }
    for set in part.permission_sets {
        let session = set.session_duration.unwrap_or_default();
        let session_duration = SignedDuration::from_secs(session.seconds);
        contents.permission_sets.insert(set.arn.parse()?, PermissionSet { name: set.name, session_duration });
    }
    for user in part.users {
        let principal: domain::PrincipalId = user.principal_id.parse()?;
        let groups =
            user.group_ids.iter().map(|group| GroupId::new(group.as_str())).collect::<Result<_, _>>()?;
        contents.memberships.insert(principal.clone(), groups);
        let external_ids =
            user.external_ids.into_iter().map(|id| ExternalId { issuer: id.issuer, id: id.id }).collect();
        let known = User {
            user_name: UserName::new(&user.user_name),
            display_name: user.display_name,
            external_ids,
            enabled: user.enabled,
        };
        contents.users.insert(principal, known);
    }
    for group in part.groups {
        contents.groups.insert(GroupId::new(group.group_id)?, Group { display_name: group.display_name });
    }
    Ok(())
}
