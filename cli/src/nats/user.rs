//! Which accounts and users there are on the NATS servers, and what each user may do: the least that it needs.
//!
//! Two accounts hold streams: `daypass-log` the log and the key store, `daypass-bus` what is for others. In these is nobody but who
//! makes the streams. Everybody else has an account of their own, from which exactly the subjects that they may publish to lead
//! into one of the two. So they are answered in their own account: a server asks nobody what may be published to the reply that a request names, and
//! a reply in the account of the log could be one of the log's subjects, or a call that deletes it.
//!
//! INVARIANT: nobody may delete, purge, change, seal, snapshot or restore the log, whatever their name; streams of the bus are changed by
//! their maker alone. Each user's answers come to a subject of its own, so that nobody reads those of others.

use journal::types::Service as Writer;
use service_runtime::config::{SOURCE_NAME, is_source_name};
use std::collections::{BTreeMap, BTreeSet};
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
pub(crate) enum Service {
    Request,
    Approval,
    Activation,
    Audit,
    /// `daypass serve`: all of them.
    Serve,
}

/// What a source of signals is called, by the rule of the configuration that names it, or a subscriber. It can be part of a subject, of
/// a file's name and of an account's.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Name(String);

impl std::str::FromStr for Name {
    type Err = &'static str;
    fn from_str(text: &str) -> Result<Self, Self::Err> {
        if is_source_name(text) { Ok(Self(text.to_owned())) } else { Err(SOURCE_NAME) }
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

/// An account: subjects of one do not exist in another, but for what crosses.
pub(super) struct Account {
    pub(super) name: String,
    pub(super) users: Vec<User>,
    /// Whether it has streams.
    pub(super) stores: bool,
    /// What other accounts have of it, and which.
    pub(super) exports: BTreeMap<Crossing, BTreeSet<String>>,
    /// What it has of other accounts, each with which.
    pub(super) imports: BTreeSet<(Crossing, String)>,
}

/// What crosses from one account into another.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Crossing {
    /// Who imports it may publish to this subject there, and is answered at home, whatever reply they name.
    Request(String),
    /// The same, with any number of answers.
    RequestForMany(String),
    /// Who imports it receives what is published to this subject there.
    Messages(String),
    /// Who imports it receives what is delivered there to the subjects of this user's answers.
    Deliveries(String),
}

impl Crossing {
    fn request(subject: &str) -> Self {
        let many = ["$JS.API.DIRECT.GET.", "$JS.API.CONSUMER.MSG.NEXT."];
        if many.iter().any(|call| subject.starts_with(call)) {
            Self::RequestForMany(subject.to_owned())
        } else {
            Self::Request(subject.to_owned())
        }
    }
}

/// A user, and all that it may do.
#[derive(Clone)]
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

/// A user with an account of its own.
struct Guest {
    user: User,
    /// The account in which it does its work.
    host: &'static str,
}

impl Guest {
    fn account_name(&self) -> String {
        format!("daypass-{}", self.user.name)
    }

    fn may_publish(&self, subject: &str) -> bool {
        self.user.publish.iter().any(|right| right == subject)
    }

    /// What it has of its host.
    fn crossings(&self) -> BTreeSet<Crossing> {
        let mut crossings: BTreeSet<Crossing> =
            self.user.publish.iter().map(|subject| Crossing::request(subject)).collect();
        if self.user.publish.iter().any(|right| right.starts_with("$JS.API.")) {
            // A server refuses most calls of accounts without JetStream, unless they have this one of an account with it. No user may
            // make it.
            crossings.insert(Crossing::Request("$JS.API.INFO".to_owned()));
        }
        if self.may_publish(&format!("$JS.API.CONSUMER.CREATE.{LOG_STREAM}")) {
            // The log is followed by a consumer that delivers.
            crossings.insert(Crossing::Deliveries(self.user.name.clone()));
        }
        crossings
    }

    fn hears_events(&self) -> bool {
        self.user.subscribe.iter().any(|subject| subject == wiring::nats::EVENTS_SUBJECT)
    }

    fn account(&self, guests: &[Guest]) -> Account {
        let events = || Crossing::Messages(wiring::nats::EVENTS_SUBJECT.to_owned());
        let tells_events = |guest: &Guest| guest.may_publish(wiring::nats::EVENTS_SUBJECT);
        let mut imports: BTreeSet<(Crossing, String)> =
            self.crossings().into_iter().map(|crossing| (crossing, self.host.to_owned())).collect();
        let mut exports = BTreeMap::new();
        if self.hears_events() {
            let tellers = guests.iter().filter(|guest| tells_events(guest));
            imports.extend(tellers.map(|teller| (events(), teller.account_name())));
        }
        let hearers: BTreeSet<String> =
            guests.iter().filter(|guest| guest.hears_events()).map(Guest::account_name).collect();
        // To none in particular would be to everybody.
        if tells_events(self) && !hearers.is_empty() {
            exports.insert(events(), hearers);
        }
        Account { name: self.account_name(), users: vec![self.user.clone()], stores: false, exports, imports }
    }
}

/// The account of streams, its maker, and what guests have of it.
fn host(name: &'static str, maker: User, guests: &[Guest]) -> Account {
    let mut exports: BTreeMap<Crossing, BTreeSet<String>> = BTreeMap::new();
    for guest in guests.iter().filter(|guest| guest.host == name) {
        for crossing in guest.crossings() {
            exports.entry(crossing).or_default().insert(guest.account_name());
        }
    }
    Account { name: name.to_owned(), users: vec![maker], stores: true, exports, imports: BTreeSet::new() }
}

impl Deployment {
    pub(super) fn accounts(&self) -> Vec<Account> {
        let guests = self.guests();
        let makes_log = [makes(LOG_STREAM), makes(KEYS_STREAM), reads_log(), erases_keys()].concat();
        let makes_bus =
            [EVENTS_STREAM, SIGNALS_STREAM, PARKED_STREAM].into_iter().flat_map(makes_and_bounds).collect();
        let mut accounts = vec![
            host(LOG, User::new("log-setup", makes_log), &guests),
            host(BUS, User::new("bus-setup", makes_bus), &guests),
        ];
        accounts.extend(guests.iter().map(|guest| guest.account(&guests)));
        accounts
    }

    fn guests(&self) -> Vec<Guest> {
        let mut in_log: Vec<User> = self.services.iter().map(|service| service.in_log()).collect();
        in_log.push(User::new("log-backup", reads_log()));
        let mut in_bus: Vec<User> = self.services.iter().filter_map(|service| service.in_bus()).collect();
        in_bus.extend(self.subscribers.iter().map(subscriber));
        in_bus.push(User::new("bus-operator", looks_after_parked()));
        // The name of such a user's account is told to `signals.sources.nats_account`.
        in_bus.extend(
            self.signal_sources
                .iter()
                .map(|source| User::new(format!("signal-{source}"), vec![signals_of(source)])),
        );
        let guests = |host, users: Vec<User>| users.into_iter().map(move |user| Guest { user, host });
        guests(LOG, in_log).chain(guests(BUS, in_bus)).collect()
    }
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

/// What is on the bus can be lost; that it has a limit of bytes keeps the log's room.
fn makes_and_bounds(stream: &str) -> Vec<String> {
    [makes(stream), api(&["STREAM.UPDATE"], stream)].concat()
}

fn publishes_events() -> Vec<String> {
    let mut rights = api(&["STREAM.INFO", "STREAM.MSG.GET"], EVENTS_STREAM);
    rights.push(wiring::nats::EVENTS_SUBJECT.to_owned());
    rights
}

fn receives_signals() -> Vec<String> {
    let mut rights = consumes(SIGNALS_STREAM, wiring::nats::SIGNALS_CONSUMER);
    // A message that no client can be brought is fetched, and taken away as others are by being acknowledged.
    rights.extend(api(&["STREAM.MSG.GET", "STREAM.MSG.DELETE"], SIGNALS_STREAM));
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
