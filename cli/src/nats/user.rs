//! Which accounts and users there are on the NATS servers, and what each user may do: the least that it needs.
//!
//! Two accounts keep apart what must not meet: `daypass-log` has the log and the key store, `daypass-bus` what is for others. Each
//! source of signals has an account of its own, from which one subject leads into the bus, so that the subject of a signal tells
//! its source. In `daypass-log` a user may publish under its own writer's name alone, to the kinds of streams that it writes.
//!
//! INVARIANT: nobody may delete, purge, change, seal, snapshot or restore the log, whatever their name. Each user's answers come
//! to a subject of its own, so that nobody reads those of others.

use journal::types::Service as Writer;
use std::collections::BTreeSet;
use std::fmt;

/// The account of the log and the key store.
pub(super) const LOG: &str = "daypass-log";
/// The account of events for others and signals from them.
pub(super) const BUS: &str = "daypass-bus";

const LOG_STREAM: &str = wiring::nats::LOG_STREAM;
const KEYS_STREAM: &str = wiring::nats::KEYS_STREAM;
const EVENTS_STREAM: &str = wiring::nats::EVENTS_STREAM;
const SIGNALS_STREAM: &str = wiring::nats::SIGNALS_STREAM;
const PARKED_STREAM: &str = wiring::nats::PARKED_STREAM;

/// A service that connects.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, clap::ValueEnum)]
pub(super) enum Service {
    Request,
    Approval,
    Activation,
    Audit,
    /// `daypass serve`: all of them.
    Serve,
}

/// A name that can be part of a subject, of a file's name and of an account's.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Name(String);

impl std::str::FromStr for Name {
    type Err = &'static str;
    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let fits = (1..=32).contains(&text.len()) && !text.starts_with('-');
        if fits && text.bytes().all(|byte| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'-')
        {
            Ok(Self(text.to_owned()))
        } else {
            Err("must be 1 to 32 of a-z, 0-9 and -, not beginning with -")
        }
    }
}

impl fmt::Display for Name {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// Who is to connect.
pub(super) struct Deployment {
    pub(super) services: BTreeSet<Service>,
    pub(super) signal_sources: BTreeSet<Name>,
    pub(super) subscribers: BTreeSet<Name>,
}

/// An account: subjects of one do not exist in another, but for what is exported.
pub(super) struct Account {
    pub(super) name: String,
    pub(super) users: Vec<User>,
    /// Whether it has streams.
    pub(super) stores: bool,
    /// Subjects that it takes from another account's publishers: the subject, and that account.
    pub(super) takes: Vec<(String, String)>,
    /// Subjects that its publishers reach in another account: the subject, and that account.
    pub(super) reaches: Vec<(String, String)>,
}

/// A user, and all that it may do.
pub(super) struct User {
    /// Also of its seed file.
    pub(super) name: String,
    pub(super) publish: Vec<String>,
    /// Beside the subjects that its answers come to.
    pub(super) subscribe: Vec<String>,
}

impl User {
    fn new(name: impl Into<String>, publish: Vec<String>) -> Self {
        Self { name: name.into(), publish, subscribe: Vec::new() }
    }
}

impl Deployment {
    pub(super) fn accounts(&self) -> Vec<Account> {
        let mut accounts = vec![self.log(), self.bus()];
        accounts.extend(self.signal_sources.iter().map(|source| Account {
            name: source_account(source),
            users: vec![User::new(format!("signal-{source}"), vec![signals_of(source)])],
            stores: false,
            takes: Vec::new(),
            reaches: vec![(signals_of(source), BUS.to_owned())],
        }));
        accounts
    }

    fn log(&self) -> Account {
        let mut users: Vec<User> = self.services.iter().map(|service| service.in_log()).collect();
        users.push(User::new("log-backup", reads_log()));
        users.push(User::new(
            "log-setup",
            [makes(LOG_STREAM), makes(KEYS_STREAM), reads_log(), erases_keys()].concat(),
        ));
        Account { name: LOG.to_owned(), users, stores: true, takes: Vec::new(), reaches: Vec::new() }
    }

    fn bus(&self) -> Account {
        let mut users: Vec<User> = self.services.iter().filter_map(|service| service.in_bus()).collect();
        users.extend(self.subscribers.iter().map(subscriber));
        let streams = [EVENTS_STREAM, SIGNALS_STREAM, PARKED_STREAM];
        users.push(User::new("bus-operator", looks_after_parked()));
        users.push(User::new("bus-setup", streams.into_iter().flat_map(makes).collect()));
        let takes =
            self.signal_sources.iter().map(|source| (signals_of(source), source_account(source))).collect();
        Account { name: BUS.to_owned(), users, stores: true, takes, reaches: Vec::new() }
    }
}

fn source_account(source: &Name) -> String {
    format!("daypass-signal-{source}")
}

fn signals_of(source: &Name) -> String {
    format!("{}{source}.>", wiring::nats::SIGNALS_PREFIX)
}

impl Service {
    fn name(self) -> &'static str {
        match self {
            Self::Request => "request",
            Self::Approval => "approval",
            Self::Activation => "activation",
            Self::Audit => "audit",
            Self::Serve => "serve",
        }
    }

    /// In whose name it writes events.
    fn writers(self) -> &'static [Writer] {
        match self {
            Self::Request => &[Writer::Request],
            Self::Approval => &[Writer::Approval],
            Self::Activation => &[Writer::Activation],
            Self::Audit => &[Writer::Audit],
            Self::Serve => &[Writer::Request, Writer::Approval, Writer::Activation, Writer::Audit],
        }
    }

    fn in_log(self) -> User {
        let writes: Vec<String> = self.writers().iter().copied().flat_map(writes_log).collect();
        let keys = match self {
            // It opens what people wrote, and writes nothing itself.
            Self::Audit => reads_keys(),
            Self::Request | Self::Approval | Self::Activation | Self::Serve => {
                [reads_keys(), makes_keys()].concat()
            }
        };
        User::new(format!("log-{}", self.name()), [writes, reads_log(), keys].concat())
    }

    fn in_bus(self) -> Option<User> {
        let rights = match self {
            Self::Request => receives_signals(),
            Self::Audit => publishes_events(),
            Self::Serve => [receives_signals(), publishes_events()].concat(),
            Self::Approval | Self::Activation => return None,
        };
        Some(User::new(format!("bus-{}", self.name()), rights))
    }
}

fn api(calls: &[&str], stream: &str) -> Vec<String> {
    calls.iter().map(|call| format!("$JS.API.{call}.{stream}")).collect()
}

/// What the engine does to read: whole streams from any replica, single events from the leader, and a consumer that nobody
/// else can name, with its flow control.
fn reads_log() -> Vec<String> {
    let mut rights = api(&["STREAM.INFO", "STREAM.MSG.GET", "DIRECT.GET", "CONSUMER.CREATE"], LOG_STREAM);
    rights.push(format!("$JS.FC.{LOG_STREAM}.>"));
    rights
}

/// Streams of the kinds that hold its types, and its own duties: elsewhere even a message that nobody can read does harm, because
/// the stream that it stands in goes no further.
fn writes_log(writer: Writer) -> Vec<String> {
    let kinds = writer.kinds().into_iter().map(|kind| format!("daypass.log.{writer}.{kind}.*"));
    kinds.chain(writer.duties().map(|duty| format!("daypass.log.{writer}.duty.{duty}"))).collect()
}

fn reads_keys() -> Vec<String> {
    api(&["STREAM.INFO", "STREAM.MSG.GET"], KEYS_STREAM)
}

/// The bucket takes a key for whom there is none, and never another.
fn makes_keys() -> Vec<String> {
    vec![format!("{}*", wiring::nats::KEYS_PREFIX)]
}

fn erases_keys() -> Vec<String> {
    api(&["STREAM.MSG.GET", "STREAM.MSG.DELETE", "STREAM.SNAPSHOT"], KEYS_STREAM)
        .into_iter()
        .chain([format!("$JS.SNAPSHOT.ACK.{KEYS_STREAM}.>")])
        .collect()
}

fn makes(stream: &str) -> Vec<String> {
    api(&["STREAM.CREATE", "STREAM.INFO"], stream)
}

fn publishes_events() -> Vec<String> {
    let mut rights = api(&["STREAM.INFO", "STREAM.MSG.GET"], EVENTS_STREAM);
    rights.push(wiring::nats::EVENTS_SUBJECT.to_owned());
    rights
}

fn receives_signals() -> Vec<String> {
    let mut rights = consumes(SIGNALS_STREAM, wiring::nats::SIGNALS_CONSUMER);
    rights.extend(api(&["STREAM.INFO", "STREAM.MSG.GET", "STREAM.MSG.DELETE"], PARKED_STREAM));
    rights.push(wiring::nats::PARKED_SUBJECT.to_owned());
    rights
}

/// It sees what is parked, takes it away, and has it looked at again: by its number alone, so that it cannot tell anything in the
/// name of a source.
fn looks_after_parked() -> Vec<String> {
    let mut rights = api(&["STREAM.MSG.GET", "STREAM.MSG.DELETE"], PARKED_STREAM);
    rights.push(wiring::nats::REPLAY_SUBJECT.to_owned());
    rights
}

/// A consumer of this name on this stream: made, looked at, read, acknowledged. No other one.
fn consumes(stream: &str, consumer: &str) -> Vec<String> {
    let mut rights = api(&["STREAM.INFO"], stream);
    rights.extend(
        ["CONSUMER.CREATE", "CONSUMER.DURABLE.CREATE", "CONSUMER.INFO", "CONSUMER.MSG.NEXT"]
            .map(|call| format!("$JS.API.{call}.{stream}.{consumer}")),
    );
    // With a filter, the call has the filter's subject as well.
    rights.push(format!("$JS.API.CONSUMER.CREATE.{stream}.{consumer}.>"));
    rights.push(format!("$JS.ACK.{stream}.{consumer}.>"));
    rights
}

/// Reads events: as they come, or by a durable consumer of its own name.
fn subscriber(name: &Name) -> User {
    let consumer = format!("subscriber-{name}");
    let mut rights = consumes(EVENTS_STREAM, &consumer);
    rights.push(format!("$JS.API.CONSUMER.DELETE.{EVENTS_STREAM}.{consumer}"));
    User {
        name: format!("bus-{consumer}"),
        publish: rights,
        subscribe: vec![wiring::nats::EVENTS_SUBJECT.to_owned()],
    }
}
