"""deploy/compose.yaml holds together, spares no container, and its files are those that programs take."""

import json
import os
import re
import socket
import subprocess
import sys
import tempfile
import time
import tomllib
import unittest
import urllib.request
from pathlib import Path

import yaml

import parts
from parts import DEPLOY, ROOT, SERVICES, compose

FOLDER = DEPLOY / "compose"
CONFIGURATION = tomllib.loads((FOLDER / "daypass.toml").read_text())
# Images without anything that could ask about health; `blackbox` and Prometheus ask from outside.
NOTHING_TO_ASK_WITH = {*SERVICES, "collector"}
# Who may reach NATS: servers, who stores or reads there, who makes the streams, who watches.
ON_THE_LOG = {*SERVICES, "nats-1", "nats-2", "nats-3", "nats-setup", "blackbox", "kurrentdb"}


OUTSIDE = FOLDER / "nats-outside.yaml"


def outside():
    """What opens NATS to the machine, beside compose.yaml."""
    return yaml.safe_load(OUTSIDE.read_text())


def is_once(service):
    return service["restart"] == "on-failure"


def environment_of(name):
    return {key: str(value) for key, value in compose()["services"][name].get("environment", {}).items()}


class Containers(unittest.TestCase):
    def test_none_is_root_writes_to_its_image_or_has_rights(self):
        for name, service in compose()["services"].items():
            self.assertRegex(service["user"], r"^[1-9]\d*:", name)
            self.assertIs(service["read_only"], True, name)
            self.assertEqual(service["cap_drop"], ["ALL"], name)
            self.assertEqual(service["security_opt"], ["no-new-privileges:true"], name)
            self.assertFalse({"privileged", "cap_add", "devices", "pid", "ipc"} & set(service), name)

    def test_each_says_whether_it_is_well_or_is_asked(self):
        for name, service in compose()["services"].items():
            asked = is_once(service) or name in NOTHING_TO_ASK_WITH
            self.assertNotEqual("healthcheck" in service, asked, name)

    def test_a_nats_server_knows_of_the_memory_that_its_container_may_take(self):
        for name in ("nats-1", "nats-2", "nats-3"):
            limit = compose()["services"][name]["mem_limit"]
            parts.assert_collects_garbage_in_time(self, limit, environment_of(name)["GOMEMLIMIT"], name)

    def test_what_waits_waits_for_what_happens(self):
        for service in compose()["services"].values():
            for other, how in service.get("depends_on", {}).items():
                awaited = compose()["services"][other]
                match how["condition"]:
                    case "service_healthy":
                        self.assertIn("healthcheck", awaited, other)
                    case "service_completed_successfully":
                        self.assertTrue(is_once(awaited), other)
                    case condition:
                        self.assertEqual(condition, "service_started")

    def test_images_are_ours_or_of_one_version(self):
        ours = set()
        for service in compose()["services"].values():
            image = service["image"]
            if own := re.fullmatch(r"\$\{DAYPASS_REGISTRY:-\}([a-z-]+):\$\{DAYPASS_VERSION:-(.*)\}", image):
                self.assertIn(own[1], parts.IMAGES)
                self.assertEqual(own[2], parts.VERSION)
                ours.add(own[1])
            else:
                self.assertRegex(image, parts.ONE_VERSION)
        self.assertEqual(ours, parts.IMAGES)

    def test_only_who_needs_nats_is_on_its_network(self):
        on_it = {name for name, service in compose()["services"].items() if "log" in service.get("networks", [])}
        self.assertEqual(on_it, ON_THE_LOG)
        self.assertIs(compose()["networks"]["log"]["internal"], True)

    def test_ports_are_for_this_machine_alone(self):
        for name, service in compose()["services"].items():
            for port in service.get("ports", []):
                self.assertRegex(port, r"^127\.0\.0\.1:\d+:\d+$", name)
                self.assertIn("front", service["networks"], name)


class Outside(unittest.TestCase):
    """NATS, open to the machine."""

    def test_servers_get_a_port_on_loopback_and_nothing_else_is_opened(self):
        self.assertEqual(set(outside()["services"]), {"nats-1", "nats-2", "nats-3"})
        published = set()
        for name, server in outside()["services"].items():
            self.assertEqual(set(server), {"command", "networks", "ports"})
            self.assertEqual([word for word in server["command"] if word != "--no_advertise"], compose()["services"][name]["command"])
            (port,) = server["ports"]
            ((here, there),) = re.findall(r"^127\.0\.0\.1:(\d+):(\d+)$", port)
            self.assertEqual(there, "4222")
            published.add(here)
        taken = {port.split(":")[1] for service in compose()["services"].values() for port in service.get("ports", [])}
        self.assertEqual((len(published), published & taken), (3, set()))
        readme = (DEPLOY / "README.md").read_text()
        self.assertEqual(set(re.findall(r"tls://localhost:(\d+)", readme)), published)
        self.assertIn("deploy/compose/nats-outside.yaml up", readme)

    def test_their_ports_are_on_a_network_of_their_own_and_they_stay_on_that_of_the_log(self):
        for server in outside()["services"].values():
            self.assertEqual(server["networks"], ["log", "outside"])
        self.assertEqual(outside()["networks"], {"outside": {}})
        self.assertNotIn("outside", compose()["networks"])


class Files(unittest.TestCase):
    def test_what_is_named_is_there_and_used(self):
        for kind in ("configs", "secrets", "volumes", "networks"):
            used = set()
            for service in compose()["services"].values():
                for use in service.get(kind, []):
                    used.add(use["source"] if isinstance(use, dict) else use.split(":")[0])
            self.assertEqual(used, set(compose()[kind]), kind)
        for name, config in compose()["configs"].items():
            self.assertTrue((DEPLOY / config["file"]).is_file(), name)

    def test_every_service_takes_its_configuration(self):
        for service in SERVICES:
            with self.subTest(service):
                checked = parts.check_configuration(service, FOLDER / "daypass.toml", environment_of(service))
                self.assertEqual((checked.returncode, checked.stderr), (0, ""))

    def test_a_wrong_configuration_is_seen(self):
        wrong = environment_of("request") | {"DAYPASS_SERVER__NO_SUCH_FIELD": "1"}
        self.assertEqual(parts.check_configuration("request", FOLDER / "daypass.toml", wrong).returncode, 2)

    def test_all_services_together_call_identity_center_no_more_than_aws_takes(self):
        calls = parts.calls_of_identity_center(FOLDER / "daypass.toml", environment_of, lambda service: 1)
        self.assertLessEqual(calls, parts.calls_that_identity_center_takes())
        self.assertFalse({"deploy", "scale"} & {key for name in SERVICES for key in compose()["services"][name]})

    def test_every_file_that_a_configuration_names_is_mounted(self):
        named = set(re.findall(r'"(/(?:run|etc)/daypass/[^"]+)"', (FOLDER / "daypass.toml").read_text()))
        of_some = {"/run/daypass/bus.nk": {"request", "audit"}, "/etc/daypass/policy.toml": {"approval"}}
        for name in SERVICES:
            service = compose()["services"][name]
            mounted = {use["target"] for use in [*service["configs"], *service["secrets"]]}
            needed = {path for path in named if name in of_some.get(path, SERVICES)}
            self.assertEqual(mounted, needed | {"/etc/daypass/daypass.toml"}, name)


class Kurrentdb(unittest.TestCase):
    """The log on KurrentDB, by a file beside compose.yaml."""

    beside = yaml.safe_load((FOLDER / "kurrentdb.yaml").read_text())
    file = FOLDER / "kurrentdb.toml"
    NOT_BUILT = "log.engine: this program is built without KurrentDB, that is without the feature `kurrentdb`\n"

    def test_every_service_waits_for_it_and_has_the_file_that_says_so(self):
        self.assertEqual(set(self.beside["services"]), set(SERVICES))
        for said in self.beside["services"].values():
            self.assertEqual(said, {"depends_on": {"kurrentdb": {"condition": "service_healthy"}}})
        self.assertEqual(self.beside["configs"], {"daypass.toml": {"file": str(self.file.relative_to(DEPLOY))}})
        (profile,) = compose()["services"]["kurrentdb"]["profiles"]
        command = f"--file deploy/compose.yaml --file deploy/compose/kurrentdb.yaml --profile {profile} up"
        self.assertIn(command, (DEPLOY / "README.md").read_text())

    def test_the_log_alone_is_another_and_is_that_server(self):
        configuration = tomllib.loads(self.file.read_text())
        self.assertEqual(configuration | {"log": CONFIGURATION["log"]}, CONFIGURATION)
        self.assertEqual(configuration["log"]["engine"], "kurrentdb")
        # Without TLS, as KURRENTDB_INSECURE has it.
        self.assertEqual(environment_of("kurrentdb")["KURRENTDB_INSECURE"], "true")
        self.assertEqual(configuration["log"]["connection"], "kurrentdb://kurrentdb:2113?tls=false")
        self.assertEqual(configuration["log"]["node_urls"], ["http://kurrentdb:2113"])
        for name in SERVICES:
            self.assertTrue({"log"} <= set(compose()["services"][name]["networks"]) & set(compose()["services"]["kurrentdb"]["networks"]))

    def test_every_service_takes_it_where_the_program_has_the_engine_as_images_have(self):
        self.assertIn("--features kurrentdb", (ROOT / "script/images").read_text())
        self.assertIn("--features kurrentdb", (DEPLOY / "images/Containerfile").read_text())
        for service in SERVICES:
            with self.subTest(service):
                checked = parts.check_configuration(service, self.file, environment_of(service))
                # A program without the engine says so once all else is right, and only then.
                self.assertIn((checked.returncode, checked.stderr), [(0, ""), (2, self.NOT_BUILT)])
                wrong = environment_of(service) | {"DAYPASS_LOG__NO_SUCH_FIELD": "1"}
                self.assertIn("no_such_field", parts.check_configuration(service, self.file, wrong).stderr)


class Secrets(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.folder = tempfile.TemporaryDirectory()
        cls.state = Path(cls.folder.name) / "state"
        cls.make()

    @classmethod
    def tearDownClass(cls):
        cls.folder.cleanup()

    @classmethod
    def make(cls, *options):
        environment = os.environ | {"DAYPASS_COMPOSE_STATE": str(cls.state)}
        return parts.run([ROOT / "script/compose-secrets", "--daypass", parts.program("daypass"), *options], env=environment)

    def made(self, name):
        file = compose()["secrets"][name]["file"]
        return self.state / Path(file).relative_to("compose/state")

    def test_the_script_makes_every_secret_in_a_folder_of_its_own(self):
        self.assertEqual(self.state.stat().st_mode & 0o777, 0o700)
        for name in compose()["secrets"]:
            self.assertEqual(self.made(name).stat().st_mode & 0o444, 0o444, name)
        self.assertEqual((self.state / "ca.key").stat().st_mode & 0o077, 0)
        ignored = (ROOT / ".gitignore").read_text().splitlines()
        self.assertIn("/deploy/compose/state", ignored)

    def test_what_is_there_stays(self):
        before = {file: file.read_bytes() for file in self.state.rglob("*") if file.is_file()}
        self.make()
        self.assertEqual(before, {file: file.read_bytes() for file in self.state.rglob("*") if file.is_file()})

    def test_a_service_is_known_by_its_certificate(self):
        ids = set()
        for service in SERVICES:
            certificate = self.made(f"{service}.crt")
            parts.run(["openssl", "verify", "-CAfile", self.made("ca.crt"), certificate])
            text = parts.run(["openssl", "x509", "-in", certificate, "-noout", "-ext", "subjectAltName"])
            (uri,) = re.findall(r"URI:(\S+)", text)
            self.assertIn(f"DNS:{service},", text)
            ids.add(uri)
        request = environment_of("audit")["DAYPASS_NEIGHBOURS__REQUEST__SPIFFE_ID"]
        self.assertEqual(ids, parts.spiffe_ids(CONFIGURATION) | {request})

    def test_nats_servers_have_the_name_by_which_the_machine_calls_them(self):
        for name in outside()["services"]:
            verify = ["openssl", "verify", "-CAfile", self.made("ca.crt"), "-purpose", "sslserver", "-verify_hostname"]
            for called in (name, "localhost"):
                parts.run([*verify, called, self.made(f"{name}.crt")])

    def test_other_systems_are_let_in_as_long_as_they_are_named_and_keep_their_keys(self):
        words = re.search(r"(?m)^script/compose-secrets (--.*)$", (DEPLOY / "README.md").read_text())[1].split()
        users = ("# signal-hr\n", "# bus-subscriber-siem\n")
        seeds = [self.state / "nats/seeds" / f"{name}.nk" for name in ("signal-hr", "bus-subscriber-siem")]
        self.make(*words)
        accounts, kept = self.made("accounts.conf").read_text(), [seed.read_text() for seed in seeds]
        self.make()
        for user in users:
            self.assertIn(user, accounts)
            self.assertNotIn(user, self.made("accounts.conf").read_text())
        self.make(*words)
        self.assertEqual((self.made("accounts.conf").read_text(), [seed.read_text() for seed in seeds]), (accounts, kept))
        self.make()

    def test_public_keys_of_other_systems_are_printed_and_no_seed(self):
        said = self.make("--signal-source", "hr", "--subscriber", "siem")
        accounts = self.made("accounts.conf").read_text()
        for user in ("signal-hr", "bus-subscriber-siem"):
            key = re.search(rf"(?m)/{user}\.nk  (U[A-Z2-7]+)$", said)[1]
            self.assertRegex(accounts, rf"# {user}\n +{{ nkey: {key},")
        for seed in (self.state / "nats/seeds").iterdir():
            self.assertNotIn(seed.read_text().strip(), said, seed.name)
        self.assertEqual(self.make(), f"{self.state} is made\n")

    def test_nats_servers_sync_before_they_acknowledge_and_take_their_files(self):
        for name in ("nats-1", "nats-2", "nats-3"):
            text = self.made(f"{name}.conf").read_text()
            self.assertRegex(text, r"(?m)^  sync_interval: always$")
            self.assertIn(f'server_name: "{name}"', text)
            targets = {use["target"] for use in compose()["services"][name]["secrets"]}
            self.assertLessEqual(set(re.findall(r'"(/etc/nats/tls/[^"]+)"', text)), targets)
            with tempfile.TemporaryDirectory() as folder:
                self.checked_by_nats_server(Path(folder), text)

    def checked_by_nats_server(self, folder, text):
        """nats-server's own check, with the certificates where they are here."""
        here = {"tls.crt": self.made("nats-1.crt"), "tls.key": self.made("nats-1.key"), "ca.crt": self.made("ca.crt")}
        for name, file in here.items():
            text = text.replace(f"/etc/nats/tls/{name}", str(file))
        (folder / "nats.conf").write_text(text)
        (folder / "accounts.conf").write_text(self.made("accounts.conf").read_text())
        parts.run([parts.TOOLS / "venv/bin/nats-server", "-t", "-c", folder / "nats.conf"])


class Organisation(unittest.TestCase):
    """The ids of moto in the files are those that deploy/compose/aws.py makes."""

    @classmethod
    def setUpClass(cls):
        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            port = free.getsockname()[1]
        cls.endpoint = f"http://127.0.0.1:{port}"
        command = [str(parts.TOOLS / "venv/bin/moto_server"), "-H", "127.0.0.1", "-p", str(port)]
        cls.moto = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        for _ in range(240):
            try:
                urllib.request.urlopen(f"{cls.endpoint}/moto-api/data.json").close()
                break
            except OSError:
                time.sleep(0.25)
        cls.ids = json.loads(cls.fill())

    @classmethod
    def tearDownClass(cls):
        cls.moto.terminate()
        cls.moto.wait()

    @classmethod
    def fill(cls):
        fill = ROOT / "crates/test-servers/organisation/fill.py"
        return parts.run([sys.executable, FOLDER / "aws.py", cls.endpoint, fill])

    def test_what_is_there_stays(self):
        self.assertEqual(self.fill(), "")

    def test_the_configuration_is_about_them(self):
        groups = self.ids["groups"]
        self.assertEqual(CONFIGURATION["roles"]["administrators"], [f"identity-store:{groups['admins']}"])
        self.assertEqual(CONFIGURATION["roles"]["auditors"], [f"identity-store:{groups['auditors']}"])
        for service in ("request", "activation"):
            environment = environment_of(service)
            self.assertEqual(environment["DAYPASS_AWS__INSTANCE_ARN"], self.ids["instance_arn"])
            self.assertEqual(environment["DAYPASS_AWS__IDENTITY_STORE_ID"], self.ids["identity_store_id"])

    def test_the_policy_is_about_them(self):
        policy = tomllib.loads((FOLDER / "policy.toml").read_text())
        groups, units = self.ids["groups"], self.ids["units"]
        read, deploy = policy["rules"]
        for rule in (read, deploy):
            self.assertEqual(rule["requesters"]["groups"], [f"identity-store:{groups['developers']}"])
            self.assertEqual(rule["plan"][0]["groups"], [f"identity-store:{groups['approvers']}"])
        self.assertEqual(read["targets"]["ous"], [units["workloads"]])
        self.assertEqual(read["targets"]["permission_sets"], [self.ids["permission_sets"]["read_only"]])
        self.assertEqual(deploy["targets"]["ous"], [units["payments"]])

    def test_people_of_dex_are_those_of_the_identity_store(self):
        dex = yaml.safe_load((FOLDER / "dex.yaml").read_text())
        people = {person["username"]: person["userID"] for person in dex["staticPasswords"]}
        self.assertEqual(people, self.ids["users"])

    def test_the_trial_on_kubernetes_is_about_the_same(self):
        trial = DEPLOY / "k8s/overlays/trial"
        self.assertEqual(tomllib.loads((trial / "daypass.toml").read_text())["roles"], CONFIGURATION["roles"])
        self.assertEqual((trial / "policy.toml").read_text(), (FOLDER / "policy.toml").read_text())
        (aws,) = (it for it in parts.rendered("overlays/trial") if it["metadata"]["name"].startswith("daypass-aws-"))
        self.assertEqual(aws["data"], {key: environment_of("request")[key] for key in aws["data"]})


if __name__ == "__main__":
    unittest.main()
