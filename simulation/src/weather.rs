//! What goes wrong, and when: faults of the log, of AWS, of clocks and of machines, chosen by the seed. Fair at times, so that
//! things get done; and fair from beginning to end for some seeds, in which more must hold.

use crate::tally::Tally;
use activation::Missing;
use aws::ErrorKind;
use aws::simulated::{Behaviour, DenialFault, Fault, Operation, SimulatedAws, SimulatedScps};
use domain::SignedDuration;
use event_log::memory::{AppendFault, Faults, MemoryLog, ReadFault};
use event_log::{Envelope, StreamName};
use rand::Rng as _;
use rand_chacha::ChaCha8Rng;
use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

/// How old a signature may be in this AWS, and how far ahead. Shorter than the real one's, so that fences pass in little time.
pub(crate) const SIGNATURE_SKEW_MAX: SignedDuration = SignedDuration::from_secs(60);

/// The longest time from a call's arrival to its effect.
pub(crate) const EFFECT_WITHIN: SignedDuration = SignedDuration::from_secs(30);

/// By how much lists may be behind.
pub(crate) const LIST_LAG_MAX: SignedDuration = SignedDuration::from_secs(5);

/// How many readings of the directory fail in a row when it cannot be reached: more than its greatest age allows.
const DIRECTORY_FAILURES: usize = 14;

/// What kind of a simulation a seed makes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Season {
    /// How many machines there are.
    pub(crate) machines: usize,
    /// Nothing goes wrong.
    pub(crate) fair: bool,
    /// Whether Daypass may deny live sessions.
    pub(crate) denials: bool,
    /// Whether one machine of several stays cut off from AWS to the end.
    pub(crate) one_cut: bool,
    /// How likely it is, in each step and in thousandths, that an account is closed with what is assigned in it.
    pub(crate) account_losses: u32,
    /// At which step something that cannot be read is written, and what.
    pub(crate) damage: Option<(u32, Damage)>,
    /// What is set otherwise from installation to installation.
    pub(crate) settings: Settings,
}

/// What is set otherwise from installation to installation.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Settings {
    /// What becomes of access that others removed while a request needs it.
    pub(crate) missing: Missing,
    /// How long before a start access may be made where a queue would make it late.
    pub(crate) start_lead: SignedDuration,
    /// How often what should exist is looked at.
    pub(crate) sweep_interval: SignedDuration,
    /// Whether a process that starts again is another replica, as where replicas have no names of their own.
    pub(crate) renamed: bool,
}

impl Settings {
    /// Those of a seed.
    pub(crate) fn of(chance: &mut ChaCha8Rng) -> Self {
        let missing = if chance.random_bool(0.3) { Missing::End } else { Missing::Restore };
        let start_lead = if chance.random_bool(0.3) { chance.random_range(1..120) } else { 0 };
        let sweep_interval = if chance.random_bool(0.3) { 30 } else { 120 };
        Self {
            missing,
            start_lead: SignedDuration::from_secs(start_lead),
            sweep_interval: SignedDuration::from_secs(sweep_interval),
            renamed: chance.random_bool(0.5),
        }
    }
}

/// Something that cannot be read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Damage {
    /// Bytes that are no event, in the story of a request.
    Request,
    /// An approval that is well formed, but not by whom it must be written.
    Forged,
    /// Bytes that are no event, in the policy.
    Policy,
    /// Bytes that are no event, in the ledger of an assignment.
    Ledger,
    /// Bytes that are no event, among the claims of the duty.
    Duty,
}

/// The season of a seed.
pub(crate) fn season(chance: &mut ChaCha8Rng, steps: u32, settings: Settings) -> Season {
    let machines = match chance.random_range(0..20) {
        0..=6 => 1,
        7..=15 => 2,
        _three => 3,
    };
    let fair = chance.random_bool(0.1);
    let step = chance.random_range(0..steps.max(1));
    let damage = match chance.random_range(0..100) {
        _ if fair => None,
        0..=9 => Some((step, Damage::Request)),
        10..=14 => Some((step, Damage::Forged)),
        15..=18 => Some((step, Damage::Policy)),
        19..=24 => Some((step, Damage::Ledger)),
        25..=27 => Some((step, Damage::Duty)),
        _none => None,
    };
    let denials = chance.random_bool(0.6);
    let one_cut = !fair && machines > 1 && chance.random_bool(0.2);
    Season { machines, fair, denials, one_cut, account_losses: 10, damage, settings }
}

/// How AWS behaves on a day chosen by `chance`.
pub(crate) fn climate(chance: &mut ChaCha8Rng) -> Behaviour {
    Behaviour {
        latency: Duration::from_millis(chance.random_range(0..200)),
        operation_time: SignedDuration::from_millis(chance.random_range(100..8_000)),
        list_lag: SignedDuration::from_millis(chance.random_range(0..4_000)),
        calls_per_second: chance.random_bool(0.5).then_some(20),
        page_max: None,
        outstanding_max: chance.random_bool(0.5).then_some(3),
        conflict_in_account: chance.random_bool(0.5),
        signature_skew_max: SIGNATURE_SKEW_MAX,
        delegated_administrator: true,
        caller_is_role_session: chance.random_bool(0.3),
        removal_needs_user: false,
    }
}

/// How often the log fails, in thousandths of the calls; and whether a crash follows an append.
#[derive(Clone, Copy, Debug, Default)]
struct Rates {
    full: bool,
    lose_answer: u32,
    lose_call: u32,
    unavailable: u32,
    read: u32,
    crash: u32,
}

struct LogFaults {
    rates: Rates,
    chance: ChaCha8Rng,
    crash: Arc<AtomicBool>,
    tally: Tally,
}

impl LogFaults {
    fn strikes(&mut self, thousandths: u32, kind: &str) -> bool {
        let strikes = thousandths > 0 && self.chance.random_range(0..1_000) < thousandths;
        if strikes {
            self.tally.count(kind);
        }
        strikes
    }
}

impl Faults for LogFaults {
    fn append(&mut self, _: &StreamName, _: &Envelope) -> AppendFault {
        if self.rates.full {
            self.tally.count("log: full");
            return AppendFault::Unavailable;
        }
        if self.strikes(self.rates.crash, "crash right after an append") {
            // Carried out at the end of this poll: after the append, before anybody hears of it.
            self.crash.store(true, Ordering::Relaxed);
        }
        if self.strikes(self.rates.lose_answer, "log: answer lost") {
            AppendFault::LoseAnswer
        } else if self.strikes(self.rates.lose_call, "log: append lost") {
            AppendFault::LoseCall
        } else if self.strikes(self.rates.unavailable, "log: append refused") {
            AppendFault::Unavailable
        } else {
            AppendFault::Proceed
        }
    }

    fn read(&mut self) -> ReadFault {
        if self.strikes(self.rates.read, "log: read fails") {
            ReadFault::Unavailable
        } else {
            ReadFault::Proceed
        }
    }
}

/// Chooses what goes wrong from now on; says so in words, when something does.
pub(crate) struct Weather {
    chance: ChaCha8Rng,
    /// Set when the process that is being polled is to crash at the end of the poll.
    pub(crate) crash: Arc<AtomicBool>,
    /// Whether the log does what it should.
    pub(crate) log_works: bool,
    /// Faults of AWS that have not struck yet.
    pending: BTreeMap<Operation, usize>,
    climate: Behaviour,
    tally: Tally,
}

impl Weather {
    pub(crate) fn new(chance: ChaCha8Rng, climate: Behaviour, tally: Tally) -> Self {
        Self { chance, crash: Arc::default(), log_works: true, pending: BTreeMap::new(), climate, tally }
    }

    /// Whether something happens that happens with this probability.
    pub(crate) fn does(&mut self, probability: f64) -> bool {
        self.chance.random_bool(probability)
    }

    /// One of `count`.
    pub(crate) fn one_of(&mut self, count: usize) -> usize {
        self.chance.random_range(0..count.max(1))
    }

    /// Another weather for the log.
    pub(crate) fn change_log(&mut self, log: &MemoryLog) -> Option<String> {
        self.log_works = self.chance.random_bool(0.6);
        if self.log_works {
            log.clear_faults();
            return None;
        }
        let full = self.chance.random_bool(0.15);
        let mut up_to =
            |most: u32| if self.chance.random_bool(0.5) { self.chance.random_range(1..=most) } else { 0 };
        let rates = Rates {
            full,
            lose_answer: up_to(300),
            lose_call: up_to(200),
            unavailable: up_to(200),
            read: up_to(20),
            crash: up_to(60),
        };
        let chance = chance_from(&mut self.chance);
        let (crash, tally) = (Arc::clone(&self.crash), self.tally.clone());
        log.set_faults(Box::new(LogFaults { rates, chance, crash, tally }));
        Some(if full {
            "is full: every append is refused".to_owned()
        } else {
            format!(
                "of 1000 appends {} lose their answer, {} are lost, {} are refused, {} crash; of 1000 reads {} fail",
                rates.lose_answer, rates.lose_call, rates.unavailable, rates.crash, rates.read
            )
        })
    }

    /// A few faults for AWS's next calls.
    pub(crate) fn change_aws(&mut self, aws: &SimulatedAws) -> Option<String> {
        if self.chance.random_bool(0.5) {
            return None;
        }
        let count = self.chance.random_range(1..=3);
        let planted: Vec<String> = (0..count)
            .map(|_| {
                let (operation, fault) = self.fault();
                let words = format!("{operation:?}: {fault:?}");
                self.plant(aws, operation, fault);
                words
            })
            .collect();
        Some(planted.join("; "))
    }

    /// A fault for the next change of a service control policy.
    pub(crate) fn change_scps(&mut self, scps: &SimulatedScps) -> &'static str {
        let (words, fault) = match self.chance.random_range(0..4) {
            0 => ("throttles", DenialFault::Refused(ErrorKind::Throttled)),
            1 => ("refuses", DenialFault::Refused(ErrorKind::Denied)),
            2 => ("cannot be reached for", DenialFault::Refused(ErrorKind::Unavailable)),
            _lost => ("loses the answer of", DenialFault::AnswerLost),
        };
        self.tally.count("aws: change of a control policy fails");
        scps.fail_next(fault);
        words
    }

    fn plant(&mut self, aws: &SimulatedAws, operation: Operation, fault: Fault) {
        *self.pending.entry(operation).or_default() += 1;
        aws.fail_next(operation, fault);
    }

    /// A call came to AWS: a fault may have struck it.
    pub(crate) fn struck(&mut self, operation: Operation) {
        if let Some(left) = self.pending.get_mut(&operation) {
            *left -= 1;
            if *left == 0 {
                self.pending.remove(&operation);
            }
        }
    }

    /// Whether a call that changes assignments, or looks at them, may fail.
    pub(crate) fn aws_may_fail(&self) -> bool {
        self.pending.keys().any(|operation| {
            !matches!(
                operation,
                Operation::FetchDirectory
                    | Operation::AssumeRole
                    | Operation::CallerIdentity
                    | Operation::SignIn
            )
        })
    }

    /// No faults from now on.
    pub(crate) fn heal(&mut self, log: &MemoryLog, aws: &SimulatedAws) {
        self.pending.clear();
        self.log_works = true;
        log.clear_faults();
        aws.heal();
        aws.set_behaviour(self.climate.clone());
    }

    /// AWS takes hardly any calls for a time; or takes them again.
    pub(crate) fn throttle(&mut self, aws: &SimulatedAws) -> &'static str {
        if aws.behaviour() == self.climate {
            self.tally.count("aws: throttled for a time");
            aws.set_behaviour(Behaviour { calls_per_second: Some(1), ..self.climate.clone() });
            "takes one call a second"
        } else {
            aws.set_behaviour(self.climate.clone());
            "takes calls as before"
        }
    }

    /// Whether AWS takes as many calls as it usually does.
    pub(crate) fn is_throttled(&self, aws: &SimulatedAws) -> bool {
        aws.behaviour() != self.climate
    }

    /// The directory cannot be read for a time.
    pub(crate) fn hide_directory(&mut self, aws: &SimulatedAws) {
        self.tally.count("aws: directory out of reach");
        for _ in 0..DIRECTORY_FAILURES {
            self.plant(aws, Operation::FetchDirectory, Fault::Refused(ErrorKind::Unavailable));
        }
    }

    /// Whether it cannot be read now.
    pub(crate) fn hides_directory(&self) -> bool {
        self.pending.contains_key(&Operation::FetchDirectory)
    }

    fn fault(&mut self) -> (Operation, Fault) {
        let chance = &mut self.chance;
        let operation = match chance.random_range(0..13) {
            0..=4 => Operation::Create,
            5..=7 => Operation::Delete,
            8 => Operation::AssumeRole,
            9 => Operation::Holders,
            10 => Operation::CallerIdentity,
            11 => Operation::SignIn,
            _status => {
                if chance.random_bool(0.5) {
                    Operation::CreationStatus
                } else {
                    Operation::DeletionStatus
                }
            }
        };
        let (kind, fault) = match chance.random_range(0..8) {
            0 => ("aws: throttled", Fault::Refused(ErrorKind::Throttled)),
            // Whom AWS asks may not know yet what was made.
            1 if operation == Operation::Delete => {
                ("aws: nothing found to delete", Fault::Refused(ErrorKind::NotFound))
            }
            1 => ("aws: conflict", Fault::Refused(ErrorKind::Conflict)),
            2 => ("aws: no connection", Fault::Refused(ErrorKind::Unavailable)),
            3 => ("aws: request lost", Fault::REQUEST_LOST),
            4 => ("aws: answer lost, effect now", Fault::AnswerLost),
            5 => {
                let later = SignedDuration::from_secs(chance.random_range(1..90));
                ("aws: answer lost, effect later or never", Fault::ArrivesLater(later))
            }
            6 => ("aws: FAILED", Fault::FailsLater { reason: "planted".to_owned() }),
            _slow => {
                let slow = SignedDuration::from_secs(chance.random_range(1..EFFECT_WITHIN.as_secs()));
                ("aws: slow operation", Fault::Slow(slow))
            }
        };
        self.tally.count(kind);
        (operation, fault)
    }

    /// After how many of its polls a process is to crash, if it is to crash soon.
    pub(crate) fn next_crash(&mut self) -> Option<u32> {
        self.chance.random_bool(0.1).then(|| self.chance.random_range(1..300))
    }

    /// After how many of its polls a process is to be paused, if it is to be paused soon.
    pub(crate) fn next_pause(&mut self) -> Option<u32> {
        self.chance.random_bool(0.08).then(|| self.chance.random_range(1..300))
    }

    /// How long a crashed process stays down.
    pub(crate) fn downtime(&mut self) -> Duration {
        if self.chance.random_bool(0.9) {
            Duration::from_millis(self.chance.random_range(100..5_000))
        } else {
            Duration::from_secs(self.chance.random_range(5..150))
        }
    }

    /// How long a process is paused: long enough for a signature to age, at times.
    pub(crate) fn pause(&mut self) -> Duration {
        if self.chance.random_bool(0.6) {
            Duration::from_millis(self.chance.random_range(500..20_000))
        } else {
            Duration::from_secs(self.chance.random_range(20..240))
        }
    }

    /// By how much a clock is wrong from now on.
    pub(crate) fn clock_error(&mut self) -> SignedDuration {
        let millis = match self.chance.random_range(0..10) {
            0..=2 => 0,
            3..=6 => self.chance.random_range(-4_000..=4_000),
            7..=8 => self.chance.random_range(-30_000..=30_000),
            _far => self.chance.random_range(-300_000..=300_000),
        };
        SignedDuration::from_millis(millis)
    }
}

fn chance_from(chance: &mut ChaCha8Rng) -> ChaCha8Rng {
    use rand::SeedableRng as _;
    ChaCha8Rng::seed_from_u64(chance.random())
}
