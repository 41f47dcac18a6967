//! The way to the services: addresses, the token, deadlines, and trying again.
//!
//! INVARIANT: every call ends by its deadline. A command that is sent again carries the key it had, so nothing is done twice.
//! The token is sent in the clear to this machine alone, unless told otherwise.

use crate::arguments::Key;
use crate::error::{Error, Refusal};
use clap::Args;
use domain::ports::Entropy as _;
use std::path::{Path, PathBuf};
use std::time::Duration;
use tokio::time::Instant;
use tonic::metadata::{Ascii, MetadataValue};
use tonic::service::Interceptor;
use tonic::service::interceptor::InterceptedService;
use tonic::transport::{Certificate, Channel, ClientTlsConfig, Endpoint};
use tonic::{Code, Request, Response, Status, Streaming};
use url::Url;

/// Where `daypass dev` and `daypass serve` listen.
const SERVER_DEFAULT: &str = "http://127.0.0.1:7400";
/// Where `daypass dev` keeps what it writes.
const DEV_FOLDER_DEFAULT: &str = "data/dev";
/// A call is sent at most so often.
const ATTEMPTS_MAX: u32 = 4;
/// The pause before the second attempt; it doubles from one to the next.
const BACKOFF: Duration = Duration::from_millis(200);
/// A server that asks for a longer pause gets this one: someone is waiting.
const BACKOFF_MAX: Duration = Duration::from_secs(2);
/// A connection is tried for so long.
const CONNECT_DURATION_MAX: Duration = Duration::from_secs(5);
/// No token is longer; what is has another purpose, and does not belong into a header.
const TOKEN_BYTES_MAX: u64 = 32 * 1024;

/// How to reach the services, and as whom.
#[derive(Args, Clone, Debug)]
#[group(skip)]
#[command(next_help_heading = "Connection")]
pub(crate) struct Arguments {
    /// The address of a server that serves everything
    #[arg(long, env = "DAYPASS_SERVER", value_name = "URL", default_value = SERVER_DEFAULT)]
    server: Url,
    /// The request service, where it has an address of its own
    #[arg(long, env = "DAYPASS_REQUEST_SERVER", value_name = "URL")]
    request_server: Option<Url>,
    /// The approval service, where it has an address of its own
    #[arg(long, env = "DAYPASS_APPROVAL_SERVER", value_name = "URL")]
    approval_server: Option<Url>,
    /// The activation service, where it has an address of its own
    #[arg(long, env = "DAYPASS_ACTIVATION_SERVER", value_name = "URL")]
    activation_server: Option<Url>,
    /// The audit service, where it has an address of its own
    #[arg(long, env = "DAYPASS_AUDIT_SERVER", value_name = "URL")]
    audit_server: Option<Url>,
    /// The CA that vouches for the servers, as PEM
    #[arg(long, env = "DAYPASS_CA_FILE", value_name = "FILE")]
    ca_file: Option<PathBuf>,
    /// Send the token over http to another machine as well
    #[arg(long, env = "DAYPASS_PLAINTEXT")]
    plaintext: bool,
    /// The file that holds my token; DAYPASS_TOKEN may hold the token itself
    #[arg(long, env = "DAYPASS_TOKEN_FILE", value_name = "FILE")]
    token_file: Option<PathBuf>,
    /// Act as one of the people that `daypass dev` made up
    #[arg(long = "as", value_name = "NAME", value_parser = dev_name)]
    dev_person: Option<String>,
    /// Where `daypass dev` keeps its files
    #[arg(long, env = "DAYPASS_DEV_FOLDER", value_name = "FOLDER", default_value = DEV_FOLDER_DEFAULT)]
    dev_folder: PathBuf,
    /// How long to wait for an answer
    #[arg(long, env = "DAYPASS_TIMEOUT", value_name = "DURATION", default_value = "30s", value_parser = crate::arguments::length)]
    timeout: Duration,
}

impl Arguments {
    /// The options that bring another process to the same servers with the same token. A token in the environment is not among
    /// them: that process must find it there.
    pub(crate) fn repeated(&self) -> Vec<String> {
        let mut words = Vec::new();
        let mut add = |name: &str, value: Option<String>| {
            if let Some(value) = value {
                words.extend([name.to_owned(), value]);
            }
        };
        let url = |url: &Url| url.as_str().trim_end_matches('/').to_owned();
        let absolute =
            |path: &Path| std::path::absolute(path).unwrap_or(path.to_owned()).display().to_string();
        add("--server", (url(&self.server) != SERVER_DEFAULT).then(|| url(&self.server)));
        add("--request-server", self.request_server.as_ref().map(url));
        add("--activation-server", self.activation_server.as_ref().map(url));
        add("--ca-file", self.ca_file.as_deref().map(absolute));
        if self.dev_person.is_some() {
            add("--as", self.dev_person.clone());
            add("--dev-folder", Some(absolute(&self.dev_folder)));
        } else {
            add("--token-file", self.token_file.as_deref().map(absolute));
        }
        if self.plaintext {
            words.push("--plaintext".to_owned());
        }
        words
    }

    fn token(&self) -> Result<String, Error> {
        let file = match &self.dev_person {
            Some(name) => Some(self.dev_folder.join("tokens").join(name)),
            None => self.token_file.clone(),
        };
        let text = match file {
            Some(file) => read_token(&file)?,
            None => std::env::var("DAYPASS_TOKEN").map_err(|_| {
                let ways =
                    "--token-file FILE, DAYPASS_TOKEN_FILE or DAYPASS_TOKEN; with `daypass dev`: --as NAME";
                Error::NotSignedIn(format!("not signed in: give a token with {ways}"))
            })?,
        };
        let token = text.trim();
        if token.is_empty() || !token.bytes().all(|byte| byte.is_ascii_graphic()) {
            return Err(Error::NotSignedIn("not signed in: what should be a token is none".to_owned()));
        }
        Ok(token.to_owned())
    }
}

fn read_token(file: &Path) -> Result<String, Error> {
    use std::io::Read as _;
    let unreadable = |error| Error::NotSignedIn(format!("not signed in: {}: {error}", file.display()));
    let mut text = String::new();
    let opened = std::fs::File::open(file).map_err(unreadable)?;
    let bytes = opened.take(TOKEN_BYTES_MAX + 1).read_to_string(&mut text).map_err(unreadable)?;
    if bytes as u64 > TOKEN_BYTES_MAX {
        return Err(Error::NotSignedIn(format!(
            "not signed in: {}: is too long for a token",
            file.display()
        )));
    }
    Ok(text)
}

/// A name, not a path.
fn dev_name(text: &str) -> Result<String, &'static str> {
    let plain = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'-' || byte == b'_';
    if !text.is_empty() && text.bytes().all(plain) {
        Ok(text.to_owned())
    } else {
        Err("must be a name that `daypass dev` printed")
    }
}

/// Which of the four.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Service {
    Request,
    Approval,
    Activation,
    Audit,
}

/// The transport of a generated client: a connection that shows the token.
pub(crate) type Transport = InterceptedService<Channel, Bearer>;

/// Adds the token to every call.
#[derive(Clone)]
pub(crate) struct Bearer(MetadataValue<Ascii>);

impl Interceptor for Bearer {
    fn call(&mut self, mut request: Request<()>) -> Result<Request<()>, Status> {
        request.metadata_mut().insert("authorization", self.0.clone());
        Ok(request)
    }
}

/// The services.
pub(crate) struct Client {
    request: Way,
    approval: Way,
    activation: Way,
    audit: Way,
    timeout: Duration,
}

struct Way {
    address: String,
    transport: Transport,
}

impl Client {
    /// Reads the token and the CA. Connects when first used.
    pub(crate) fn new(arguments: &Arguments) -> Result<Self, Error> {
        let mut bearer: MetadataValue<Ascii> = format!("Bearer {}", arguments.token()?)
            .parse()
            .map_err(|_| Error::NotSignedIn("not signed in: what should be a token is none".to_owned()))?;
        bearer.set_sensitive(true);
        let bearer = Bearer(bearer);
        let ca = arguments.ca_file.as_deref().map(read_ca).transpose()?;
        let way = |own: &Option<Url>| {
            let url = own.as_ref().unwrap_or(&arguments.server);
            let channel = connect(url, ca.as_ref(), arguments.plaintext)?;
            let address = url.as_str().trim_end_matches('/').to_owned();
            Ok::<_, Error>(Way { address, transport: InterceptedService::new(channel, bearer.clone()) })
        };
        Ok(Self {
            request: way(&arguments.request_server)?,
            approval: way(&arguments.approval_server)?,
            activation: way(&arguments.activation_server)?,
            audit: way(&arguments.audit_server)?,
            timeout: arguments.timeout,
        })
    }

    fn way(&self, service: Service) -> &Way {
        match service {
            Service::Request => &self.request,
            Service::Approval => &self.approval,
            Service::Activation => &self.activation,
            Service::Audit => &self.audit,
        }
    }

    /// One call with one answer. While the service is not available it is sent again, as it is, a bounded number of times.
    pub(crate) async fn call<Q: Clone, A>(
        &self,
        service: Service,
        message: Q,
        send: impl AsyncFn(Transport, Request<Q>) -> Result<Response<A>, Status>,
    ) -> Result<A, Error> {
        let end = Instant::now() + self.timeout;
        self.persist(service, message, send, |request| {
            request.set_timeout(end.saturating_duration_since(Instant::now()));
        })
        .await
    }

    /// A command, sent under `key`. Where it is not known what came of it, the error says how to ask again.
    pub(crate) async fn command<Q: Clone, A>(
        &self,
        service: Service,
        key: &Key,
        message: Q,
        send: impl AsyncFn(Transport, Request<Q>) -> Result<Response<A>, Status>,
    ) -> Result<A, Error> {
        self.call(service, message, send).await.map_err(|error| error.of_command(key))
    }

    /// One call with many answers. The time-out counts from one to the next.
    pub(crate) async fn stream<Q: Clone, A>(
        &self,
        service: Service,
        message: Q,
        send: impl AsyncFn(Transport, Request<Q>) -> Result<Response<Streaming<A>>, Status>,
    ) -> Result<Answers<A>, Error> {
        let messages = self.persist(service, message, send, |_| ()).await?;
        Ok(Answers { messages, address: self.way(service).address.clone(), timeout: self.timeout })
    }

    async fn persist<Q: Clone, A>(
        &self,
        service: Service,
        message: Q,
        send: impl AsyncFn(Transport, Request<Q>) -> Result<Response<A>, Status>,
        prepare: impl Fn(&mut Request<Q>),
    ) -> Result<A, Error> {
        let way = self.way(service);
        let end = Instant::now() + self.timeout;
        let mut attempts = 0;
        loop {
            attempts += 1;
            let mut request = Request::new(message.clone());
            prepare(&mut request);
            let refusal = match tokio::time::timeout_at(end, send(way.transport.clone(), request)).await {
                Ok(Ok(answer)) => return Ok(answer.into_inner()),
                Ok(Err(status)) => Refusal::new(&status, &way.address),
                Err(_) => Refusal::too_late(&way.address),
            };
            let pause = pause(attempts, refusal.retry_after);
            let may_help = refusal.code == Code::Unavailable && attempts < ATTEMPTS_MAX;
            if !may_help || Instant::now() + pause >= end {
                return Err(refusal.into());
            }
            tokio::time::sleep(pause).await;
        }
    }
}

/// The answers of one call, each in time.
pub(crate) struct Answers<A> {
    messages: Streaming<A>,
    address: String,
    timeout: Duration,
}

impl<A> Answers<A> {
    /// The next; `None` after the last.
    pub(crate) async fn next(&mut self) -> Result<Option<A>, Error> {
        match tokio::time::timeout(self.timeout, self.messages.message()).await {
            Ok(Ok(answer)) => Ok(answer),
            Ok(Err(status)) => Err(Refusal::new(&status, &self.address).into()),
            Err(_) => Err(Refusal::too_late(&self.address).into()),
        }
    }
}

/// How long to wait after so many attempts: doubled each time, half of it by chance, so that many do not come back at once.
fn pause(attempts: u32, asked: Option<Duration>) -> Duration {
    let longest = BACKOFF * 2_u32.pow(attempts.saturating_sub(1).min(8));
    let mut chance = [0];
    service_runtime::clock::SystemEntropy.fill(&mut chance);
    let jittered = longest / 2 + longest / 2 * u32::from(chance[0]) / 255;
    jittered.max(asked.unwrap_or_default()).min(BACKOFF_MAX)
}

fn read_ca(file: &Path) -> Result<Certificate, Error> {
    let pem = std::fs::read(file).map_err(|error| Error::Usage(format!("{}: {error}", file.display())))?;
    Ok(Certificate::from_pem(pem))
}

fn connect(url: &Url, ca: Option<&Certificate>, plaintext: bool) -> Result<Channel, Error> {
    let wrong = |why: String| Error::Usage(format!("{url}: {why}"));
    let endpoint = Endpoint::from_shared(url.as_str().to_owned())
        .map_err(|error| wrong(error.to_string()))?
        .connect_timeout(CONNECT_DURATION_MAX);
    let endpoint = match url.scheme() {
        "https" => {
            let tls = ClientTlsConfig::new();
            let tls = match ca {
                Some(ca) => tls.ca_certificate(ca.clone()),
                None => tls.with_enabled_roots(),
            };
            endpoint.tls_config(tls).map_err(|error| wrong(error.to_string()))?
        }
        "http" if plaintext || is_this_machine(url) => endpoint,
        "http" => {
            return Err(wrong(
                "would carry the token in the clear; use https, or say --plaintext".to_owned(),
            ));
        }
        _ => return Err(wrong("must begin with https:// or http://".to_owned())),
    };
    Ok(endpoint.connect_lazy())
}

fn is_this_machine(url: &Url) -> bool {
    match url.host() {
        Some(url::Host::Domain(name)) => name == "localhost",
        Some(url::Host::Ipv4(address)) => address.is_loopback(),
        Some(url::Host::Ipv6(address)) => address.is_loopback(),
        None => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_token_goes_in_the_clear_to_this_machine_alone() {
        for (url, allowed) in [
            ("http://127.0.0.1:7400", true),
            ("http://localhost:7400", true),
            ("http://[::1]:7400", true),
            ("http://daypass.example", false),
            ("http://127.0.0.1.example", false),
        ] {
            assert_eq!(is_this_machine(&url.parse().unwrap()), allowed, "{url}");
        }
    }

    #[test]
    fn pauses_grow_and_are_bounded() {
        for attempts in 1..10 {
            let pause = pause(attempts, None);
            assert!(pause >= BACKOFF / 2 && pause <= BACKOFF_MAX, "{attempts}: {pause:?}");
        }
        assert_eq!(pause(1, Some(Duration::from_secs(1))), Duration::from_secs(1));
        assert_eq!(pause(1, Some(Duration::from_hours(1))), BACKOFF_MAX);
    }

    #[test]
    fn a_token_is_one_word() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("token");
        for (text, good) in [("abc.def.ghi\n", true), ("", false), ("two words", false), ("a\nb", false)] {
            std::fs::write(&file, text).unwrap();
            let arguments = Arguments {
                server: SERVER_DEFAULT.parse().unwrap(),
                request_server: None,
                approval_server: None,
                activation_server: None,
                audit_server: None,
                ca_file: None,
                plaintext: false,
                token_file: Some(file.clone()),
                dev_person: None,
                dev_folder: DEV_FOLDER_DEFAULT.into(),
                timeout: Duration::from_secs(30),
            };
            assert_eq!(arguments.token().is_ok(), good, "{text:?}");
        }
    }
}
