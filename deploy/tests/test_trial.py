"""What deploy/compose.yaml describes works: its NATS cluster, its organisation and the four services, by its own files, up to a decision; and
another system tells over NATS.

No container runs here: see `machine`.
"""

import json
import os
import re
import subprocess
import sys
import tempfile
import time
import unittest
from pathlib import Path

import parts
from machine import Machine
from parts import DEPLOY, ROOT, SERVICES, TOOLS, compose
from test_compose import outside

BIN = TOOLS / "venv/bin"
NATS = ("nats-1", "nats-2", "nats-3")
# Longer than any step takes, on a machine that is busy.
STEP_SECONDS = 120
HEALTH = """
syntax = "proto3";
package grpc.health.v1;
message HealthCheckRequest { string service = 1; }
message HealthCheckResponse {
  enum ServingStatus { UNKNOWN = 0; SERVING = 1; NOT_SERVING = 2; SERVICE_UNKNOWN = 3; }
  ServingStatus status = 1;
}
service Health { rpc Check(HealthCheckRequest) returns (HealthCheckResponse); }
"""


class Trial(unittest.TestCase):
    def setUp(self):
        self.folder = Path(self.enterContext(tempfile.TemporaryDirectory()))
        self.state = self.folder / "state"
        self.make_secrets()
        (self.folder / "health.proto").write_text(HEALTH)
        names = [*NATS, "nats-setup", "moto", "moto-organisation", "dex", *SERVICES, "prometheus"]
        self.machine = self.enterContext(Machine(names, self.folder))

    def make_secrets(self, *options):
        environment = os.environ | {"DAYPASS_COMPOSE_STATE": str(self.state)}
        return parts.run([ROOT / "script/compose-secrets", "--daypass", parts.program("daypass"), *options], env=environment)

    def test_services_are_ready_and_a_request_is_raised_and_approved(self):
        for name in NATS:
            self.start(name, BIN / "nats-server", *compose()["services"][name]["command"])
        self.start("moto", BIN / "moto_server", "-H", "0.0.0.0", "-p", "5000", stand_in=True)
        tokens = self.folder / "tokens"
        tokens.mkdir()
        self.start("dex", sys.executable, DEPLOY / "tests/issuer.py", tokens, stand_in=True)
        for name in NATS:
            self.until(name, "curl", "--silent", "--fail", f"http://{name}:8222/healthz")
        self.until("moto", "curl", "--silent", "--fail", "http://moto:5000/moto-api/data.json")
        self.once("nats-setup", parts.program("daypass"), *compose()["services"]["nats-setup"]["command"])
        fill = compose()["services"]["moto-organisation"]["entrypoint"][1:]
        self.once("moto-organisation", sys.executable, *fill, stand_in=True)
        for name in SERVICES:
            self.start(name, parts.program(f"daypass-{name}"))
        for name in SERVICES:
            url = f"http://{name}:{parts.HEALTH_PORT}/grpc.health.v1.Health/Check"
            curl = [BIN / "buf", "curl", "--schema", self.folder / "health.proto", "--protocol", "grpc", "--http2-prior-knowledge"]
            self.until(name, *curl, url, wanted='"SERVING"')

        words = ["--account", "payments-prod", "--entitlement", "Deployer", "--for", "1h", "--because", "try it"]
        self.until("request", *self.daypass("ada", "entitlements"), wanted="payments-prod")
        raised = self.said_to("ada", "request", *words)
        request = next(line.split()[1] for line in raised.splitlines() if line.startswith("Request "))
        self.until("approval", *self.daypass("bob", "pending"), wanted=request[:8])
        self.assertIn("approved", self.said_to("bob", "approve", request))
        self.until("activation", *self.daypass("ada", "list"), wanted="approved, active")
        self.until("audit", *self.daypass("eve", "audit", "replay", request), wanted="request.activated.v1")

        # A client's own token, which was not asked for Daypass.
        refused = subprocess.run(self.daypass("own", "list"), capture_output=True, text=True)
        self.assertIn("TOKEN_AUDIENCE_WRONG", refused.stderr)

    def test_another_system_tells_what_it_may_by_what_the_guide_says_and_operators_see_what_is_parked(self):
        options = re.search(r"(?m)^script/compose-secrets (--.*)$", (DEPLOY / "README.md").read_text())[1].split()
        own = self.public_key(self.make_secrets(*options), "signal-hr")
        for name in NATS:
            self.start(name, BIN / "nats-server", *outside()["services"][name]["command"])
        for name in NATS:
            self.until(name, "curl", "--silent", "--fail", f"http://{name}:8222/healthz")
        self.once("nats-setup", parts.program("daypass"), *compose()["services"]["nats-setup"]["command"])

        said = self.told("nats-2", own, f"_INBOX.{own}", "hr.person_left")
        self.assertEqual(said[0], "told of []")
        self.assertEqual(json.loads(said[1])["stream"], "DAYPASS_SIGNALS")
        for prefix, subject in (("_INBOX", "hr.person_left"), (f"_INBOX.{own}", "tickets.person_left")):
            self.assertIn("Permissions Violation", self.told("nats-2", own, prefix, subject)[1])

        seed = self.state / "nats/seeds/bus-operator.nk"
        parked = ["signals", "parked", "list", "--server", "tls://nats-3:4222", "--ca-file", self.state / "ca.crt", "--seed", seed]
        self.assertIn("nothing is parked", parts.run([*self.machine.within("prometheus"), parts.program("daypass"), *parked]))

    def public_key(self, said, user):
        """As whoever makes the keys reads it."""
        return re.search(rf"(?m)/{user}\.nk  (U[A-Z2-7]+)$", said)[1]

    def told(self, server, public_key, inbox_prefix, subject):
        seed = self.state / "nats/seeds/signal-hr.nk"
        words = [f"{server}:4222", self.state / "ca.crt", seed, public_key, inbox_prefix, f"daypass.signals.v1.{subject}", "{}"]
        return parts.run([*self.machine.within("prometheus"), sys.executable, DEPLOY / "tests/other_system.py", *words]).splitlines()

    def start(self, name, *command, stand_in=False):
        return self.machine.start(name, command, self.state, stand_in)

    def once(self, name, *command, stand_in=False):
        self.assertEqual(self.start(name, *command, stand_in=stand_in).wait(STEP_SECONDS), 0, self.machine.said(name))

    def daypass(self, person, *words):
        """The command line, from a place that reaches all services."""
        environment = [f"DAYPASS_{name.upper()}_SERVER=https://{name}:8443" for name in SERVICES]
        environment += [f"DAYPASS_CA_FILE={self.state}/ca.crt", f"DAYPASS_TOKEN_FILE={self.folder}/tokens/{person}.token"]
        within = self.machine.within("prometheus")
        return [str(word) for word in [*within, "env", *environment, parts.program("daypass"), *words]]

    def said_to(self, person, *words):
        return parts.run(self.daypass(person, *words))

    def until(self, name, *command, wanted=""):
        """Asks until the answer has what is wanted."""
        end = time.monotonic() + STEP_SECONDS
        command = [str(word) for word in command]
        command = command if command[0] == "ip" else [*self.machine.within("prometheus"), *command]
        while True:
            asked = subprocess.run(command, capture_output=True, text=True)
            if asked.returncode == 0 and wanted in asked.stdout:
                return
            self.assertLess(time.monotonic(), end, f"{asked.stdout}{asked.stderr}\n{name}: {self.machine.said(name)}")
            time.sleep(0.5)


if __name__ == "__main__":
    unittest.main()
