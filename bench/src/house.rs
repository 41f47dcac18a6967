//! Activation in this process: a log, a simulated AWS, and requests that are written as history.

use crate::Failed;
use crate::stories;
use activation::{ActivationService, Ports, Settings};
use aws::simulated::{Behaviour, SimulatedAws};
use aws::{
    Account, CachedDirectory, Contents, Group, GroupId, OrgUnit, PermissionSet, RefreshPace, User, UserName,
};
use domain::ports::{SharedClock, SharedEntropy};
use domain::{
    AccountId, Actor, AskedWindow, EventId, GroupRef, LogId, OuId, OuPath, PermissionSetArn, Person,
    PrincipalId, Provider, RequestId, SignedDuration, Target, Timestamp, Window,
};
use event_log::EventLog;
use journal::key_store::MemoryKeyStore;
use journal::{Fact, Service, Stream};
use lifecycle::RequestEvent;
use lifecycle::assignment::{AssignmentEvent, AssignmentKey, Operation};
use lifecycle::event::{Grounds, Requested};
use projection::Projection;
use service_runtime::clock::SystemEntropy;
use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;
use std::sync::Arc;
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;
use views::{Authorities, PolicyBook, Requests, RequestsModel, Views};

const SET: &str = "arn:aws:sso:::permissionSet/ssoins-1111111111111111/ps-1111111111111111";
/// How the policy gives it.
const PROVIDER: Provider = Provider::IdentityCenter;
const POLICY: &str = r#"
[[rules]]
id = "everything"
duration_max = "24h"
provider = "identity_center"
plan = "none"
requesters = { groups = ["identity-store:everyone"] }
targets = { all_accounts = true, permission_sets = ["arn:aws:sso:::permissionSet/ssoins-1111111111111111/ps-1111111111111111"] }
"#;

/// What outlives a process.
pub(crate) struct House {
    pub(crate) log: Arc<dyn EventLog>,
    pub(crate) aws: Arc<SimulatedAws>,
    pub(crate) clock: SharedClock,
    entropy: SharedEntropy,
    settings: Settings,
    policy_event: EventId,
}

/// A process.
pub(crate) struct Process {
    pub(crate) views: Views,
    shutdown: CancellationToken,
    tasks: Vec<JoinHandle<()>>,
}

impl Process {
    pub(crate) async fn stop(self) {
        self.shutdown.cancel();
        for task in self.tasks {
            task.abort();
            let _ = task.await;
        }
    }
}

/// One request with one assignment of its own.
#[derive(Clone)]
pub(crate) struct Story {
    pub(crate) id: RequestId,
    pub(crate) key: AssignmentKey,
    pub(crate) window: Window,
    /// Whether the access exists already.
    pub(crate) active: bool,
}

impl Story {
    /// The `number`th: a user of its own in each account, an account of its own for each user.
    pub(crate) fn new(number: u64, accounts: u64, window: Window, active: bool) -> Result<Self, Failed> {
        Self::of(number, (number / accounts, number % accounts), window, active)
    }

    /// The `number`th, of this user in this account.
    pub(crate) fn of(
        number: u64,
        (of_user, in_account): (u64, u64),
        window: Window,
        active: bool,
    ) -> Result<Self, Failed> {
        let account = AccountId::new(format!("7{in_account:011}"))?;
        let key = AssignmentKey { principal: user(of_user)?, target: Target::parse(account.as_str(), SET)? };
        Ok(Self { id: stories::request_id(number), key, window, active })
    }

    pub(crate) fn aws_key(&self) -> aws::AssignmentKey {
        aws::AssignmentKey::of_target(self.key.principal.clone(), &self.key.target)
    }
}

fn user(number: u64) -> Result<PrincipalId, Failed> {
    Ok(PrincipalId::new(format!("00000000-0000-4000-8000-{number:012x}"))?)
}

fn everyone() -> Result<GroupRef, Failed> {
    Ok("identity-store:everyone".parse()?)
}

impl House {
    /// A house with as many accounts and users, and a policy that lets everyone have everything.
    pub(crate) async fn new(
        log: Arc<dyn EventLog>,
        clock: SharedClock,
        behaviour: Behaviour,
        settings: Settings,
        (accounts, users): (u64, u64),
    ) -> Result<Self, Failed> {
        let aws = Arc::new(SimulatedAws::new(clock.clone(), behaviour));
        aws.set_directory(organisation(accounts, users)?);
        let applied = stories::applied(POLICY, actor()?)?;
        let mut house = Self {
            log,
            aws,
            clock,
            entropy: Arc::new(SystemEntropy),
            settings,
            policy_event: EventId::from_parts([b"none".as_slice()]),
        };
        let at = house.clock.now();
        let ids = house.append(&Stream::Policy, [(Service::Approval, applied)], at).await?;
        house.policy_event = ids.first().copied().ok_or("no event")?;
        Ok(house)
    }

    /// Writes the history of a request, and makes its assignment if it has one.
    pub(crate) async fn write(&self, story: &Story, at: Timestamp) -> Result<(), Failed> {
        let approved = stories::approved(story.window, self.policy_event);
        let mut facts = vec![
            (Service::Request, Fact::Request(RequestEvent::Requested(Box::new(self.requested(story, at)?)))),
            (Service::Approval, Fact::Request(RequestEvent::Approved(approved))),
        ];
        if story.active {
            let activated = stories::activated(story.window, PROVIDER)?;
            facts.push((Service::Activation, Fact::Request(RequestEvent::Activated(activated))));
            let attempted = AssignmentEvent::Attempted {
                key: story.key.clone(),
                operation: Operation::Create,
                deadline: at.checked_add(SignedDuration::from_mins(20))?,
            };
            let stream = Stream::assignment(&story.key);
            let attempt = stories::event_id(&stream, 0);
            let ledger = [attempted, AssignmentEvent::Confirmed { attempt }];
            let ledger = ledger.map(|fact| (Service::Activation, Fact::Assignment(fact)));
            self.append(&stream, ledger, at).await?;
            self.aws.standing(story.aws_key());
        }
        self.append(&Stream::Request(story.id), facts, at).await?;
        Ok(())
    }

    async fn append(
        &self,
        stream: &Stream,
        facts: impl IntoIterator<Item = (Service, Fact)>,
        at: Timestamp,
    ) -> Result<Vec<EventId>, Failed> {
        stories::write(self.log.as_ref(), stream, stories::at_once(facts, None, at)).await
    }

    fn requested(&self, story: &Story, at: Timestamp) -> Result<Requested, Failed> {
        let person = Person::new("https://idp.example", story.key.principal.as_str())?;
        let key = stories::key(&person);
        let grounds = Grounds {
            groups: BTreeSet::from([everyone()?]),
            principal: Some(story.key.principal.clone()),
            ..stories::grounds("everything", self.policy_event, PROVIDER)?
        };
        let target = story.key.target.clone();
        Ok(Requested {
            requester: person,
            raiser_principal: None,
            asked: AskedWindow { start: Some(story.window.start()), duration: story.window.duration() },
            chain_duration: story.window.duration(),
            ..stories::requested(story.id, &actor()?, &key, target, at, grounds)?
        })
    }

    /// Starts a process. `folder` is for its read model; `None`: in memory.
    pub(crate) async fn start(&self, folder: Option<&Path>) -> Result<Process, Failed> {
        let (projection, follower) =
            Projection::open(folder, RequestsModel::default(), Arc::clone(&self.log))?;
        let directory = Arc::new(CachedDirectory::new(
            self.aws.clone(),
            self.clock.clone(),
            self.entropy.clone(),
            RefreshPace::default(),
        ));
        directory.refresh().await?;
        let views = Views {
            policy: Arc::new(PolicyBook::new(Arc::clone(&self.log))?),
            log_id: LogId::from_uuid(self.log.id().await?),
            log: Arc::clone(&self.log),
            requests: Requests::new(projection),
            directory: Arc::clone(&directory),
            keys: Arc::new(MemoryKeyStore::new(self.entropy.clone())),
            authorities: Arc::new(Authorities {
                administrators: BTreeSet::new(),
                auditors: BTreeSet::new(),
                raisers: BTreeSet::new(),
            }),
            clock: self.clock.clone(),
            entropy: self.entropy.clone(),
        };
        let ports = Ports::new(self.aws.clone(), self.aws.clone());
        let service = ActivationService::new(views.clone(), ports, self.settings.clone());
        let shutdown = CancellationToken::new();
        let until = shutdown.clone();
        let tasks = vec![
            tokio::spawn(async move { service.run(until).await }),
            tokio::spawn(follower.run(std::future::pending())),
            tokio::spawn(async move { directory.run(|_| {}).await }),
        ];
        Ok(Process { views, shutdown, tasks })
    }
}

fn actor() -> Result<Actor, Failed> {
    stories::human("https://idp.example", "bench")
}

fn organisation(accounts: u64, users: u64) -> Result<Contents, Failed> {
    let root = OuId::new("r-bench")?;
    let account = Account {
        name: "account".to_owned(),
        ou_path: OuPath(vec![root.clone()]),
        tags: BTreeMap::new(),
        active: true,
        management: false,
    };
    let mut contents = Contents::default();
    contents.units.insert(root, OrgUnit { name: "root".to_owned(), parent: None });
    for number in 0..accounts {
        contents.accounts.insert(AccountId::new(format!("7{number:011}"))?, account.clone());
    }
    let session_duration = SignedDuration::from_hours(1);
    contents.permission_sets.insert(
        PermissionSetArn::new(SET)?,
        PermissionSet { name: "Everything".to_owned(), session_duration },
    );
    let everyone = GroupId::new("everyone")?;
    contents.groups.insert(everyone.clone(), Group { display_name: "everyone".to_owned() });
    for number in 0..users {
        let id = user(number)?;
        let name = format!("user-{number}");
        let of = User {
            user_name: UserName::new(&name),
            display_name: name,
            external_ids: BTreeSet::new(),
            enabled: true,
        };
        contents.users.insert(id.clone(), of);
        contents.memberships.insert(id, BTreeSet::from([everyone.clone()]));
    }
    Ok(contents)
}
