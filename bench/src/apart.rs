//! The four services as processes of their own, as they are deployed, with log, keys and bus on one nats-server. Beside them the AWS and
//! the identity provider that they need, which are not measured.

use crate::daypass::{Bearer, channels, is_serving, program, with};
use crate::{Failed, create, memory};
use api::request::v1::request_service_client::RequestServiceClient;
use futures::{StreamExt as _, TryStreamExt as _};
use std::path::{Path, PathBuf};
use std::process::Command;
use tempfile::TempDir;
use test_servers::moto::Moto;
use test_servers::nats::{NatsOptions, NatsServer};
use test_servers::oidc::{AUDIENCE, OidcOptions, OidcProvider};
use test_servers::organisation::{Organisation, REGION};
use test_servers::process::{Process, free_port};
use tonic::transport::Endpoint;

/// The request service first: the others get the directory from it.
const SERVICES: [&str; 4] = ["daypass-request", "daypass-approval", "daypass-activation", "daypass-audit"];
/// Requests that are raised at a time.
const CALLERS: usize = 16;

/// The services, running; they end with this value.
pub(crate) struct Apart {
    /// Before what they rest on: they are gone first.
    services: Vec<Service>,
    around: Around,
}

struct Service {
    name: &'static str,
    url: String,
    process: Process,
}

/// What there is besides Daypass.
struct Around {
    nats: NatsServer,
    moto: Moto,
    organisation: Organisation,
    oidc: OidcProvider,
    folder: TempDir,
}

impl Apart {
    /// Starts the services on free ports, and waits until each says SERVING.
    pub(crate) async fn start() -> Result<Self, Failed> {
        let around = Around::start().await?;
        let mut configured: Vec<(&'static str, String, PathBuf)> = Vec::new();
        for name in SERVICES {
            let port = free_port()?;
            let request = configured.first().map(|(_, url, _)| url.as_str());
            let text = around.config(name, port, request)?;
            let config = around.file(&format!("{name}.toml"), &text)?;
            configured.push((name, format!("http://127.0.0.1:{port}"), config));
        }
        // Not before: files that several read are written for each.
        let mut services = Vec::new();
        for (name, url, config) in configured {
            let mut command = Command::new(program(name)?);
            // What is configured is in the file: nothing comes from the environment of whoever measures.
            command.arg("--config").arg(config).env_clear();
            let process = Process::spawn(name, &mut command, tempfile::tempdir()?)?;
            services.push(Service { name, url, process });
        }
        for service in &mut services {
            let endpoint = Endpoint::from_shared(service.url.clone())?;
            service.process.until(|| is_serving(endpoint.clone())).await?;
        }
        Ok(Self { services, around })
    }

    /// Of each service its name, and its resident memory in MiB: now, and at most so far.
    pub(crate) fn memory(&self) -> Result<Vec<(&'static str, f64, f64)>, Failed> {
        let each = self.services.iter().map(|service| {
            let (now, most) = memory::of(service.process.pid())?;
            Ok::<_, Failed>((service.name, now, most))
        });
        each.collect()
    }

    /// Ada raises so many requests, which nobody decides.
    pub(crate) async fn raise(&self, requests: usize) -> Result<(), Failed> {
        let Around { organisation, oidc, .. } = &self.around;
        let url = &self.services.first().ok_or("no request service")?.url;
        let token = oidc.sign_in("ada").await?.access_token;
        let bearer: Bearer = format!("Bearer {token}").parse()?;
        let channels = channels(url, CALLERS).await?;
        let (account, set) = (&organisation.accounts.playground, &organisation.permission_sets.read_only);
        futures::stream::iter(0..requests)
            .map(|number| {
                let channel = channels.get(number % channels.len()).cloned();
                let request = with(&bearer, create::ask(format!("memory-{number}"), account, set));
                async move {
                    RequestServiceClient::new(channel.ok_or("no channel")?).create_request(request).await?;
                    Ok::<_, Failed>(())
                }
            })
            .buffer_unordered(CALLERS)
            .try_collect::<Vec<()>>()
            .await?;
        Ok(())
    }
}

impl Around {
    async fn start() -> Result<Self, Failed> {
        let nats = NatsServer::start(NatsOptions::default()).await?;
        let moto = Moto::start().await?;
        let organisation = Organisation::fill(moto.endpoint()).await?;
        let options = OidcOptions { directory_ids: organisation.users.clone(), ..OidcOptions::default() };
        let oidc = OidcProvider::start(options).await?;
        Ok(Self { nats, moto, organisation, oidc, folder: tempfile::tempdir()? })
    }

    /// The configuration of a service; `request`: where the request service answers, for the others.
    fn config(&self, name: &str, port: u16, request: Option<&str>) -> Result<String, Failed> {
        let (server, monitoring) = (self.nats.url(), self.nats.monitoring_url().ok_or("no monitoring")?);
        let on_nats = format!("engine = \"jetstream\"\nservers = [{server:?}]\nreplicas = 1\ndev = true\n");
        let wrapping_keys = self.file("wrapping.keys", &"5a".repeat(32))?;
        let issuer = self.oidc.issuer();
        let services =
            SERVICES.map(|name| format!("{{ issuer = {issuer:?}, subject = {name:?} }}")).join(", ");
        let mut sections = vec![
            format!("[server]\nlisten = \"127.0.0.1:{port}\"\n"),
            format!("[log]\n{on_nats}monitoring_urls = [{monitoring:?}]\n"),
            format!("[keys]\n{on_nats}wrapping_keys_file = {}\n", quoted(&wrapping_keys)),
            format!("[data]\nfolder = {}\n", quoted(&self.folder.path().join(name))),
            format!("[roles]\nservices = [{services}]\n"),
            self.oidc.issuer_toml(),
        ];
        if let Some(request) = request {
            sections.push(format!("[neighbours.request]\naddress = {request:?}\n"));
            sections.push(self.client_credentials(name)?);
        }
        match name {
            "daypass-request" => {
                sections.push(self.aws()?);
                // One person asks for everything.
                sections.push("[requests]\npending_per_person_max = 1000000\n".to_owned());
            }
            "daypass-approval" => {
                let policy = self.file("policy.toml", &policy(&self.organisation))?;
                sections.push(format!("[policy]\nseed_file = {}\n", quoted(&policy)));
            }
            "daypass-activation" => sections.push(self.aws()?),
            _ => sections.push(format!("[bus]\nservers = [{server:?}]\nreplicas = 1\n")),
        }
        Ok(sections.join("\n"))
    }

    fn aws(&self) -> Result<String, Failed> {
        let secret = self.file("secret-of-aws", "example")?;
        Ok(format!(
            "[aws]\nregion = {REGION:?}\nendpoint_url = {:?}\ninstance_arn = {:?}\nidentity_store_id = {:?}\n\
             access_key_id = \"AKIAEXAMPLE\"\nsecret_access_key = {{ file = {} }}\n",
            self.moto.endpoint(),
            self.organisation.instance_arn,
            self.organisation.identity_store_id,
            quoted(&secret),
        ))
    }

    fn client_credentials(&self, name: &str) -> Result<String, Failed> {
        let secret = self.file(&format!("secret-of-{name}"), &self.oidc.client_secret(name))?;
        Ok(format!(
            "[client_credentials]\ntoken_url = \"{}/token\"\nclient_id = {name:?}\nclient_secret = {{ file = {} }}\n\
             scope = \"daypass\"\nresource = {AUDIENCE:?}\n",
            self.oidc.issuer(),
            quoted(&secret),
        ))
    }

    fn file(&self, name: &str, text: &str) -> Result<PathBuf, Failed> {
        let file = self.folder.path().join(name);
        std::fs::write(&file, text)?;
        Ok(file)
    }
}

/// A path as TOML has it.
fn quoted(path: &Path) -> String {
    format!("{:?}", path.display().to_string())
}

/// Lets Ada ask for one thing, to which an approver has to agree.
fn policy(organisation: &Organisation) -> String {
    let Organisation { accounts, permission_sets, groups, .. } = organisation;
    format!(
        "[[rules]]\nid = \"measured\"\nrequesters = {{ groups = [\"identity-store:{}\"] }}\n\
         targets = {{ accounts = [{:?}], permission_sets = [{:?}] }}\nduration_max = \"8h\"\n\
         provider = \"identity_center\"\nplan = [{{ count = 1, groups = [\"identity-store:{}\"] }}]\n",
        groups.developers, accounts.playground, permission_sets.read_only, groups.approvers,
    )
}
