//! One simulation: people give orders, faults strike, processes crash, are paused and come back, and after every poll the world
//! is looked at.

mod desk;
mod world;

use crate::inspector::Inspector;
use crate::invariant::authority::Memberships;
use crate::invariant::chaining::Chaining;
use crate::invariant::denial::Denying;
use crate::invariant::effect::Effects;
use crate::invariant::lateness::Lateness;
use crate::invariant::presence::Presence;
use crate::invariant::{Violation, authority, denial, durable, effect, end, presence, provable};
use crate::line::Cloud;
use crate::machine::{self, Machine};
use crate::order::{Answer, Order};
use crate::people;
use crate::plant::{Plant, Planted};
use crate::process::Outside;
use crate::schedule::{Owner, Scheduler, WORLD};
use crate::seams::{LocalClock, SimClock, SimEntropy, chance_of};
use crate::tally::Tally;
use crate::trace::Trace;
use crate::truth::Truth;
use crate::weather::{self, Damage, Season, Weather};
use crate::witness::WitnessedLog;
use crate::words;
use crate::workload::Workload;
use crate::{Config, Stats};
use aws::AssignmentKey;
use aws::simulated::{Behaviour, SimulatedAws, SimulatedScps, sample};
use domain::ports::{Clock as _, SharedClock, SharedEntropy};
use domain::{AccountId, Entitlement, LogId, PermissionSetArn, RequestId, SignedDuration, Timestamp};
use event_log::Position;
use event_log::memory::MemoryLog;
use journal::key_store::MemoryKeyStore;
use journal::{Fact, Stream};
use lifecycle::RequestEvent;
use lifecycle::event::{Ended, EndedBecause};
use std::cell::RefCell;
use std::collections::BTreeMap;
use std::future::poll_fn;
use std::pin::pin;
use std::rc::Rc;
use std::sync::Arc;
use std::task::Poll;
use std::time::Duration;
use uuid::Uuid;

/// How long the end may take: the longest window, fence, credential and deadline, and retries. What is chained comes on top.
const END_MAX: Duration = Duration::from_hours(1);

/// How often the end looks whether it has come.
const END_LOOK: Duration = Duration::from_secs(30);

/// How often what is left in AWS is looked at.
const LATENESS_LOOK: SignedDuration = SignedDuration::from_secs(5);

/// An order that was given.
struct Given {
    order: Order,
    owner: Owner,
    answer: Rc<RefCell<Option<Answer>>>,
}

/// A simulation.
pub(crate) struct Run {
    season: Season,
    outside: Outside,
    log: MemoryLog,
    clock: Arc<SimClock>,
    scheduler: Scheduler,
    machines: Vec<Machine>,
    last_owner: Owner,
    weather: Weather,
    workload: Workload,
    inspector: Inspector,
    planted: Planted,
    truth: Truth,
    effects: Effects,
    lateness: Lateness,
    presence: Presence,
    denying: Denying,
    chaining: Chaining,
    memberships: Memberships,
    trace: Trace,
    tally: Tally,
    given: Vec<Given>,
    unheard: Vec<Order>,
    /// What each key made, as it was answered first.
    made: BTreeMap<String, RequestId>,
    secrets: Vec<String>,
    stats: Stats,
}

/// What a bug needs to show.
fn provide_for(plant: Option<Plant>, climate: &mut Behaviour, season: &mut Season) {
    match plant {
        Some(Plant::ZombieCreate) => climate.signature_skew_max = SignedDuration::from_hours(1),
        Some(Plant::SkipUnreadable) => {
            season.fair = false;
            season.damage = Some((0, Damage::Policy));
        }
        Some(Plant::NeverRestored) => {
            season.settings.sweep_interval = SignedDuration::from_secs(30);
            season.settings.renamed = false;
        }
        Some(Plant::FiveTries) => season.account_losses = 200,
        Some(Plant::DenyEverything | Plant::DenyForEver) => season.denials = true,
        Some(Plant::DenyTheGone) => {
            season.denials = true;
            season.account_losses = 50;
        }
        _other => {}
    }
}

impl Run {
    pub(crate) fn new(seed: u64, config: &Config, clock: Arc<SimClock>, trace: Trace) -> Self {
        let shared_clock: SharedClock = clock.clone();
        let entropy: SharedEntropy = Arc::new(SimEntropy::new(chance_of(seed, "entropy")));
        let mut weather_chance = chance_of(seed, "weather");
        let mut climate = weather::climate(&mut weather_chance);
        let settings = weather::Settings::of(&mut chance_of(seed, "settings"));
        let mut season = weather::season(&mut weather_chance, config.steps, settings);
        provide_for(config.plant, &mut climate, &mut season);
        let aws = Arc::new(SimulatedAws::new(shared_clock, climate.clone()));
        aws.set_directory(people::organisation());
        for (arn, role) in sample::roles() {
            aws.add_role(arn, role);
        }
        let log_id = Uuid::from_u64_pair(0xDA1, seed);
        let log = MemoryLog::with_id(log_id);
        let planted = Planted::new(config.plant);
        let tally = Tally::default();
        let mut workload = Workload::new(chance_of(seed, "people"));

        let standing = AssignmentKey::new(
            people::principal("ada"),
            people::known(AccountId::new(sample::PAYMENTS_PROD)),
            people::known(PermissionSetArn::new(sample::READ_ONLY)),
        );
        let mut effects = Effects::default();
        if config.plant == Some(Plant::DeleteStanding) || workload.does(0.5) {
            aws.standing(standing.clone());
            effects.made_by_others(standing.clone(), clock.now());
        }
        let scps = SimulatedScps::new(clock.clone(), climate.signature_skew_max);
        let cloud = Cloud {
            aws,
            scps: season.denials.then(|| Arc::new(scps)),
            planted: planted.clone(),
            standing,
            lost: Arc::default(),
            zombies: Arc::default(),
            world: Arc::clone(&clock),
            tally: tally.clone(),
        };
        let machine = |name: &'static str| {
            let line = WitnessedLog::new(log.clone(), planted.clone(), tally.clone());
            let unnoticed = planted.clock_ahead();
            let own = Arc::new(LocalClock::new(Arc::clone(&clock), unnoticed));
            Machine::new(name, own, Arc::new(line), clock.now())
        };
        let machines = machine::NAMES.into_iter().take(season.machines).map(machine).collect();
        let outside = Outside {
            log_id: LogId::from_uuid(log_id),
            cloud,
            keys: Arc::new(MemoryKeyStore::new(entropy.clone())),
            entropy,
            settings: season.settings,
        };
        Self {
            season,
            outside,
            log,
            clock,
            scheduler: Scheduler::new(chance_of(seed, "schedule")),
            machines,
            last_owner: WORLD,
            weather: Weather::new(weather_chance, climate, tally.clone()),
            workload,
            inspector: Inspector::new(chance_of(seed, "inspector")),
            planted,
            truth: Truth::new(season.settings.start_lead),
            effects,
            lateness: Lateness::default(),
            presence: Presence::new(season.settings),
            denying: Denying::default(),
            chaining: Chaining::default(),
            memberships: Memberships::default(),
            trace,
            tally,
            given: Vec::new(),
            unheard: Vec::new(),
            made: BTreeMap::new(),
            secrets: Vec::new(),
            stats: Stats::default(),
        }
    }

    /// Goes on for `steps` steps, then to the end.
    pub(crate) async fn steps(&mut self, steps: u32) -> Result<(), Violation> {
        self.trace.note("world", &words::season(&self.season));
        self.note_memberships();
        self.link_identities().await;
        self.go_on(Duration::from_secs(2)).await?;
        for step in 0..steps {
            self.change_the_world();
            self.do_damage(step).await;
            let orders = self.next_orders();
            for order in orders {
                self.give(order);
            }
            self.ask_for_a_look();
            self.hear().await?;
            self.check_step()?;
            self.write_what_was_planted().await;
            let pause = self.workload.pause();
            self.go_on(pause).await?;
            self.check_step()?;
        }
        self.end().await
    }

    /// What is counted.
    pub(crate) fn stats(&self) -> Stats {
        let mut stats = self.stats.clone();
        stats.seeds = 1;
        stats.requests = self.truth.requests.len();
        stats.types = self.truth.types.iter().map(|(name, count)| ((*name).to_owned(), *count)).collect();
        stats.faults = self.tally.counts();
        stats.late = self.lateness.late;
        stats.latest = self.lateness.latest;
        stats
    }

    /// What a story about `violation` is about, as it is written in the trace.
    pub(crate) fn subjects(&self, violation: &Violation) -> Vec<String> {
        let mut subjects = Vec::new();
        for known in self.truth.requests.values() {
            let name = format!("r{}", known.number);
            let key = known.key().map(|key| words::key(&key));
            let named = violation.what.split(|c: char| !c.is_ascii_alphanumeric()).any(|word| word == name);
            if named || key.as_ref().is_some_and(|key| violation.what.contains(key.as_str())) {
                subjects.push(name);
                subjects.extend(key);
            }
        }
        subjects.sort_unstable();
        subjects.dedup();
        subjects
    }

    async fn go_on(&mut self, limit: Duration) -> Result<(), Violation> {
        self.go_on_until(limit, |_| false).await
    }

    /// Lets everything happen until `done`, for `limit` at most. The world is looked at after every poll.
    async fn go_on_until(&mut self, limit: Duration, done: impl Fn(&Self) -> bool) -> Result<(), Violation> {
        let mut over = pin!(tokio::time::sleep(limit));
        let mut polled = None;
        // The budget that tokio gives to one task would be shared by all of them.
        tokio::task::unconstrained(poll_fn(|context| {
            self.scheduler.driven_by(context.waker());
            loop {
                if let Err(violation) = self.look(polled.take()) {
                    return Poll::Ready(Err(violation));
                }
                if done(self) || over.as_mut().poll(context).is_ready() {
                    return Poll::Ready(Ok(()));
                }
                polled = self.scheduler.turn();
                if polled.is_none() {
                    return Poll::Pending;
                }
                self.stats.polls += 1;
            }
        }))
        .await
    }

    fn machine_of(&self, owner: Owner) -> Option<usize> {
        self.machines.iter().position(|machine| machine.owner() == Some(owner))
    }

    /// What has happened in the last poll, which was `polled`'s; and a crash or a pause, if one is due.
    fn look(&mut self, polled: Option<Owner>) -> Result<(), Violation> {
        let machine = polled.and_then(|owner| self.machine_of(owner));
        let now = self.clock.now();
        self.take_events(machine, now)?;
        let ahead =
            machine.and_then(|index| self.machines.get(index)).map(|machine| machine.ahead_lately(now));
        for record in self.outside.cloud.aws.take_calls() {
            if let Some(call) = words::call(&record) {
                self.trace.note("aws", &call);
            }
            if let Some(error) = &record.error {
                self.tally.count(&format!("aws says {}", error.code));
            }
            self.weather.struck(record.call.operation());
            self.effects.call(&record, ahead.unwrap_or_default(), &self.truth)?;
        }
        if let Some(index) = machine {
            self.strike(index, now);
        }
        self.begin_again(now)?;
        if self.lateness.is_due(now, LATENESS_LOOK) {
            self.look_at_what_is_left(now)?;
        }
        Ok(())
    }

    fn take_events(&mut self, machine: Option<usize>, now: Timestamp) -> Result<(), Violation> {
        let after = self.truth.seen.last().map_or(Position::START, |last| last.position);
        for recorded in self.log.recorded_after(after) {
            durable::confidential(&recorded, &self.secrets)?;
            let position = self.truth.seen.len() + 1;
            let stream = recorded.stream.clone();
            self.planted.note(&recorded);
            let Some(event) = self.truth.take(recorded, now)? else {
                self.trace.note(
                    "log",
                    &format!("#{position} cannot be read: {}", words::stream(&stream, &self.truth)),
                );
                continue;
            };
            let by = machine.and_then(|index| self.machines.get(index));
            let writer = by.map_or("", |machine| machine.name);
            self.trace.note("log", &format!("{} [{writer}]", words::event(&event, position, &self.truth)));
            if let Some(machine) = by {
                provable::check(&event, machine, &self.truth, now)?;
                authority::check(&event, machine, &self.memberships, &self.truth, now)?;
            }
            if let Fact::Denial(fact) = &event.fact {
                denial::attempted(fact, &self.truth)?;
            }
            let ahead = by.map(|machine| machine.clock.ahead());
            if let Stream::Request(id) = &event.stream {
                for machine in &mut self.machines {
                    machine.unseen.insert(*id);
                }
                self.check_access(&event, id, ahead, now)?;
            }
        }
        for concluded in std::mem::take(&mut self.truth.concluded) {
            self.effects.concluded(&concluded);
        }
        Ok(())
    }

    /// What an event of a request says of access is so.
    fn check_access(
        &mut self,
        event: &journal::Event,
        id: &RequestId,
        clock_ahead: Option<SignedDuration>,
        now: Timestamp,
    ) -> Result<(), Violation> {
        let (Fact::Request(fact), Some(known)) = (&event.fact, self.truth.requests.get(id)) else {
            return Ok(());
        };
        let aws = &self.outside.cloud.aws;
        if let RequestEvent::Activated(_) = fact {
            effect::activated(known, now, aws)?;
        }
        if let RequestEvent::Ended(Ended { because: EndedBecause::RemovedOutside }) = fact {
            presence::removed_outside(known, now, aws)?;
        }
        if let RequestEvent::CredentialsIssued(issued) = fact {
            effect::credentials((&issued.access_key_id, issued.expires_at), known, now, aws)?;
            self.chaining.issued(&issued.access_key_id, known, now, aws)?;
        }
        if let RequestEvent::ConsoleOpened(opened) = fact {
            effect::credentials((&opened.access_key_id, opened.expires_at), known, now, aws)?;
            self.chaining.issued(&opened.access_key_id, known, now, aws)?;
        }
        if let RequestEvent::Closed(closed) = fact
            && clock_ahead.is_none_or(|ahead| ahead.is_zero())
        {
            effect::closed(closed, known, now, &self.truth, &self.effects, aws)?;
            self.chaining.closed(known, now)?;
            if self.season.denials {
                denial::closed(closed, known, now, &self.truth)?;
            }
        }
        Ok(())
    }

    fn check_step(&mut self) -> Result<(), Violation> {
        for machine in &self.machines {
            durable::kept(machine.log.take_promises(), &self.truth.seen)?;
        }
        for change in self.effects.changes(&self.outside.cloud.aws, &self.truth)? {
            self.trace.note("aws", &words::change(&change));
            self.stats.changes += 1;
            if matches!(change.key.entitlement(), Entitlement::Role(_)) {
                self.tally.count(if change.present { "role assigned" } else { "role no longer assigned" });
            }
        }
        let head = self.truth.seen.len() as u64;
        for machine in &mut self.machines {
            if let Some(process) = &machine.process
                && process.views.requests.projection().applied().0 == head
            {
                let unseen = std::mem::take(&mut machine.unseen);
                durable::shown(&process.views.requests, &unseen, &self.truth, machine.name)?;
            }
        }
        Ok(())
    }

    /// How long the end may take here.
    fn end_max(&self) -> Duration {
        let bounds = self.truth.requests.values().filter_map(|known| known.bound);
        let chained = bounds.map(|bound| bound.chained).max().unwrap_or_default();
        END_MAX.saturating_add(Duration::try_from(chained).unwrap_or_default())
    }

    /// Faults heal, people go home, time passes.
    async fn end(&mut self) -> Result<(), Violation> {
        self.heal();
        self.cut_one();
        let healed_at = self.clock.now();
        let mut waited = Duration::ZERO;
        while waited < self.end_max() {
            waited += END_LOOK;
            self.go_on(END_LOOK).await?;
            self.check_step()?;
            let nothing_denied =
                self.outside.cloud.scps.as_ref().is_none_or(|scps| denial::left(&self.truth, scps).is_ok());
            if nothing_denied
                && end::is_quiet(&self.truth, &self.outside.cloud, healed_at, self.clock.now())
                && end::unfound(&self.truth, &self.effects, &self.outside.cloud).is_none()
                && self.machines.iter().all(Machine::is_up)
            {
                break;
            }
        }
        end::check(&self.truth, &self.effects, &self.outside.cloud)?;
        self.cut_none();
        self.check_late_is_counted(self.clock.now())?;
        self.give_up().await?;
        self.probe().await?;
        self.go_on(Duration::from_secs(2)).await?;
        durable::grown(&self.truth, &self.log.recorded())?;
        for machine in &self.machines {
            let Some(process) = &machine.process else { continue };
            durable::shown(&process.views.requests, self.truth.requests.keys(), &self.truth, machine.name)?;
            durable::indexed(&process.index, &self.truth, machine.name)?;
        }
        for recorded in &self.truth.seen {
            durable::confidential(recorded, &self.secrets)?;
        }
        Ok(())
    }
}
