//! What happens to machines, to AWS and to the organisation, by chance; and what is written past every decider.

use super::Run;
use crate::invariant::Violation;
use crate::machine::Machine;
use crate::people;
use crate::process::{Process, REMOVAL_LATE_AFTER};
use crate::schedule::WORLD;
use crate::weather::Damage;
use crate::words;
use aws::session_denials::policy_name;
use bytes::Bytes;
use domain::ports::Clock as _;
use domain::{AccountId, EventId, RequestId, SignedDuration, Timestamp};
use event_log::{Envelope, EventLog as _, Expected, Revision, Writer};
use journal::{Event, Fact, Service, Stream};
use lifecycle::RequestEvent;
use lifecycle::signal::PersonLinked;
use std::sync::atomic::Ordering;
use std::sync::{Arc, PoisonError};

/// What is no event.
const RUBBISH: &[u8] = b"\xff\xffrubbish";

/// How long a process may take to count what is late.
const COUNTED_WITHIN: SignedDuration = SignedDuration::from_mins(1);

/// How long something may count as left that is not, once nothing stands in the way: until that is noticed and recorded.
const SETTLED_WITHIN: SignedDuration = SignedDuration::from_mins(8);

impl Run {
    pub(super) fn change_the_world(&mut self) {
        self.change_organisation();
        if self.season.fair {
            return;
        }
        if self.workload.does(0.3) {
            let weather = self.weather.change_log(&self.log);
            self.trace.note("log", &weather.unwrap_or_else(|| "works".to_owned()));
        }
        let aws = self.outside.cloud.aws.clone();
        if self.workload.does(0.4)
            && let Some(faults) = self.weather.change_aws(&aws)
        {
            self.trace.note("aws", &format!("will fail: {faults}"));
        }
        if self.weather.does(if self.weather.is_throttled(&aws) { 0.4 } else { 0.03 }) {
            let words = self.weather.throttle(&aws);
            self.trace.note("aws", words);
        }
        if self.weather.does(0.02) {
            self.weather.hide_directory(&aws);
            self.trace.note("aws", "does not tell the directory any more");
        }
        self.drift();
        self.change_scps();
        self.change_machines();
    }

    fn change_organisation(&mut self) {
        let workload = &mut self.workload;
        let mut change = None;
        self.outside.cloud.aws.change_directory(|contents| change = workload.change_organisation(contents));
        if let Some(change) = change {
            self.trace.note("company", &change);
            self.note_memberships();
        }
        if !self.season.fair && self.weather.does(f64::from(self.season.account_losses) / 1_000.0) {
            self.lose_account();
        }
    }

    pub(super) fn note_memberships(&mut self) {
        let (memberships, now) = (&mut self.memberships, self.clock.now());
        self.outside.cloud.aws.change_directory(|contents| memberships.note(now, contents));
    }

    /// An account is closed, with whatever is assigned in it: nothing can be removed from it any more.
    fn lose_account(&mut self) {
        let cloud = &self.outside.cloud;
        let accounts: Vec<_> = cloud.aws.assignments().iter().map(|key| key.account().clone()).collect();
        let Some(account) = accounts.get(self.weather.one_of(accounts.len())).cloned() else { return };
        let gone = self.weather.does(0.5);
        cloud.aws.change_directory(|contents| {
            if gone {
                contents.accounts.remove(&account);
            } else if let Some(account) = contents.accounts.get_mut(&account) {
                account.active = false;
            }
        });
        self.trace.note("company", &format!("account {account} is {}", if gone { "gone" } else { "closed" }));
        self.tally.count("company: account closed while assigned");
        if self.truth.denials.get(&account).is_some_and(|denials| !denials.is_settled()) {
            self.tally.count("company: account closed while sessions are denied");
        }
        cloud.scps.iter().for_each(|scps| scps.leave(&account));
        cloud.lost.lock().unwrap_or_else(PoisonError::into_inner).insert(account);
    }

    /// Assignments come and go behind Daypass's back.
    fn drift(&mut self) {
        let aws = &self.outside.cloud.aws;
        if self.weather.does(0.03) {
            let present: Vec<_> = aws.assignments().into_iter().collect();
            if let Some(key) = present.get(self.weather.one_of(present.len())) {
                let theirs = self.effects.is_of_others(key);
                self.tally.count(if theirs { "drift: others' vanishes" } else { "drift: ours vanishes" });
                aws.remove(key.clone());
                self.effects.gone_by_others(key);
            }
        }
        if self.weather.does(0.03) {
            let key = self.workload.some_key();
            let known = self.truth.requests.values().any(|known| known.key().as_ref() == Some(&key));
            if !known && !aws.has(&key) {
                self.tally.count("drift: others' appears");
                self.effects.made_by_others(key.clone(), self.clock.now());
                aws.standing(key);
            }
        }
    }

    /// Service control policies fail, and others change them.
    fn change_scps(&mut self) {
        let Some(scps) = self.outside.cloud.scps.clone() else { return };
        if self.weather.does(0.15) {
            let words = self.weather.change_scps(&scps);
            self.trace.note("aws", &format!("{words} the next change of a control policy"));
        }
        let accounts: Vec<AccountId> = self.truth.denials.keys().cloned().collect();
        let Some(account) = accounts.get(self.weather.one_of(accounts.len())) else { return };
        if self.weather.does(0.1) {
            self.tally.count("drift: others write over a control policy");
            self.trace.note("company", &format!("someone writes over the control policy of {account}"));
            let theirs = r#"{"Version":"2012-10-17","Statement":[{"Sid":"Theirs","Effect":"Deny","Action":"ec2:*","Resource":"*"}]}"#;
            scps.write(account, &policy_name(account), theirs);
            self.denying.others_write(account.clone(), self.clock.now());
        }
        if self.weather.does(0.02) {
            self.tally.count("company: no room for control policies");
            self.trace.note("company", &format!("account {account} has as many control policies as it can"));
            self.denying.others_fill(&scps, account);
        }
    }

    fn change_machines(&mut self) {
        let now = self.clock.now();
        for machine in &mut self.machines {
            if machine.crash_in.is_none() {
                machine.crash_in = self.weather.next_crash();
            }
            if machine.pause_in.is_none() && !machine.paused {
                machine.pause_in = self.weather.next_pause();
            }
            let wrong = !machine.clock.ahead().is_zero();
            if self.weather.does(if wrong { 0.25 } else { 0.05 }) {
                let ahead = self.weather.clock_error();
                let jump = ahead - machine.clock.ahead();
                self.tally.count(if jump.is_negative() {
                    "clock: jumps back"
                } else {
                    "clock: jumps forward"
                });
                machine.set_clock(ahead, now);
                let ahead = ahead.as_secs_f64();
                self.trace.note(machine.name, &format!("has its clock set: {ahead:+.3} s"));
            }
            let cut = machine.cut_from_aws.load(Ordering::Relaxed);
            if self.weather.does(if cut { 0.3 } else { 0.02 }) {
                machine.cut_from_aws.store(!cut, Ordering::Relaxed);
                self.tally.count("aws: one machine is cut off, or not any more");
                let words = if cut { "reaches AWS again" } else { "is cut off from AWS" };
                self.trace.note(machine.name, words);
            }
            let cut = machine.log.is_cut();
            if self.weather.does(if cut { 0.5 } else { 0.03 }) {
                machine.log.set_cut(!cut);
                let words = if cut { "reaches the log again" } else { "is cut off from the log" };
                self.trace.note(machine.name, words);
            }
        }
    }

    /// One poll of a machine's process is over: it may be its last, or its last for a time.
    pub(super) fn strike(&mut self, index: usize, now: Timestamp) {
        let after_append = self.weather.crash.swap(false, Ordering::Relaxed);
        let Some(machine) = self.machines.get_mut(index) else { return };
        machine.note_snapshot(now);
        let (crash, pause) = machine.polled();
        if crash || after_append {
            self.crash(index);
        } else if pause {
            self.pause(index);
        }
    }

    fn crash(&mut self, index: usize) {
        let Some(machine) = self.machines.get_mut(index) else { return };
        let Some(process) = machine.process.take() else { return };
        self.trace.note(machine.name, "crashes");
        self.tally.count("crash");
        self.stats.crashes += 1;
        machine.paused = false;
        machine.crash_in = None;
        machine.pause_in = None;
        self.scheduler.crash(process.owner);
        let (down, start) = (self.weather.downtime(), machine.start.clone());
        self.scheduler.spawn(WORLD, async move {
            tokio::time::sleep(down).await;
            start.set(true);
        });
    }

    fn pause(&mut self, index: usize) {
        let Some(machine) = self.machines.get_mut(index) else { return };
        let Some(owner) = machine.owner() else { return };
        let time = self.weather.pause();
        self.trace.note(machine.name, &format!("is paused for {:.1} s", time.as_secs_f64()));
        self.tally.count("pause");
        machine.paused = true;
        self.scheduler.freeze(owner);
        let wake = machine.wake.clone();
        self.scheduler.spawn(WORLD, async move {
            tokio::time::sleep(time).await;
            wake.set(true);
        });
    }

    /// Calls of a bug arrive that nobody waits for any more.
    fn let_zombies_arrive(&mut self, now: Timestamp) {
        let zombies = Arc::clone(&self.outside.cloud.zombies);
        let mut zombies = zombies.lock().unwrap_or_else(PoisonError::into_inner);
        for zombie in zombies.extract_if(.., |zombie| zombie.arrives_at <= now) {
            self.scheduler.spawn(WORLD, async move {
                drop(zombie.service.create(&zombie.key, zombie.attempt).await);
            });
        }
    }

    /// Starts and wakes what is to be started and woken now.
    pub(super) fn begin_again(&mut self, now: Timestamp) -> Result<(), Violation> {
        self.let_zombies_arrive(now);
        for machine in &mut self.machines {
            if machine.start.take() && machine.process.is_none() {
                self.last_owner += 1;
                self.trace.note(machine.name, "starts");
                let process = Process::start(self.last_owner, machine, &self.outside, &mut self.scheduler)
                    .map_err(|why| Violation::new("X1", format!("{} does not start: {why}", machine.name)))?;
                machine.process = Some(process);
                machine.awake_since = now;
                machine.snapshots.clear();
                machine.unseen = self.truth.requests.keys().copied().collect();
            }
            if machine.wake.take() && machine.paused {
                wake(machine, now);
                self.trace.note(machine.name, "goes on");
                machine.owner().into_iter().for_each(|owner| self.scheduler.thaw(owner));
            }
        }
        Ok(())
    }

    /// S2: what is left in AWS although nobody needs it any more.
    pub(super) fn look_at_what_is_left(&mut self, now: Timestamp) -> Result<(), Violation> {
        let aws = &self.outside.cloud.aws;
        let calm = self.weather.log_works
            && !self.weather.aws_may_fail()
            && !self.weather.is_throttled(aws)
            && self.machines.iter().all(Machine::is_well);
        let cloud = &self.outside.cloud;
        self.lateness.look(now, calm, &self.truth, &self.effects, cloud)?;
        for _ in 0..self.chaining.chain(now, &cloud.aws) {
            self.tally.count("role chained from credentials");
        }
        let told = !self.weather.hides_directory();
        self.presence.look(now, (calm, told), &self.truth, cloud)?;
        if let Some(scps) = &cloud.scps {
            let calm_since = self.lateness.calm_since();
            if self.weather.hides_directory() {
                self.denying.directory_is_hidden(now);
            }
            let (truth, effects) = (&self.truth, &self.effects);
            self.denying.look(now, calm_since, truth, effects, &self.chaining, (&cloud.aws, scps))?;
        }
        self.check_late_is_counted(now)?;
        self.check_none_is_counted_in_vain(now)
    }

    /// S2: who runs knows of what is left for long.
    pub(super) fn check_late_is_counted(&self, now: Timestamp) -> Result<(), Violation> {
        let Some((key, over)) = self.lateness.longest_left(&self.truth) else { return Ok(()) };
        let told = self.truth.ended_at(key).unwrap_or(over);
        for machine in self.machines.iter().filter(|machine| machine.is_well()) {
            let Some(process) = &machine.process else { continue };
            let since = told.max(over).max(machine.awake_since).max(self.lateness.calm_since());
            let known_by = since + REMOVAL_LATE_AFTER + COUNTED_WITHIN;
            if now >= known_by && process.activation.overdue() == 0 {
                let what = format!(
                    "{} is left since {over}, and {} does not count it",
                    words::key(key),
                    machine.name
                );
                return Err(Violation::new("S2", what));
            }
        }
        Ok(())
    }

    /// S2: nobody is told of what is not there.
    fn check_none_is_counted_in_vain(&self, now: Timestamp) -> Result<(), Violation> {
        let lost = self.outside.cloud.lost.lock().unwrap_or_else(PoisonError::into_inner).is_empty();
        if !self.lateness.is_nothing_left() || self.truth.any_damage() || !lost {
            return Ok(());
        }
        let undisturbed_since = self.lateness.calm_since().max(self.denying.hidden_at());
        for machine in self.machines.iter().filter(|machine| machine.is_well()) {
            let Some(process) = &machine.process else { continue };
            let settled_by = undisturbed_since.max(machine.awake_since) + SETTLED_WITHIN;
            let counted = process.activation.overdue();
            if now >= settled_by && counted > 0 {
                let what = format!("{} counts {counted} as left in AWS, and nothing is", machine.name);
                return Err(Violation::new("S2", what));
            }
        }
        Ok(())
    }

    /// Everything is as it should be from now on; people go home.
    pub(super) fn heal(&mut self) {
        self.trace.note("world", "faults heal, people go home");
        let cloud = &self.outside.cloud;
        self.weather.heal(&self.log, &cloud.aws);
        cloud.scps.iter().for_each(|scps| scps.heal());
        let mut organisation = people::organisation();
        // Some accounts stay closed.
        if self.weather.does(0.5) {
            let back = std::mem::take(&mut *cloud.lost.lock().unwrap_or_else(PoisonError::into_inner));
            for account in back {
                // It has none of the policies that it had.
                cloud.scps.iter().for_each(|scps| scps.join(&account));
                self.denying.others_write(account, self.clock.now());
            }
        } else {
            for account in cloud.lost.lock().unwrap_or_else(PoisonError::into_inner).iter() {
                organisation.accounts.remove(account);
            }
        }
        cloud.aws.set_directory(organisation);
        self.note_memberships();
        let now = self.clock.now();
        for machine in &mut self.machines {
            machine.crash_in = None;
            machine.pause_in = None;
            machine.set_clock(SignedDuration::ZERO, now);
            machine.log.set_cut(false);
            machine.cut_from_aws.store(false, Ordering::Relaxed);
            if machine.paused {
                wake(machine, now);
                machine.owner().into_iter().for_each(|owner| self.scheduler.thaw(owner));
            }
        }
    }

    /// One of the machines does not reach AWS, while the others work.
    pub(super) fn cut_one(&mut self) {
        let one = self.weather.one_of(self.machines.len());
        let Some(machine) = self.machines.get(one).filter(|_| self.season.one_cut) else { return };
        self.trace.note(machine.name, "is cut off from AWS");
        machine.cut_from_aws.store(true, Ordering::Relaxed);
    }

    /// Every machine reaches AWS.
    pub(super) fn cut_none(&self) {
        self.machines.iter().for_each(|machine| machine.cut_from_aws.store(false, Ordering::Relaxed));
    }

    /// Two identities of one human, known as such from the beginning, or never.
    pub(super) async fn link_identities(&mut self) {
        if !self.workload.does(0.5) {
            return;
        }
        let (person, same_as) = (people::actor("mallory").person, people::actor("mal").person);
        let stream = Stream::Person(person.id());
        let event = Event {
            id: EventId::from_parts([b"linked".as_slice()]),
            stream,
            at: self.clock.now(),
            writer: Service::Request,
            actor: None,
            previous: None,
            trace: None,
            command_digest: None,
            fact: Fact::Person(PersonLinked { person, same_as }),
        };
        self.write(&event.stream, *event.id.as_uuid(), event.writer.as_str(), journal::encode(&event).into())
            .await;
    }

    /// Something that cannot be read is written, if it is time.
    pub(super) async fn do_damage(&mut self, step: u32) {
        let Some((_, damage)) = self.season.damage.filter(|(when, _)| *when <= step) else { return };
        let id = *EventId::from_parts([b"damage".as_slice()]).as_uuid();
        let (stream, writer, body) = match damage {
            Damage::Policy => {
                if self.truth.policy.is_none() {
                    return;
                }
                (Stream::Policy, "approval", Bytes::from_static(RUBBISH))
            }
            Damage::Request => {
                let Some(id) = self.some_open_request() else { return };
                (Stream::Request(id), "approval", Bytes::from_static(RUBBISH))
            }
            Damage::Ledger => {
                let Some(stream) = self.some_ledger() else { return };
                (stream, "activation", Bytes::from_static(RUBBISH))
            }
            Damage::Duty => {
                let duty = Stream::Duty("activation".to_owned());
                if !self.truth.types.contains_key("duty.claimed.v1") {
                    return;
                }
                (duty, "activation", Bytes::from_static(RUBBISH))
            }
            Damage::Forged => {
                let Some(target) = self.some_open_request() else { return };
                let Some(event) = self.forged_approval(target, EventId::from_parts([b"damage".as_slice()]))
                else {
                    return;
                };
                (Stream::Request(target), "audit", Bytes::from(journal::encode(&event)))
            }
        };
        self.season.damage = None;
        self.tally.count(match damage {
            Damage::Policy => "damage: the policy",
            Damage::Request => "damage: a request",
            Damage::Forged => "damage: a forged approval",
            Damage::Ledger => "damage: a ledger",
            Damage::Duty => "damage: the duty",
        });
        self.truth.damage.insert(id);
        self.write(&stream, id, writer, body).await;
    }

    /// The youngest request that is not over.
    fn some_open_request(&self) -> Option<RequestId> {
        let open = self
            .truth
            .requests
            .iter()
            .filter(|(_, known)| known.request.pending().is_ok() || known.request.approved().is_ok());
        open.max_by_key(|(_, known)| known.number).map(|(id, _)| *id)
    }

    /// The ledger of the youngest unfinished request that has one.
    fn some_ledger(&self) -> Option<Stream> {
        let id = self.some_open_request()?;
        let key = self.truth.requests.get(&id)?.key()?;
        self.truth.ledger_of(&key).cloned()
    }

    /// An approval by the requester, under a service's name that may not write it.
    fn forged_approval(&self, id: RequestId, event_id: EventId) -> Option<Event> {
        let known = self.truth.requests.get(&id)?;
        let approved = crate::plant::approved_by_themselves(&known.request, self.clock.now())?;
        Some(Event {
            id: event_id,
            stream: Stream::Request(id),
            at: known.request.time_of_next(self.clock.now()),
            writer: Service::Audit,
            actor: Some(people::actor("bob")),
            previous: Some(known.last),
            trace: None,
            command_digest: None,
            fact: Fact::Request(RequestEvent::Approved(approved)),
        })
    }

    /// A planted bug writes an event, past every decider.
    pub(super) async fn write_what_was_planted(&mut self) {
        let now = self.clock.now();
        let event = self.truth.requests.values().find_map(|known| {
            let is_in_aws = known.key().is_some_and(|key| {
                self.outside.cloud.aws.has(&key) && self.truth.needed_until(&key, now).is_some()
            });
            self.planted.event(&known.request, known.last, is_in_aws, now)
        });
        let Some(event) = event else { return };
        self.write(&event.stream, *event.id.as_uuid(), event.writer.as_str(), journal::encode(&event).into())
            .await;
    }

    /// Writes past every decider.
    async fn write(&mut self, stream: &Stream, event_id: uuid::Uuid, writer: &str, body: Bytes) {
        let stream = stream.to_string();
        let count = self.truth.seen.iter().filter(|recorded| recorded.stream.as_str() == stream).count();
        let last = (count as u64).checked_sub(1).map(Revision);
        let (Ok(stream), Ok(writer)) = (stream.parse(), Writer::new(writer)) else { return };
        self.log.clear_faults();
        self.weather.log_works = true;
        let envelope = Envelope { event_id, writer, body };
        drop(self.log.append(&stream, Expected::after(last), envelope).await);
    }
}

fn wake(machine: &mut Machine, now: Timestamp) {
    machine.paused = false;
    machine.awake_since = now;
}
