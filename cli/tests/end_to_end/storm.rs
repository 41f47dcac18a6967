//! Two replicas of every service on JetStream, killed (`kill -9`) and paused (`SIGSTOP`, `SIGCONT`) at random, while AWS throttles,
//! fails, is slow, and leaves calls that took effect unanswered. Requests for the same access overlap, follow each other, are
//! agreed to and revoked; credentials of a role are handed out. Callers go on all the while, so that calls are under way when a
//! process dies or hangs. Every replica is killed and paused. When the storm is over: access came while it blew, and where none came
//! the storm explains it; nothing is left over in AWS, nothing is missing, every command that was answered is in the log, and the
//! log that auditors export breaks no invariant.

use crate::callers::Callers;
use crate::deployment::{Apart, Deployment};
use crate::job;
use crate::load::Answered;
use crate::world::{World, until};
use api::types::v1::{AccessPhase, EndReason, Request, RequestStatus};
use domain::SignedDuration;
use futures::future::{join, try_join};
use rand::rngs::StdRng;
use rand::seq::{IndexedRandom as _, SliceRandom as _};
use rand::{Rng as _, SeedableRng as _};
use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;
use test_servers::faults::Rates;
use tokio::time::{Instant, sleep};
use tokio_util::sync::CancellationToken;
use tonic::Status;

/// How long it blows, unless `DAYPASS_STORM_SECONDS` says otherwise.
const SECONDS: u64 = 60;

/// The access that is to be there when the storm is over.
const KEPT: usize = 2;

/// The role that is lent to the end comes after that, among what was raised.
const LENT: usize = KEPT;

/// How often processes are struck or left in peace at least, however slow the machine is: so often that each of eight is killed once
/// and paused once.
const CYCLES_MIN: usize = 30;

/// How often all are left in peace while each is killed once and paused once.
const PEACE: usize = 2;

/// How many assignments that were asked for while it blew must have come: of thirty at least, many of which are over before anybody
/// can make them.
const CAME_MIN: usize = 3;

/// What may have stood in the way of access that never came: nobody was there, or knew enough (of the directory, say, while its neighbours
/// were struck); what the weather at AWS is; and what is said of what took effect although nobody was told.
const STORMY: [&str; 11] = [
    "NotInTime",
    "Unprovable",
    "ThrottlingException",
    "InternalServerException",
    "Timeout",
    "DispatchFailure",
    "ResponseError",
    "NoOutcome",
    "ConflictException",
    "ResourceNotFoundException",
    "NotFound",
];

/// Who asks.
const PEOPLE: [&str; 2] = ["ada", "bob"];

struct Storm<'a> {
    world: &'a World,
    callers: &'a Callers<'a>,
    deployment: Deployment,
    chance: StdRng,
    answered: Answered,
    /// What is to come, last first; `None`: peace.
    blows: Vec<Option<(usize, Blow)>>,
    struck: Struck,
}

/// What befalls the process at a place.
#[derive(Clone, Copy, Debug)]
enum Blow {
    Kill,
    Pause,
}

/// How hard it blew on processes.
#[derive(Debug, Default)]
struct Struck {
    cycles: u64,
    /// By program, and its place among the processes: replicas of one program are told apart.
    processes: BTreeMap<(&'static str, usize), Blows>,
}

#[derive(Debug, Default)]
struct Blows {
    kills: u64,
    pauses: u64,
}

pub(crate) async fn blows_over() {
    let seed = number("DAYPASS_SEED", 1);
    let world = World::in_bad_weather(seed).await;
    let how = Apart { replicas: 2, certificates: true, ..Apart::default() };
    let deployment = Deployment::apart(&world, how).await;
    let callers = Callers::of(&world, &deployment);
    let mut storm = Storm {
        world: &world,
        callers: &callers,
        deployment,
        chance: StdRng::seed_from_u64(seed),
        answered: Answered::default(),
        blows: Vec::new(),
        struck: Struck::default(),
    };
    for (account, set) in storm.targets().into_iter().take(KEPT) {
        storm.raise("ada", (&account, &set), SignedDuration::from_hours(1)).await;
    }
    storm.lend(SignedDuration::from_hours(1)).await;
    let stop = CancellationToken::new();
    let blowing = async {
        let end = Instant::now() + Duration::from_secs(number("DAYPASS_STORM_SECONDS", SECONDS));
        let mut cycles = 0;
        while Instant::now() < end || cycles < CYCLES_MIN {
            storm.cycle().await;
            cycles += 1;
        }
        stop.cancel();
        Ok::<(), Status>(())
    };
    let done = try_join(callers.go_on(&stop), blowing).await;
    let (called, ()) = storm.deployment.yes(done);
    storm.answered.add(called);
    storm.calm().await;
}

/// A number that whoever runs the tests may choose.
pub(crate) fn number(name: &str, default: u64) -> u64 {
    std::env::var(name).ok().and_then(|text| text.parse().ok()).unwrap_or(default)
}

impl Storm<'_> {
    /// What can be asked for; the first ones are kept to the end.
    fn targets(&self) -> Vec<(String, String)> {
        let (accounts, sets) = (&self.world.organisation.accounts, &self.world.organisation.permission_sets);
        let accounts =
            [&accounts.payments_prod, &accounts.shop_prod, &accounts.shop_dev, &accounts.playground];
        let pairs = accounts.into_iter().flat_map(|account| {
            [&sets.read_only, &sets.administrator].map(|set| (account.clone(), set.clone()))
        });
        pairs.collect()
    }

    async fn cycle(&mut self) {
        self.struck.cycles += 1;
        self.change_the_weather();
        for _ in 0..self.chance.random_range(1..=2) {
            let targets = self.targets();
            let target = self.chance.random_range(0..targets.len());
            let (account, set) = targets.get(target).unwrap().clone();
            // Where somebody has to agree, Ada asks and Bob agrees.
            let agreed = account == self.world.organisation.accounts.playground;
            let anyone = PEOPLE.choose(&mut self.chance).copied().unwrap();
            let who = if agreed { "ada" } else { anyone };
            let length = SignedDuration::from_secs(self.chance.random_range(2..15));
            let id = self.raise(who, (&account, &set), length).await;
            if agreed {
                let approved = self.answered.approve(&(self.world, &self.deployment), &id).await;
                self.deployment.yes(approved);
            }
        }
        if self.chance.random_bool(0.3) {
            let any = self.chance.random_range(0..self.answered.raised.len());
            if any > LENT {
                self.revoke(any).await;
            }
        }
        if self.chance.random_bool(0.3) {
            self.borrow().await;
        }
        self.disturb().await;
        sleep(Duration::from_millis(self.chance.random_range(200..1_200))).await;
    }

    async fn raise(&mut self, who: &'static str, target: (&str, &str), length: SignedDuration) -> String {
        let asked = job::ask(target.0, target.1, length);
        let raised = self.answered.raise(&(self.world, &self.deployment), who, asked).await;
        self.deployment.yes(raised)
    }

    /// Lends Ada a role.
    async fn lend(&mut self, length: SignedDuration) -> String {
        let organisation = &self.world.organisation;
        let (account, role) =
            (organisation.accounts.payments_prod.clone(), organisation.deployer_role.clone());
        self.raise("ada", (&account, &role), length).await
    }

    /// Has credentials handed out: of the role that is lent to the end, or of one for a moment, which may not have begun, or be over.
    async fn borrow(&mut self) {
        let id = if self.chance.random_bool(0.5) {
            self.answered.raised.get(LENT).unwrap().1.clone()
        } else {
            let length = SignedDuration::from_secs(self.chance.random_range(2..15));
            self.lend(length).await
        };
        let key = format!("storm-{}", self.struck.cycles);
        let way = (self.world, &self.deployment);
        let issued = self.answered.issue_if_active(&way, "ada", &id, &key).await;
        self.deployment.yes(issued);
    }

    async fn revoke(&mut self, place: usize) {
        let (who, id) = self.answered.raised.get(place).unwrap().clone();
        let revoked = self.answered.revoke(&(self.world, &self.deployment), who, &id).await;
        self.deployment.yes(revoked);
    }

    fn change_the_weather(&mut self) {
        let faults = self.world.faults.as_ref().unwrap();
        if self.chance.random_bool(0.2) {
            return faults.heal();
        }
        let mut up_to = |most: u16| self.chance.random_range(0..=most);
        faults.set(Rates {
            throttled: up_to(150),
            failed: up_to(100),
            lost: up_to(100),
            unanswered: up_to(150),
            held: up_to(30),
            delay_max: Duration::from_millis(u64::from(up_to(800)) + 1),
        });
    }

    /// Kills a process and starts it again, or pauses it for a while, or leaves all in peace. Somebody calls it meanwhile.
    async fn disturb(&mut self) {
        let pause = Duration::from_millis(self.chance.random_range(300..4_000));
        let Some((which, blow)) = self.next_blow() else { return };
        let program = self.deployment.programs().get_mut(which).unwrap();
        let blows = self.struck.processes.entry((program.name(), which)).or_default();
        match blow {
            Blow::Kill => {
                blows.kills += 1;
                // Frozen first: when it dies, there is a call that it cannot have answered.
                program.signal("STOP");
                self.callers.until_called(which).await;
                self.callers.strike(which);
                program.kill();
                program.launch();
            }
            Blow::Pause => {
                blows.pauses += 1;
                program.signal("STOP");
                join(sleep(pause), self.callers.until_called(which)).await;
                program.signal("CONT");
            }
        }
    }

    /// In an order by chance, but all of them before any comes again.
    fn next_blow(&mut self) -> Option<(usize, Blow)> {
        if self.blows.is_empty() {
            let processes = 0..self.deployment.programs().len();
            let each = processes.flat_map(|which| [Some((which, Blow::Kill)), Some((which, Blow::Pause))]);
            self.blows = each.chain([None; PEACE]).collect();
            self.blows.shuffle(&mut self.chance);
        }
        self.blows.pop().unwrap()
    }

    /// The weather clears; everything comes to its end, and is looked at.
    #[expect(clippy::print_stdout, reason = "a long storm is run to be told of")]
    async fn calm(mut self) {
        let struck = self.world.faults.as_ref().unwrap().struck();
        self.world.faults.as_ref().unwrap().heal();
        for program in self.deployment.programs() {
            program.until_ready().await;
        }
        assert!(
            struck.faults > 0 && struck.calls > struck.faults,
            "a storm without faults shows nothing: {struck:?}"
        );
        for (place, program) in self.deployment.programs().iter().enumerate() {
            // Above all those that make access and remove it, each replica of them: its neighbour's blows are not its own.
            let blows = self.struck.processes.get(&(program.name(), place));
            let hard = blows.is_some_and(|blows| blows.kills > 0 && blows.pauses > 0);
            assert!(hard, "a gentle storm for {} at {place}: {:?}", program.name(), self.struck);
        }
        let met = self.callers.met();
        assert!(met.cut_off > 0, "no call was under way when a process died: {met:?}");
        let kept: BTreeSet<String> =
            self.answered.raised.iter().take(LENT + 1).map(|(_, id)| id.clone()).collect();
        let (world, deployment) = (self.world, &self.deployment);
        let mut came = 0;
        for (who, id) in &self.answered.raised {
            let request = until("an acknowledged request", deployment, async || {
                let mut requests = world.requests(deployment, who);
                let message =
                    api::request::v1::GetRequestRequest { request_id: id.clone(), ..Default::default() };
                let request = requests.get_request(message).await.ok()?.into_inner().request.unwrap();
                let done = request.status() == RequestStatus::Ended
                    || kept.contains(id) && request.access_phase() == AccessPhase::Active;
                done.then_some(request)
            })
            .await;
            assert_eq!(
                self.answered.was_revoked(id),
                request.end_reason() == EndReason::Revoked,
                "{request:?}"
            );
            assert!(is_explained(&request), "no such storm explains this end: {request:?}");
            let meanwhile = !kept.contains(id) && is_of_a_permission_set(&request);
            came += usize::from(meanwhile && request.activated_at.is_some());
        }
        assert!(came >= CAME_MIN, "hardly any access came while it blew: {came}\n{}", deployment.log_tail());
        let wanted =
            self.targets().into_iter().take(KEPT).map(|(account, set)| ("ada", account, set)).collect();
        self.until_held(&wanted).await;
        let lent = self.answered.raised.get(LENT).unwrap().1.clone();
        let way = (self.world, &self.deployment);
        let issued = self.answered.issue_if_active(&way, "ada", &lent, "storm-calm").await;
        self.deployment.yes(issued);
        for place in 0..=LENT {
            self.revoke(place).await;
        }
        self.until_held(&BTreeSet::new()).await;
        assert!(self.answered.was_lent(), "a storm without credentials shows nothing of them");
        let events = self.answered.is_in_the_log(self.world, &self.deployment).await;
        println!(
            "{:?}; {met:?}; AWS: {struck:?}; {} requests, {came} assignments that came meanwhile, {} events",
            self.struck,
            self.answered.raised.len(),
            events.len()
        );
    }

    /// Until AWS shows exactly these assignments, to somebody who knows nothing of Daypass.
    async fn until_held(&self, wanted: &BTreeSet<(&str, String, String)>) {
        let organisation = &self.world.organisation;
        let name = |id: &str| {
            PEOPLE.into_iter().find(|name| organisation.users.get(*name).is_some_and(|of| of == id))
        };
        until("AWS as it should be", &self.deployment, async || {
            let mut held = BTreeSet::new();
            for (account, set) in self.targets() {
                let users =
                    self.world.aws.assigned_users(&organisation.instance_arn, &account, &set).await.ok()?;
                held.extend(users.iter().filter_map(|id| Some((name(id)?, account.clone(), set.clone()))));
            }
            (held == *wanted).then_some(())
        })
        .await;
    }
}

/// Whether a request is not over, or is so by its window or a revoke, or because the storm kept its access from coming: it changes
/// nobody's rights, and removes nothing in others' names.
fn is_explained(request: &Request) -> bool {
    match request.end_reason() {
        EndReason::Unspecified | EndReason::Elapsed | EndReason::Revoked => true,
        EndReason::Failed => {
            let what = request.end_detail.split(':').next().unwrap_or_default();
            request.activated_at.is_none() && STORMY.contains(&what)
        }
        EndReason::RejectedByApprover
        | EndReason::RuleVanished
        | EndReason::NotDecided
        | EndReason::WindowPassed
        | EndReason::Withdrawn
        | EndReason::NoLongerEligible
        | EndReason::RemovedOutside => false,
    }
}

/// Whether something has to be made in AWS for it: credentials of a role are handed out without.
fn is_of_a_permission_set(request: &Request) -> bool {
    request.target.as_ref().is_some_and(|target| target.entitlement_arn.contains(":permissionSet/"))
}
