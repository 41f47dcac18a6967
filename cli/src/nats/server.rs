//! The configuration of nats-server, in its own format.

use super::user::{Account, Crossing};
use std::collections::{BTreeMap, BTreeSet};
use std::fmt::{self, Write as _};
use std::path::PathBuf;

/// What all servers have in common.
pub(super) const ACCOUNTS_FILE: &str = "accounts.conf";
/// By which password servers of a cluster know each other.
pub(super) const ROUTES: &str = "routes";

const CLIENT_PORT: u16 = 4222;
const ROUTE_PORT: u16 = 6222;
const MONITORING_PORT: u16 = 8222;
/// The largest message: an event of at most 512 KiB, with room for its headers.
const PAYLOAD_BYTES_MAX: u32 = 1024 * 1024;

const HEADER: &str =
    "# Written by `daypass nats config`, which writes it anew: change its options, not this file.\n";

/// The host name of a server; also its name among servers.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Host(String);

impl std::str::FromStr for Host {
    type Err = &'static str;
    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let fits = (1..=253).contains(&text.len()) && text.starts_with(|c: char| c.is_ascii_alphanumeric());
        if fits && text.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'-' || byte == b'.') {
            Ok(Self(text.to_owned()))
        } else {
            Err("must be a host name without a port")
        }
    }
}

impl fmt::Display for Host {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// One server, or a cluster.
pub(super) struct Servers {
    pub(super) hosts: BTreeSet<Host>,
    pub(super) store: PathBuf,
    pub(super) tls: Option<PathBuf>,
}

impl Servers {
    /// The file of one server. `routes`: the password between servers of a cluster.
    pub(super) fn text(&self, host: &Host, routes: Option<&str>) -> String {
        let mut text = format!(
            "{HEADER}\nserver_name: {}\nlisten: \"0.0.0.0:{CLIENT_PORT}\"\n\
             # Which version runs, and that it syncs: services ask here. It shows no message; keep it from everybody else.\n\
             http: \"0.0.0.0:{MONITORING_PORT}\"\nmax_payload: {PAYLOAD_BYTES_MAX}\n\
             # What is acknowledged is on the disk.\njetstream {{\n  store_dir: {}\n  sync_interval: always\n}}\n",
            quoted(&host.to_string()),
            quoted(&self.store.display().to_string()),
        );
        text += &self.tls_block(0);
        if let Some(password) = routes {
            text += &self.cluster(password);
        }
        let _ = writeln!(text, "include {}", quoted(ACCOUNTS_FILE));
        text
    }

    fn cluster(&self, password: &str) -> String {
        let mut text = format!(
            "cluster {{\n  name: \"daypass\"\n  listen: \"0.0.0.0:{ROUTE_PORT}\"\n\
             \x20 authorization {{ user: \"{ROUTES}\", password: {}, timeout: 5 }}\n{}  routes: [\n",
            quoted(password),
            self.tls_block(2),
        );
        for host in &self.hosts {
            let _ = writeln!(text, "    \"nats-route://{ROUTES}:{password}@{host}:{ROUTE_PORT}\"");
        }
        text + "  ]\n}\n"
    }

    /// For clients the server shows who it is; servers of a cluster show each other.
    fn tls_block(&self, indent: usize) -> String {
        let Some(folder) = &self.tls else { return String::new() };
        let file = |name: &str| quoted(&folder.join(name).display().to_string());
        let verify = if indent > 0 { ", verify: true" } else { "" };
        format!(
            "{:indent$}tls {{ cert_file: {}, key_file: {}, ca_file: {}{verify} }}\n",
            "",
            file("tls.crt"),
            file("tls.key"),
            file("ca.crt"),
        )
    }
}

/// The accounts, with the public keys of their users.
pub(super) fn accounts_text(accounts: &[Account], public_keys: &BTreeMap<String, String>) -> String {
    let mut text = format!("{HEADER}\naccounts {{\n");
    for account in accounts {
        let _ = writeln!(text, "  {}: {{", quoted(&account.name));
        if account.stores {
            text += "    jetstream: enabled\n";
        }
        let exports = account.exports.iter().filter_map(|(crossing, to)| {
            let (kind, subject) = crossing_text(crossing, public_keys)?;
            let many =
                if matches!(crossing, Crossing::RequestForMany(_)) { ", response_type: stream" } else { "" };
            Some(format!("{{ {kind}: {}, accounts: [{}]{many} }}", quoted(&subject), list(to)))
        });
        block(&mut text, "exports", exports.collect());
        let imports = account.imports.iter().filter_map(|(crossing, from)| {
            let (kind, subject) = crossing_text(crossing, public_keys)?;
            Some(format!("{{ {kind}: {{ account: {}, subject: {} }} }}", quoted(from), quoted(&subject)))
        });
        block(&mut text, "imports", imports.collect());
        text += "    users: [\n";
        for user in &account.users {
            let Some(key) = public_keys.get(&user.name) else { continue };
            let answers = [answers_to(key)];
            let _ = write!(
                text,
                "      # {}\n      {{ nkey: {key}, permissions: {{\n        publish: {{ allow: [{}] }}\n        \
                 subscribe: {{ allow: [{}] }}\n      }} }}\n",
                user.name,
                list(&user.publish),
                list(answers.iter().chain(&user.subscribe)),
            );
        }
        text += "    ]\n  }\n";
    }
    text + "}\n"
}

/// What crosses, in the words of the configuration: its kind, and its subject.
fn crossing_text(
    crossing: &Crossing,
    public_keys: &BTreeMap<String, String>,
) -> Option<(&'static str, String)> {
    Some(match crossing {
        Crossing::Request(subject) | Crossing::RequestForMany(subject) => ("service", subject.clone()),
        Crossing::Messages(subject) => ("stream", subject.clone()),
        Crossing::Deliveries(user) => ("stream", answers_to(public_keys.get(user)?)),
    })
}

/// The subjects that a user's answers come to.
fn answers_to(public_key: &str) -> String {
    format!("{}.>", wiring::nats::answers_to(public_key))
}

fn block(text: &mut String, name: &str, lines: Vec<String>) {
    if !lines.is_empty() {
        let _ = writeln!(text, "    {name}: [");
        for line in lines {
            let _ = writeln!(text, "      {line}");
        }
        *text += "    ]\n";
    }
}

fn list<'a>(subjects: impl IntoIterator<Item = &'a String>) -> String {
    let subjects: BTreeSet<String> = subjects.into_iter().map(|subject| quoted(subject)).collect();
    subjects.into_iter().collect::<Vec<_>>().join(", ")
}

/// Subjects, names and paths have neither quotes nor backslashes that the format would read otherwise than JSON does.
fn quoted(text: &str) -> String {
    serde_json::Value::from(text).to_string()
}
