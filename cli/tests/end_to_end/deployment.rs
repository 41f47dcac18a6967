//! The two ways to run Daypass, and their configuration.

use crate::program::Program;
use crate::world::World;
use std::path::{Path, PathBuf};
use test_servers::nats::{NatsOptions, NatsServer};
use test_servers::oidc::AUDIENCE;
use test_servers::organisation::REGION;
use test_servers::process::free_port;

/// The origin that may call from a browser.
pub(crate) const PORTAL: &str = "https://portal.example";

/// The services, in the order that each finds its neighbours in.
const SERVICES: [&str; 4] = ["daypass-request", "daypass-approval", "daypass-activation", "daypass-audit"];

/// Daypass, running.
pub(crate) struct Deployment {
    programs: Vec<Program>,
    /// The log: a file, or a server.
    pub(crate) log: String,
    /// The key store that the processes share.
    pub(crate) keys: PathBuf,
    /// The server that the log is on, if it is on one.
    pub(crate) nats: Option<NatsServer>,
}

/// Which service a call is for.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Service {
    Request,
    Approval,
    Activation,
    Audit,
}

impl Deployment {
    /// `daypass serve`: all services in one process.
    pub(crate) async fn serve_on_sqlite(world: &World) -> Self {
        let log = world.folder().join("log.db");
        let (port, listen) = listen();
        let config = [
            listen,
            format!("[log]\nengine = \"sqlite\"\npath = {}\n", quoted(&log)),
            data(world, "serve"),
            aws(world),
            format!("[policy]\nseed_file = {}\n", quoted(&world.policy_file())),
            common(world),
        ];
        let config = written(world, "serve", &config);
        let arguments = vec!["serve".into(), "--config".into(), config];
        let serve = Program::new("daypass", arguments, port);
        let deployment =
            Self { programs: vec![serve], log: log.display().to_string(), keys: keys(world), nats: None };
        deployment.started().await
    }

    /// Four processes that meet only through gRPC and the log.
    pub(crate) async fn four_processes_on_jetstream(world: &World) -> Self {
        Self::on_jetstream(world, &SERVICES).await
    }

    /// The same, and a second replica of activation.
    pub(crate) async fn two_activations_on_jetstream(world: &World) -> Self {
        let names: Vec<&'static str> = SERVICES.into_iter().chain(["daypass-activation"]).collect();
        Self::on_jetstream(world, &names).await
    }

    /// The replicas of activation.
    pub(crate) fn activations(&mut self) -> [&mut Program; 2] {
        match self.programs.as_mut_slice() {
            [_, _, one, _, other] => [one, other],
            _ => panic!("there are not two"),
        }
    }

    async fn on_jetstream(world: &World, names: &[&'static str]) -> Self {
        let nats = NatsServer::start(NatsOptions::default()).await.unwrap();
        let log = format!(
            "[log]\nengine = \"jetstream\"\nservers = [{:?}]\nreplicas = 1\ndev = true\nmonitoring_urls = [{:?}]\n",
            nats.url(),
            nats.monitoring_url().unwrap(),
        );
        let mut programs: Vec<Program> = Vec::new();
        for (place, &name) in names.iter().enumerate() {
            let (address, listen) = listen();
            let folder = format!("{place}-{name}");
            let mut config = vec![listen, log.clone(), data(world, &folder), common(world)];
            match name {
                "daypass-request" | "daypass-activation" => config.push(aws(world)),
                "daypass-approval" => {
                    config.push(format!("[policy]\nseed_file = {}\n", quoted(&world.policy_file())));
                }
                _ => {}
            }
            if let Some(request) = programs.first() {
                config.push(format!("[neighbours.request]\naddress = {:?}\n", request.address()));
                config.push(client_credentials(world, name));
            }
            let config = written(world, &folder, &config);
            programs.push(Program::new(name, vec!["--config".into(), config], address));
        }
        let log = nats.url();
        Self { programs, log, keys: keys(world), nats: Some(nats) }.started().await
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

    /// Where a service answers.
    pub(crate) fn address(&self, service: Service) -> &str {
        let place = match service {
            Service::Request => 0,
            Service::Approval => 1,
            Service::Activation => 2,
            Service::Audit => 3,
        };
        let program = self.programs.get(place).or(self.programs.first());
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
        words
    }

    /// What the processes wrote last, for the message of a failing test.
    pub(crate) fn log_tail(&self) -> String {
        self.programs.iter().map(Program::log_tail).collect()
    }
}

/// An address on a port that is free, and the section that takes it.
fn listen() -> (String, String) {
    let port = free_port().unwrap();
    let section = format!(
        "[server]\nlisten = \"127.0.0.1:{port}\"\nreflection = true\nweb = {{ origins = [{PORTAL:?}] }}\n"
    );
    (format!("http://127.0.0.1:{port}"), section)
}

/// A path as TOML has it.
fn quoted(path: &Path) -> String {
    format!("{:?}", path.display().to_string())
}

fn keys(world: &World) -> PathBuf {
    world.folder().join("keys.db")
}

fn data(world: &World, name: &str) -> String {
    format!("[data]\nfolder = {}\nkeys = {}\n", quoted(&world.folder().join(name)), quoted(&keys(world)))
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

/// Who vouches for people, and who is what.
fn common(world: &World) -> String {
    let groups = &world.organisation.groups;
    let services = SERVICES
        .map(|name| format!("{{ issuer = {:?}, subject = {name:?} }}", world.oidc.issuer()))
        .join(", ");
    format!(
        "[roles]\nadministrators = [\"identity-store:{}\"]\nauditors = [\"idp:auditors\"]\nservices = [{services}]\n\
         [telemetry]\nfilter = \"info\"\n{}",
        groups.admins,
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
