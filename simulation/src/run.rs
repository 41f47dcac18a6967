//! One simulation: people give orders, faults strike, the process crashes and comes back, and after every poll the world is
//! looked at.

use crate::invariant::effect::Effects;
use crate::invariant::{Violation, durable, effect, end};
use crate::order::{Answer, Order};
use crate::people;
use crate::plant::{Plant, Planted, PlantedAssignments};
use crate::process::{CALL_MAX, Outside, Process};
use crate::schedule::{Owner, Scheduler, WORLD};
use crate::seams::{SimClock, SimEntropy, chance_of};
use crate::trace::Trace;
use crate::truth::Truth;
use crate::weather::{self, Weather};
use crate::witness::WitnessedLog;
use crate::words;
use crate::workload::Workload;
use crate::{Config, Stats};
use aws::AssignmentKey;
use aws::simulated::{SimulatedAws, sample};
use domain::ports::{Clock as _, SharedClock, SharedEntropy};
use domain::{AccountId, LogId, PermissionSetArn, RequestId};
use event_log::memory::MemoryLog;
use event_log::{EventLog as _, Expected, Position, Revision};
use journal::Fact;
use journal::key_store::MemoryKeyStore;
use lifecycle::RequestEvent;
use std::cell::RefCell;
use std::collections::BTreeMap;
use std::future::poll_fn;
use std::pin::pin;
use std::rc::Rc;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::task::Poll;
use std::time::Duration;
use uuid::Uuid;

/// How long an order may take, everything included.
const ORDER_MAX: Duration = Duration::from_secs(45);

/// How long the end may take: the longest window, fence, credential and deadline, and retries.
const END_MAX: Duration = Duration::from_hours(1);

/// How often the end looks whether it has come.
const END_LOOK: Duration = Duration::from_secs(30);

/// Orders that are repeated because their answer did not come.
const REPEATS_MAX: usize = 4;

/// An order that was given.
struct Given {
    order: Order,
    owner: Owner,
    answer: Rc<RefCell<Option<Answer>>>,
}

/// A simulation.
pub(crate) struct Run {
    outside: Outside,
    log: MemoryLog,
    witness: Arc<WitnessedLog>,
    clock: Arc<SimClock>,
    scheduler: Scheduler,
    process: Option<Process>,
    last_owner: Owner,
    /// Polls until the process crashes.
    crash_in: Option<u32>,
    restart: Rc<RefCell<bool>>,
    weather: Weather,
    workload: Workload,
    planted: Planted,
    truth: Truth,
    effects: Effects,
    trace: Trace,
    given: Vec<Given>,
    unheard: Vec<Order>,
    /// What each key made, as it was answered first.
    made: BTreeMap<String, RequestId>,
    secrets: Vec<String>,
    stats: Stats,
}

impl Run {
    pub(crate) fn new(seed: u64, config: &Config, clock: Arc<SimClock>, trace: Trace) -> Self {
        let shared_clock: SharedClock = clock.clone();
        let entropy: SharedEntropy = Arc::new(SimEntropy::new(chance_of(seed, "entropy")));
        let mut weather_chance = chance_of(seed, "weather");
        let aws = Arc::new(SimulatedAws::new(shared_clock.clone(), weather::climate(&mut weather_chance)));
        aws.set_directory(people::organisation());
        for (arn, role) in sample::roles() {
            aws.add_role(arn, role);
        }
        let log_id = Uuid::from_u64_pair(0xDA1, seed);
        let log = MemoryLog::with_id(log_id);
        let planted = Planted::new(config.plant);
        let witness = Arc::new(WitnessedLog::new(log.clone(), planted.clone()));
        let mut workload = Workload::new(chance_of(seed, "people"));

        let standing = AssignmentKey::new(
            people::principal("ada"),
            people::known(AccountId::new(sample::PAYMENTS_PROD)),
            people::known(PermissionSetArn::new(sample::READ_ONLY)),
        );
        let mut effects = Effects::default();
        if config.plant == Some(Plant::DeleteStanding) || workload.does(0.5) {
            aws.standing(standing.clone());
            effects.standing.insert(standing.clone());
        }
        let assignments = Arc::new(PlantedAssignments {
            aws: Arc::clone(&aws),
            clock: shared_clock.clone(),
            planted: planted.clone(),
            standing,
        });
        let outside = Outside {
            log: witness.clone(),
            log_id: LogId::from_uuid(log_id),
            aws,
            assignments,
            keys: Arc::new(MemoryKeyStore::new(entropy.clone())),
            clock: shared_clock,
            entropy,
        };
        Self {
            outside,
            log,
            witness,
            clock,
            scheduler: Scheduler::new(chance_of(seed, "schedule")),
            process: None,
            last_owner: WORLD,
            crash_in: None,
            restart: Rc::new(RefCell::new(true)),
            weather: Weather::new(weather_chance),
            workload,
            planted,
            truth: Truth::default(),
            effects,
            trace,
            given: Vec::new(),
            unheard: Vec::new(),
            made: BTreeMap::new(),
            secrets: Vec::new(),
            stats: Stats::default(),
        }
    }

    /// Goes on for `steps` steps, then to the end.
    pub(crate) async fn steps(&mut self, steps: u32) -> Result<(), Violation> {
        self.go_on(Duration::from_secs(2)).await?;
        for _ in 0..steps {
            self.change_the_world();
            let orders = self.next_orders();
            for order in orders {
                self.give(order);
            }
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
        stats.requests = self.truth.requests.len();
        stats.types.clone_from(&self.truth.types);
        stats
    }

    fn change_the_world(&mut self) {
        if self.workload.does(0.3) {
            let weather = self.weather.change_log(&self.log);
            self.trace.note("log", &weather.unwrap_or_else(|| "works".to_owned()));
        }
        if self.workload.does(0.4)
            && let Some(faults) = self.weather.change_aws(&self.outside.aws)
        {
            self.trace.note("aws", &format!("will fail: {faults}"));
        }
        let workload = &mut self.workload;
        let mut change = None;
        self.outside.aws.change_directory(|contents| change = workload.change_organisation(contents));
        if let Some(change) = change {
            self.trace.note("company", &change);
        }
        if self.workload.does(0.02) {
            let ours =
                self.outside.aws.assignments().into_iter().find(|key| !self.effects.standing.contains(key));
            if let Some(ours) = ours {
                self.outside.aws.remove(ours);
            }
        }
        if self.crash_in.is_none() {
            self.crash_in = self.weather.next_crash();
        }
    }

    fn next_orders(&mut self) -> Vec<Order> {
        let mut orders = self.workload.orders(&self.truth, self.clock.now());
        if !self.unheard.is_empty() && self.workload.does(0.7) {
            orders.push(self.unheard.remove(0));
        }
        orders
    }

    fn give(&mut self, order: Order) {
        self.trace.note(order.who, &format!("{} ({})", words::order(&order, &self.truth), order.key));
        let Some(process) = self.process.clone() else {
            self.trace.note(order.who, &format!("{}: nobody answers", order.key));
            self.remember(order);
            return;
        };
        let answer = Rc::new(RefCell::new(None));
        let given = Given { order: order.clone(), owner: process.owner, answer: Rc::clone(&answer) };
        self.scheduler.spawn(process.owner, async move {
            let performed = tokio::time::timeout(CALL_MAX * 2, order.perform(process)).await;
            *answer.borrow_mut() = performed.ok();
        });
        self.given.push(given);
    }

    fn remember(&mut self, order: Order) {
        if self.unheard.len() < REPEATS_MAX {
            self.unheard.push(order);
        }
    }

    /// Goes on until every order is answered, or its process has crashed.
    async fn hear(&mut self) -> Result<(), Violation> {
        self.go_on_until(ORDER_MAX, |run| {
            run.given.iter().all(|given| given.answer.borrow().is_some() || !run.is_running(given.owner))
        })
        .await?;
        for given in std::mem::take(&mut self.given) {
            let answer = given.answer.borrow_mut().take();
            let key = given.order.key.clone();
            match answer {
                None => {
                    self.trace.note(given.order.who, &format!("{key}: no answer"));
                    self.remember(given.order);
                }
                Some(_) if self.workload.loses_answer() => {
                    self.trace.note(given.order.who, &format!("{key}: the answer is lost"));
                    self.remember(given.order);
                }
                Some(answer) => self.take_answer(given.order.who, &key, answer)?,
            }
        }
        Ok(())
    }

    fn take_answer(&mut self, who: &str, key: &str, answer: Answer) -> Result<(), Violation> {
        self.trace.note(who, &format!("{key}: {}", answer.words));
        self.stats.answers += 1;
        if answer.inexplicable {
            return Err(Violation::new("X1", format!("{who} is answered {}", answer.words)));
        }
        if let Some(policy) = answer.policy {
            self.workload.policy.get_or_insert(policy);
        }
        if let Some((access_key, secrets)) = answer.credentials {
            let recorded = self.truth.types.contains_key("request.credentials_issued.v1")
                && self.log.recorded().iter().any(|recorded| {
                    recorded
                        .envelope
                        .body
                        .windows(access_key.len())
                        .any(|window| window == access_key.as_bytes())
                });
            if !recorded {
                return Err(Violation::new("S1", format!("credentials {access_key} left without an event")));
            }
            self.secrets.extend(secrets);
        }
        if let Some(id) = answer.created {
            if !self.truth.requests.contains_key(&id) {
                return Err(Violation::new("S5", format!("{key} was acknowledged, and is not in the log")));
            }
            if *self.made.entry(key.to_owned()).or_insert(id) != id {
                return Err(Violation::new("S6", format!("{key}, repeated, made another request")));
            }
        }
        Ok(())
    }

    fn is_running(&self, owner: Owner) -> bool {
        self.process.as_ref().is_some_and(|process| process.owner == owner)
    }

    async fn go_on(&mut self, limit: Duration) -> Result<(), Violation> {
        self.go_on_until(limit, |_| false).await
    }

    /// Lets everything happen until `done`, for `limit` at most. The world is looked at after every poll.
    async fn go_on_until(&mut self, limit: Duration, done: impl Fn(&Self) -> bool) -> Result<(), Violation> {
        let mut over = pin!(tokio::time::sleep(limit));
        // The budget that tokio gives to one task would be shared by all of them.
        tokio::task::unconstrained(poll_fn(|context| {
            self.scheduler.driven_by(context.waker());
            loop {
                if let Err(violation) = self.look() {
                    return Poll::Ready(Err(violation));
                }
                if done(self) || over.as_mut().poll(context).is_ready() {
                    return Poll::Ready(Ok(()));
                }
                if !self.scheduler.turn() {
                    return Poll::Pending;
                }
                self.stats.polls += 1;
            }
        }))
        .await
    }

    /// What has happened in the last poll; and a crash, if one is due.
    fn look(&mut self) -> Result<(), Violation> {
        self.take_events()?;
        for record in self.outside.aws.take_calls() {
            if let Some(call) = words::call(&record) {
                self.trace.note("aws", &call);
            }
            self.effects.call(&record, &self.truth)?;
        }
        if self.restart.replace(false) {
            self.start()?;
        }
        let now = self.weather.crash.swap(false, Ordering::Relaxed);
        self.crash_in = self.crash_in.map(|polls| polls.saturating_sub(1));
        if now || self.crash_in == Some(0) {
            self.crash_in = None;
            self.crash();
        }
        Ok(())
    }

    fn take_events(&mut self) -> Result<(), Violation> {
        let after = self.truth.seen.last().map_or(Position::START, |last| last.position);
        for recorded in self.log.recorded_after(after) {
            durable::confidential(&recorded, &self.secrets)?;
            let position = self.truth.seen.len() + 1;
            let event = self.truth.take(recorded)?;
            self.trace.note("log", &words::event(&event, position, &self.truth));
            if let (Fact::Request(RequestEvent::CredentialsIssued(issued)), journal::Stream::Request(id)) =
                (&event.fact, &event.stream)
                && let Some(window) = self.truth.requests.get(id).and_then(|known| known.request.window())
            {
                effect::credentials(issued, window, event.at, &self.outside.aws)?;
            }
        }
        for key in std::mem::take(&mut self.truth.concluded) {
            self.effects.concluded(&key);
        }
        Ok(())
    }

    fn start(&mut self) -> Result<(), Violation> {
        self.last_owner += 1;
        self.trace.note("process", "starts");
        let process = Process::start(self.last_owner, &self.outside, &mut self.scheduler)
            .map_err(|why| Violation::new("X1", format!("the process does not start: {why}")))?;
        self.process = Some(process);
        Ok(())
    }

    fn crash(&mut self) {
        let Some(process) = self.process.take() else { return };
        self.trace.note("process", "crashes");
        self.stats.crashes += 1;
        self.scheduler.crash(process.owner);
        let (down, restart) = (self.weather.downtime(), Rc::clone(&self.restart));
        self.scheduler.spawn(WORLD, async move {
            tokio::time::sleep(down).await;
            restart.replace(true);
        });
    }

    fn check_step(&mut self) -> Result<(), Violation> {
        let log = self.log.recorded();
        durable::kept(self.witness.take_promises(), &log)?;
        durable::grown(&self.truth, &log)?;
        for change in self.effects.changes(&self.outside.aws)? {
            self.trace.note("aws", &words::change(&change));
            self.stats.changes += 1;
        }
        if let Some(process) = &self.process
            && process.views.requests.projection().applied().0 == log.len() as u64
        {
            durable::shown(&process.views.requests, &self.truth.changed, &self.truth)?;
            self.truth.changed.clear();
        }
        Ok(())
    }

    /// A planted bug writes an event, past every decider.
    async fn write_what_was_planted(&mut self) {
        let now = self.clock.now();
        let event = self
            .truth
            .requests
            .values()
            .find_map(|known| self.planted.event(&known.request, known.last, now));
        let Some(event) = event else { return };
        let stream = event.stream.to_string();
        let count = self.truth.seen.iter().filter(|recorded| recorded.stream.as_str() == stream).count();
        let last = (count as u64).checked_sub(1).map(Revision);
        let (Ok(stream), Ok(writer)) = (stream.parse(), event_log::Writer::new(event.writer.as_str())) else {
            return;
        };
        let envelope = event_log::Envelope {
            event_id: *event.id.as_uuid(),
            writer,
            body: journal::encode(&event).into(),
        };
        self.log.clear_faults();
        drop(self.log.append(&stream, Expected::after(last), envelope).await);
    }

    /// Faults heal, people go home, time passes.
    async fn end(&mut self) -> Result<(), Violation> {
        self.trace.note("world", "faults heal, people go home");
        self.log.clear_faults();
        self.outside.aws.heal();
        self.outside.aws.set_directory(people::organisation());
        self.crash_in = None;
        let looks = END_MAX.as_secs() / END_LOOK.as_secs();
        for _ in 0..looks {
            self.go_on(END_LOOK).await?;
            self.check_step()?;
            if end::is_quiet(&self.truth) && self.process.is_some() {
                break;
            }
        }
        end::check(&self.truth, &self.effects, &self.outside.aws)?;
        if let Some(process) = &self.process {
            durable::shown(&process.views.requests, self.truth.requests.keys(), &self.truth)?;
        }
        for recorded in self.log.recorded() {
            durable::confidential(&recorded, &self.secrets)?;
        }
        Ok(())
    }
}
