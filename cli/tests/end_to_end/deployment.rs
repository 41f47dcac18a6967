//! The two ways to run Daypass, and their configuration.

use crate::nats::{HR, Nats};
use crate::previous::Previous;
use crate::program::{Program, endpoint, program};
use crate::world::World;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;
use test_servers::certificates::{Authority, Files};
use test_servers::oidc::AUDIENCE;
use test_servers::organisation::REGION;
use test_servers::process::free_port;
use tonic::Status;
use tonic::transport::Endpoint;
use wiring::KeysSection;

/// The origin that may call from a browser.
pub(crate) const PORTAL: &str = "https://portal.example";

/// The services, in the order that each finds its neighbours in.
const SERVICES: [&str; 4] = ["daypass-request", "daypass-approval", "daypass-activation", "daypass-audit"];

/// The write level of the release before, as tests play it.
pub(crate) const OLD_WRITE_LEVEL: u32 = journal::level::FIRST;

/// Longer than any test.
const CERTIFICATE_LIFE: Duration = Duration::from_hours(1);

/// How Daypass runs as processes of their own.
#[derive(Clone, Debug)]
pub(crate) struct Apart {
    /// Of every service.
    pub(crate) replicas: usize,
    /// Services know each other by certificates, and not by tokens.
    pub(crate) certificates: bool,
    /// The log is on three servers, and not on one.
    pub(crate) cluster: bool,
    /// Where traces go.
    pub(crate) collector: Option<String>,
    /// What is written at most.
    pub(crate) write_level: Option<u32>,
    /// Where `request` hears the bus, who is believed there: sections of the configuration.
    pub(crate) signals: Option<&'static str>,
}

impl Default for Apart {
    /// One of each, by tokens.
    fn default() -> Self {
        Self {
            replicas: 1,
            certificates: false,
            cluster: false,
            collector: None,
            write_level: None,
            signals: None,
        }
    }
}

/// Daypass, running.
pub(crate) struct Deployment {
    /// By service, and of each its replicas.
    programs: Vec<Program>,
    replicas: usize,
    /// Who vouches for the servers' certificates, if they have any.
    pub(crate) ca: Option<PathBuf>,
    /// Calls go to one replica after the other.
    turn: AtomicUsize,
    /// The log: a file, or a server.
    pub(crate) log: String,
    /// The key store that the processes share.
    pub(crate) keys: KeysSection,
    /// The servers that the log is on, if it is on any.
    pub(crate) nats: Option<Nats>,
}

/// Which service a call is for.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Service {
    Request,
    Approval,
    Activation,
    Audit,
}

impl Service {
    /// Its place among [`SERVICES`].
    pub(crate) const fn place(self) -> usize {
        match self {
            Self::Request => 0,
            Self::Approval => 1,
            Self::Activation => 2,
            Self::Audit => 3,
        }
    }
}

impl Deployment {
    /// `daypass serve`: all services in one process.
    pub(crate) async fn serve_on_sqlite(world: &World) -> Self {
        let (log, keys) = (world.folder().join("log.db"), world.folder().join("keys.db"));
        let sections = format!(
            "[log]\nengine = \"sqlite\"\npath = {}\n\n[keys]\nengine = \"sqlite\"\npath = {}\n",
            quoted(&log),
            quoted(&keys),
        );
        let keys = KeysSection::Sqlite { path: keys };
        Self::serve(world, sections, log.display().to_string(), keys, None).await
    }

    /// The same, with its log, its keys and its bus on a cluster of three. HR tells on the bus who leaves.
    pub(crate) async fn serve_on_a_cluster(world: &World) -> Self {
        Self::serve_on_nats(world, true, HR).await
    }

    /// The same on one server, and nobody is believed on the bus.
    pub(crate) async fn serve_without_sources(world: &World) -> Self {
        Self::serve_on_nats(world, false, "").await
    }

    async fn serve_on_nats(world: &World, cluster: bool, sources: &str) -> Self {
        let nats = Nats::secured(world.folder().join("nats-of-serve"), cluster).await;
        let sections = [nats.sections("daypass-serve"), nats.bus("bus-serve") + sources].join("\n");
        let (log, keys) = (nats.urls().join(","), nats.keys());
        Self::serve(world, sections, log, keys, Some(nats)).await
    }

    async fn serve(
        world: &World,
        sections: String,
        log: String,
        keys: KeysSection,
        nats: Option<Nats>,
    ) -> Self {
        let port = free_port().unwrap();
        let config = [
            listen_at(port),
            sections,
            data(world, "serve"),
            aws(world),
            format!("[policy]\nseed_file = {}\n", quoted(&world.policy_file())),
            common(world, None),
        ];
        let config = written(world, "serve", &config);
        let arguments = vec!["serve".into(), "--config".into(), config];
        let serve = Program::new("daypass", arguments, format!("http://127.0.0.1:{port}"));
        let deployment =
            Self { programs: vec![serve], replicas: 1, ca: None, turn: AtomicUsize::new(0), log, keys, nats };
        deployment.started().await
    }

    /// Processes that meet only through gRPC and the log.
    pub(crate) async fn apart(world: &World, how: Apart) -> Self {
        Self::apart_unstarted(world, how).await.started().await
    }

    /// The same, not running yet.
    pub(crate) async fn apart_unstarted(world: &World, how: Apart) -> Self {
        let nats = Nats::secured(world.folder().join("nats"), how.cluster).await;
        let authority = how.certificates.then(|| Authority::new(world.folder(), "ca").unwrap());
        let ca = authority.as_ref().map(|authority| authority.file.clone());
        let mut programs: Vec<Program> = Vec::new();
        for (name, replica) in SERVICES.into_iter().flat_map(|name| (0..how.replicas).map(move |n| (name, n)))
        {
            let port = free_port().unwrap();
            let folder = format!("{name}-{replica}");
            let mut config = vec![nats.sections(name), data(world, &folder), upgrade(how.write_level)];
            let address = match &authority {
                None => {
                    config.insert(0, listen_at(port));
                    config.push(common(world, how.collector.as_deref()));
                    format!("http://127.0.0.1:{port}")
                }
                Some(authority) => {
                    let id = spiffe_id(name);
                    let own = authority.issue(&folder, &["127.0.0.1"], &[&id], CERTIFICATE_LIFE).unwrap();
                    config.insert(0, listen_at(port) + &tls(&own, &authority.file));
                    config.push(common_by_certificate(world, how.collector.as_deref(), &own));
                    format!("https://127.0.0.1:{port}")
                }
            };
            match name {
                "daypass-request" => {
                    config.push(aws(world));
                    config.extend(how.signals.map(|sources| nats.bus("bus-request") + sources));
                }
                "daypass-activation" => config.push(aws(world)),
                "daypass-approval" => {
                    config.push(format!("[policy]\nseed_file = {}\n", quoted(&world.policy_file())));
                }
                _ => {}
            }
            if name != "daypass-request" {
                let requests: Vec<&str> = programs.iter().take(how.replicas).map(Program::address).collect();
                config.push(format!("[neighbours.request]\naddress = {requests:?}\n"));
                match &authority {
                    None => config.push(client_credentials(world, name)),
                    Some(authority) => config.push(format!(
                        "ca_file = {}\nspiffe_id = {:?}\n",
                        quoted(&authority.file),
                        spiffe_id("daypass-request")
                    )),
                }
            }
            let config = written(world, &folder, &config);
            let program = Program::new(name, vec!["--config".into(), config], address);
            programs.push(program.under(ca.clone()));
        }
        let (log, keys) = (nats.urls().join(","), nats.keys());
        Self { programs, replicas: how.replicas, log, keys, nats: Some(nats), ca, turn: AtomicUsize::new(0) }
    }

    /// Every process.
    pub(crate) fn programs(&mut self) -> &mut [Program] {
        &mut self.programs
    }

    /// Processes that have this name.
    pub(crate) fn named(&mut self, name: &str) -> impl Iterator<Item = &mut Program> {
        self.programs.iter_mut().filter(move |program| program.name() == name)
    }

    /// From the next start on, the process at this place is of the release before, with as much of its configuration as that
    /// understands; `None`: of this release.
    pub(crate) fn set_release(&mut self, world: &World, place: usize, previous: Option<&Previous>) {
        let file = self.config_file(world, place);
        let process = self.programs.get_mut(place).unwrap();
        let name = process.name();
        match previous {
            None => process.becomes(program(name), file),
            Some(previous) => process.becomes(previous.program(name), previous.configuration(&file)),
        }
    }

    /// From the next start on, the process at this place writes the newest types.
    pub(crate) fn raise_write_level(&self, world: &World, place: usize) {
        let file = self.config_file(world, place);
        let text = std::fs::read_to_string(&file).unwrap();
        let (before, after) = text.split_once(&upgrade(Some(OLD_WRITE_LEVEL))).unwrap();
        let raised = upgrade(Some(journal::level::NEWEST));
        std::fs::write(&file, format!("{before}{raised}{after}")).unwrap();
    }

    /// From its next start on, the process at this place believes what HR tells on the bus.
    pub(crate) fn believe_hr(&self, world: &World, place: usize) {
        let file = self.config_file(world, place);
        let text = std::fs::read_to_string(&file).unwrap();
        std::fs::write(&file, format!("{text}\n{HR}")).unwrap();
    }

    /// What the process at this place is told, apart from the others.
    fn config_file(&self, world: &World, place: usize) -> PathBuf {
        let name = self.programs.get(place).unwrap().name();
        world.folder().join(format!("{name}-{}.toml", place % self.replicas))
    }

    /// From its next start on, the process at this place finds the server of the log at another address.
    pub(crate) fn reroute(&self, world: &World, place: usize, address: SocketAddr) {
        let file = self.config_file(world, place);
        let text = std::fs::read_to_string(&file).unwrap();
        assert!(text.contains(&self.log), "one server: {text}");
        std::fs::write(&file, text.replace(&self.log, &format!("nats://{address}"))).unwrap();
    }

    async fn started(mut self) -> Self {
        self.restart().await;
        self
    }

    /// `kill -9` for every process.
    pub(crate) fn kill(&mut self) {
        self.programs.iter_mut().filter(|program| program.is_running()).for_each(Program::kill);
    }

    /// Starts every process, and waits until all are ready.
    pub(crate) async fn restart(&mut self) {
        self.programs.iter_mut().for_each(Program::launch);
        for program in &mut self.programs {
            program.until_ready().await;
        }
    }

    /// Where a service answers: one replica of it, always the same.
    pub(crate) fn address(&self, service: Service) -> &str {
        self.replica(service, 0)
    }

    /// The way to a service: to another replica each time.
    pub(crate) fn endpoint(&self, service: Service) -> Endpoint {
        let turn = self.turn.fetch_add(1, Ordering::Relaxed);
        endpoint(self.replica(service, turn % self.replicas), self.ca.as_deref())
    }

    /// Where each replica of a service answers.
    pub(crate) fn addresses(&self, service: Service) -> Vec<&str> {
        (0..self.replicas).map(|replica| self.replica(service, replica)).collect()
    }

    fn replica(&self, service: Service, replica: usize) -> &str {
        let program = self.programs.get(service.place() * self.replicas + replica).or(self.programs.first());
        program.unwrap().address()
    }

    /// How to tell the command line where the services are.
    pub(crate) fn servers(&self) -> Vec<String> {
        let mut words = vec!["--server".to_owned(), self.address(Service::Request).to_owned()];
        if self.programs.len() > 1 {
            for (option, service) in [
                ("--approval-server", Service::Approval),
                ("--activation-server", Service::Activation),
                ("--audit-server", Service::Audit),
            ] {
                words.extend([option.to_owned(), self.address(service).to_owned()]);
            }
        }
        if let Some(ca) = &self.ca {
            words.extend(["--ca-file".to_owned(), ca.display().to_string()]);
        }
        words
    }

    /// What was answered. Where that is a no, the test fails with what the processes wrote.
    pub(crate) fn yes<T>(&self, answer: Result<T, Status>) -> T {
        answer.unwrap_or_else(|status| panic!("{status}\n{}", self.log_tail()))
    }

    /// What the processes wrote last, for the message of a failing test.
    pub(crate) fn log_tail(&self) -> String {
        self.programs.iter().map(Program::log_tail).collect()
    }
}

fn listen_at(port: u16) -> String {
    format!(
        "[server]\nlisten = \"127.0.0.1:{port}\"\nreflection = true\nweb = {{ origins = [{PORTAL:?}] }}\n"
    )
}

fn tls(own: &Files, ca: &Path) -> String {
    format!(
        "tls = {{ certificate_file = {}, key_file = {}, client_ca_file = {}, client_certificate = \"optional\" }}\n",
        quoted(&own.certificate),
        quoted(&own.key),
        quoted(ca),
    )
}

/// `daypass-request` → `spiffe://daypass.test/daypass/request`.
fn spiffe_id(name: &str) -> String {
    format!("spiffe://daypass.test/{}", name.replacen('-', "/", 1))
}

fn upgrade(write_level: Option<u32>) -> String {
    write_level.map(|level| format!("[upgrade]\nwrite_level = {level}\n")).unwrap_or_default()
}

/// A path as TOML has it.
fn quoted(path: &Path) -> String {
    format!("{:?}", path.display().to_string())
}

fn data(world: &World, name: &str) -> String {
    format!("[data]\nfolder = {}\n", quoted(&world.folder().join(name)))
}

fn aws(world: &World) -> String {
    let secret = quoted(&world.secret_file("aws", "example"));
    format!(
        "[aws]\nregion = {REGION:?}\nendpoint_url = {:?}\ninstance_arn = {:?}\nidentity_store_id = {:?}\n\
         access_key_id = \"AKIAEXAMPLE\"\nsecret_access_key = {{ file = {secret} }}\ndirectory_refresh_seconds = 5\n",
        world.aws_endpoint(),
        world.organisation.instance_arn,
        world.organisation.identity_store_id,
    )
}

/// Who vouches for people, and who is what: services by their tokens.
fn common(world: &World, collector: Option<&str>) -> String {
    let service = |name| format!("{{ issuer = {:?}, subject = {name:?} }}", world.oidc.issuer());
    who_is_what(world, collector, &SERVICES.map(service).join(", "))
}

/// The same, where services show certificates, and this one its own.
fn common_by_certificate(world: &World, collector: Option<&str>, own: &Files) -> String {
    let services = SERVICES.map(|name| format!("{{ spiffe_id = {:?} }}", spiffe_id(name))).join(", ");
    let own = format!(
        "[client_certificate]\ncertificate_file = {}\nkey_file = {}\n",
        quoted(&own.certificate),
        quoted(&own.key)
    );
    own + &who_is_what(world, collector, &services)
}

fn who_is_what(world: &World, collector: Option<&str>, services: &str) -> String {
    let collector = collector.map(|endpoint| format!("otlp_endpoint = {endpoint:?}\n")).unwrap_or_default();
    format!(
        "[roles]\nadministrators = [\"identity-store:{}\"]\nauditors = [\"idp:auditors\"]\nservices = [{services}]\n\
         [telemetry]\nfilter = \"info\"\n{collector}{}",
        world.organisation.groups.admins,
        world.oidc.issuer_toml(),
    )
}

fn client_credentials(world: &World, name: &str) -> String {
    let secret = quoted(&world.secret_file(name, &world.oidc.client_secret(name)));
    format!(
        "[client_credentials]\ntoken_url = \"{}/token\"\nclient_id = {name:?}\nclient_secret = {{ file = {secret} }}\n\
         scope = \"daypass\"\nresource = {AUDIENCE:?}\n",
        world.oidc.issuer(),
    )
}

fn written(world: &World, name: &str, sections: &[String]) -> PathBuf {
    let file = world.folder().join(Path::new(name).with_extension("toml"));
    std::fs::write(&file, sections.join("\n")).unwrap();
    file
}
