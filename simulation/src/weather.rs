//! What goes wrong, and when: faults of the log and of AWS, chosen by the seed. Fair at times, so that things get done.

use aws::ErrorKind;
use aws::simulated::{Behaviour, Fault, Operation, SimulatedAws};
use domain::SignedDuration;
use event_log::memory::{AppendFault, Faults, MemoryLog, ReadFault};
use event_log::{Envelope, StreamName};
use rand::Rng as _;
use rand_chacha::ChaCha8Rng;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

/// How old a signature may be in this AWS. Shorter than the real one's, so that fences pass in little time.
pub(crate) const SIGNATURE_AGE_MAX: SignedDuration = SignedDuration::from_secs(60);

/// The longest time from a call's arrival to its effect.
pub(crate) const EFFECT_WITHIN: SignedDuration = SignedDuration::from_secs(30);

/// By how much lists may be behind.
pub(crate) const LIST_LAG_MAX: SignedDuration = SignedDuration::from_secs(5);

/// How AWS behaves on a day chosen by `chance`.
pub(crate) fn climate(chance: &mut ChaCha8Rng) -> Behaviour {
    Behaviour {
        latency: Duration::from_millis(chance.random_range(0..200)),
        operation_time: SignedDuration::from_millis(chance.random_range(100..8_000)),
        list_lag: SignedDuration::from_millis(chance.random_range(0..4_000)),
        calls_per_second: chance.random_bool(0.5).then_some(20),
        outstanding_max: chance.random_bool(0.5).then_some(3),
        conflict_in_account: chance.random_bool(0.5),
        signature_age_max: SIGNATURE_AGE_MAX,
        delegated_administrator: true,
        caller_is_role_session: chance.random_bool(0.3),
    }
}

/// How often the log fails, in thousandths of the calls; and whether a crash follows an append.
#[derive(Clone, Copy, Debug, Default)]
struct Rates {
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
}

impl LogFaults {
    fn strikes(&mut self, thousandths: u32) -> bool {
        thousandths > 0 && self.chance.random_range(0..1_000) < thousandths
    }
}

impl Faults for LogFaults {
    fn append(&mut self, _: &StreamName, _: &Envelope) -> AppendFault {
        if self.strikes(self.rates.crash) {
            // Carried out at the end of this poll: after the append, before anybody hears of it.
            self.crash.store(true, Ordering::Relaxed);
        }
        if self.strikes(self.rates.lose_answer) {
            AppendFault::LoseAnswer
        } else if self.strikes(self.rates.lose_call) {
            AppendFault::LoseCall
        } else if self.strikes(self.rates.unavailable) {
            AppendFault::Unavailable
        } else {
            AppendFault::Proceed
        }
    }

    fn read(&mut self) -> ReadFault {
        if self.strikes(self.rates.read) { ReadFault::Unavailable } else { ReadFault::Proceed }
    }
}

/// Chooses what goes wrong from now on; says so in words, when something does.
pub(crate) struct Weather {
    chance: ChaCha8Rng,
    /// Set when the process is to crash at the end of the current poll.
    pub(crate) crash: Arc<AtomicBool>,
}

impl Weather {
    pub(crate) fn new(chance: ChaCha8Rng) -> Self {
        Self { chance, crash: Arc::default() }
    }

    /// Another weather for the log.
    pub(crate) fn change_log(&mut self, log: &MemoryLog) -> Option<String> {
        if self.chance.random_bool(0.6) {
            log.clear_faults();
            return None;
        }
        let mut up_to =
            |most: u32| if self.chance.random_bool(0.5) { self.chance.random_range(1..=most) } else { 0 };
        let rates = Rates {
            lose_answer: up_to(300),
            lose_call: up_to(200),
            unavailable: up_to(200),
            read: up_to(20),
            crash: up_to(60),
        };
        let chance = chance_from(&mut self.chance);
        log.set_faults(Box::new(LogFaults { rates, chance, crash: Arc::clone(&self.crash) }));
        Some(format!(
            "of 1000 appends {} lose their answer, {} are lost, {} are refused, {} crash; of 1000 reads {} fail",
            rates.lose_answer, rates.lose_call, rates.unavailable, rates.crash, rates.read
        ))
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
                aws.fail_next(operation, fault);
                words
            })
            .collect();
        Some(planted.join("; "))
    }

    fn fault(&mut self) -> (Operation, Fault) {
        let chance = &mut self.chance;
        let operation = match chance.random_range(0..10) {
            0..=3 => Operation::Create,
            4..=6 => Operation::Delete,
            7 => Operation::AssumeRole,
            8 => Operation::Holders,
            _status => {
                if chance.random_bool(0.5) {
                    Operation::CreationStatus
                } else {
                    Operation::DeletionStatus
                }
            }
        };
        let fault = match chance.random_range(0..8) {
            0 => Fault::Refused(ErrorKind::Throttled),
            1 => Fault::Refused(ErrorKind::Conflict),
            2 => Fault::Refused(ErrorKind::Unavailable),
            3 => Fault::REQUEST_LOST,
            4 => Fault::AnswerLost,
            5 => Fault::ArrivesLater(SignedDuration::from_secs(chance.random_range(1..90))),
            6 => Fault::FailsLater { reason: "planted".to_owned() },
            _slow => Fault::Slow(SignedDuration::from_secs(chance.random_range(1..EFFECT_WITHIN.as_secs()))),
        };
        (operation, fault)
    }

    /// After how many polls the process is to crash, if it is to crash soon.
    pub(crate) fn next_crash(&mut self) -> Option<u32> {
        self.chance.random_bool(0.12).then(|| self.chance.random_range(1..400))
    }

    /// How long a crashed process stays down.
    pub(crate) fn downtime(&mut self) -> Duration {
        if self.chance.random_bool(0.9) {
            Duration::from_millis(self.chance.random_range(100..5_000))
        } else {
            Duration::from_secs(self.chance.random_range(5..150))
        }
    }
}

fn chance_from(chance: &mut ChaCha8Rng) -> ChaCha8Rng {
    use rand::SeedableRng as _;
    ChaCha8Rng::seed_from_u64(chance.random())
}
