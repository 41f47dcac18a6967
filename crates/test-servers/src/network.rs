//! A network of its own for servers that tests cut off: hosts in network namespaces (Linux, root), each with a link to the
//! clients and one to the other hosts.
//!
//! The clients are the tests and what they start, outside of the namespaces. Addresses are of 198.18.0.0/15, which RFC 2544
//! sets aside for measuring networks, so nothing real is hidden behind them. A link that is down loses what is sent over it,
//! as a cable does that was pulled: connections hang, nobody is told.

use std::io::{Error, Write as _};
use std::net::Ipv4Addr;
use std::path::Path;
use std::process::{Command, Stdio};

/// Whom a host is linked to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Link {
    /// To those outside: the tests.
    Clients,
    /// To the other hosts.
    Hosts,
}

impl Link {
    const BOTH: [Self; 2] = [Self::Clients, Self::Hosts];

    fn bridge(self, network: u8) -> String {
        format!("{}{network}", if self == Self::Clients { CLIENTS_BRIDGE } else { HOSTS_BRIDGE })
    }

    fn address(self, network: u8, host: u8) -> Ipv4Addr {
        Ipv4Addr::new(198, if self == Self::Clients { 18 } else { 19 }, network, host)
    }
}

const CLIENTS_BRIDGE: &str = "dpclients";
const HOSTS_BRIDGE: &str = "dphosts";
/// The last part of the address that the tests have.
const OUTSIDE: u8 = 254;
/// How many networks there can be on a machine.
const NETWORKS_MAX: u8 = 99;
/// What the alias of a bridge begins with; the process that made it follows.
const OWNER: &str = "daypass tests, process ";

/// Hosts that reach each other and are reached from outside, until they are cut off. Deleted when dropped; what a test left
/// behind that was killed, the next one deletes.
#[derive(Debug)]
pub struct Network {
    number: u8,
    hosts: u8,
}

impl Network {
    /// Makes a network of so many hosts. Needs root and iproute2.
    pub fn create(hosts: u8) -> std::io::Result<Self> {
        delete_abandoned()?;
        let network = Self { number: claim()?, hosts };
        let number = network.number;
        let mut outside = vec![format!("link add {} type bridge", Link::Hosts.bridge(number))];
        outside.push(format!(
            "addr add {}/24 dev {}",
            Link::Clients.address(number, OUTSIDE),
            Link::Clients.bridge(number)
        ));
        outside.extend(Link::BOTH.map(|link| format!("link set {} up", link.bridge(number))));
        for host in 0..hosts {
            let namespace = network.namespace(host);
            outside.push(format!("netns add {namespace}"));
            for link in Link::BOTH {
                let (cable, inside) = (network.cable(host, link), inside(link));
                outside.push(format!("link add {cable} type veth peer name {inside} netns {namespace}"));
                outside.push(format!("link set {cable} master {} up", link.bridge(number)));
            }
        }
        ip(&[], &outside)?;
        for host in 0..hosts {
            let mut lines = vec!["link set lo up".to_owned()];
            for link in Link::BOTH {
                lines.push(format!("addr add {}/24 dev {}", network.address(host, link), inside(link)));
                lines.push(format!("link set {} up", inside(link)));
            }
            ip(&["-n", &network.namespace(host)], &lines)?;
        }
        Ok(network)
    }

    /// The address of a host (0, 1 …) on one of its links.
    pub fn address(&self, host: u8, link: Link) -> Ipv4Addr {
        link.address(self.number, host + 1)
    }

    /// A command that runs `program` on a host; its process is the program's own.
    pub fn command(&self, host: u8, program: &Path) -> Command {
        let mut command = Command::new("ip");
        command.args(["netns", "exec", &self.namespace(host)]).arg(program);
        command
    }

    /// Cuts a host's link, or mends it.
    pub fn set(&self, host: u8, link: Link, is_up: bool) -> std::io::Result<()> {
        let state = if is_up { "up" } else { "down" };
        ip(&[], &[format!("link set {} {state}", self.cable(host, link))])
    }

    fn namespace(&self, host: u8) -> String {
        namespace(self.number, host)
    }

    fn cable(&self, host: u8, link: Link) -> String {
        cable(self.number, host, link)
    }
}

impl Drop for Network {
    fn drop(&mut self) {
        delete(self.number, self.hosts);
    }
}

/// The inner end of a host's link.
fn inside(link: Link) -> &'static str {
    match link {
        Link::Clients => "clients",
        Link::Hosts => "hosts",
    }
}

/// The outer end of a host's link.
fn cable(network: u8, host: u8, link: Link) -> String {
    format!("{}.{host}", link.bridge(network))
}

fn namespace(network: u8, host: u8) -> String {
    format!("daypass-{network}-{host}")
}

/// Takes a number that no other network has: only one can make the bridge of that name.
fn claim() -> std::io::Result<u8> {
    for number in 0..=NETWORKS_MAX {
        let bridge = Link::Clients.bridge(number);
        match ip(&[], &[format!("link add {bridge} type bridge")]) {
            Ok(()) => {
                // Not in a batch: the alias has spaces.
                let alias = format!("{OWNER}{}", std::process::id());
                run(Command::new("ip").args(["link", "set", &bridge, "alias", &alias]), "")?;
                return Ok(number);
            }
            Err(error) if error.to_string().contains("File exists") => {}
            Err(error) => return Err(error),
        }
    }
    Err(Error::other("every network of the tests is in use"))
}

/// Deletes the networks of processes that are gone.
fn delete_abandoned() -> std::io::Result<()> {
    let bridges = run(Command::new("ip").args(["-json", "link", "show", "type", "bridge"]), "")?;
    let bridges: Vec<serde_json::Value> = serde_json::from_str(&bridges).unwrap_or_default();
    for bridge in bridges {
        let text = |of: &str| bridge.get(of).and_then(serde_json::Value::as_str);
        let number = text("ifname").and_then(|name| name.strip_prefix(CLIENTS_BRIDGE)?.parse().ok());
        let owner = text("ifalias").and_then(|alias| alias.strip_prefix(OWNER));
        if let (Some(number), Some(owner)) = (number, owner)
            && !Path::new("/proc").join(owner).exists()
        {
            delete(number, u8::MAX);
        }
    }
    Ok(())
}

/// Deletes what is there of a network, and ends what still runs on its hosts. The bridge by which it was claimed goes last.
fn delete(number: u8, hosts: u8) {
    for host in 0..hosts {
        let name = namespace(number, host);
        let Ok(pids) = run(Command::new("ip").args(["netns", "pids", &name]), "") else { break };
        for pid in pids.split_whitespace() {
            // Gone already is as good.
            let _ = run(Command::new("sh").arg("-c").arg(format!("kill -KILL {pid}")), "");
        }
        // By themselves they would go some time after the namespace, and be in the way of the next network.
        for link in Link::BOTH {
            let _ = ip(&[], &[format!("link delete {}", cable(number, host, link))]);
        }
        if ip(&[], &[format!("netns delete {name}")]).is_err() {
            break;
        }
    }
    for link in [Link::Hosts, Link::Clients] {
        // Nothing can be done about a bridge that stays; its owner's end makes the next test try again.
        let _ = ip(&[], &[format!("link delete {}", link.bridge(number))]);
    }
}

/// Runs lines of `ip` in one go.
fn ip(options: &[&str], lines: &[String]) -> std::io::Result<()> {
    run(Command::new("ip").args(options).args(["-batch", "-"]), &lines.join("\n")).map(drop)
}

fn run(command: &mut Command, input: &str) -> std::io::Result<String> {
    let spawned = command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn();
    let mut child = spawned
        .map_err(|error| Error::new(error.kind(), format!("{command:?}: {error} (iproute2 is needed)")))?;
    if let Some(mut stdin) = child.stdin.take() {
        stdin.write_all(input.as_bytes())?;
    }
    let output = child.wait_with_output()?;
    if output.status.success() {
        return Ok(String::from_utf8_lossy(&output.stdout).into_owned());
    }
    let why = String::from_utf8_lossy(&output.stderr);
    Err(Error::other(format!("{command:?}: {} (network namespaces need root)", why.trim())))
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::Duration;

    fn reaches(network: &Network, from: u8, to: Ipv4Addr) -> bool {
        let mut listener = network.command(1, Path::new("python3"));
        let serve =
            format!("import socket; s = socket.create_server(('{to}', 7000)); print(flush=True); s.accept()");
        let mut listener = listener.args(["-c", &serve]).stdout(Stdio::piped()).spawn().unwrap();
        std::io::Read::read_exact(listener.stdout.as_mut().unwrap(), &mut [0]).unwrap();
        let call = format!("import socket; socket.create_connection(('{to}', 7000), 0.5)");
        let mut caller = network.command(from, Path::new("python3"));
        let reached = caller.args(["-c", &call]).stderr(Stdio::null()).status().unwrap().success();
        listener.kill().unwrap();
        listener.wait().unwrap();
        reached
    }

    #[test]
    fn a_network_can_be_made_again_at_once() {
        for _ in 0..3 {
            Network::create(3).unwrap();
        }
    }

    #[test]
    fn a_host_is_cut_off_and_joined_again() {
        let network = Network::create(2).unwrap();
        let to = network.address(1, Link::Hosts);
        assert!(reaches(&network, 0, to));
        network.set(1, Link::Hosts, false).unwrap();
        assert!(!reaches(&network, 0, to));
        network.set(1, Link::Hosts, true).unwrap();
        assert!(reaches(&network, 0, to));
        let clients = (network.address(1, Link::Clients), 1);
        let refused = std::net::TcpStream::connect_timeout(&clients.into(), Duration::from_secs(5));
        assert_eq!(
            refused.unwrap_err().kind(),
            std::io::ErrorKind::ConnectionRefused,
            "there, and not listening"
        );
        let name = network.namespace(0);
        drop(network);
        assert!(!run(Command::new("ip").args(["netns", "list"]), "").unwrap().contains(&name));
    }
}
