"""What NATS servers tell clients when they are started as deploy/ starts them: no address of another server, for a pod's or a container's is
in no certificate, and nobody outside reaches it."""

import json
import os
import signal
import socket
import subprocess
import tempfile
import time
import unittest
import urllib.request
from pathlib import Path

import parts
from test_compose import environment_of, outside
from test_kubernetes import named, pod

# Longer than servers take to find each other, on a machine that is busy.
STEP_SECONDS = 60


def free_ports(count):
    """Of this machine, all at once, so that none is given twice."""
    held = [socket.create_server(("127.0.0.1", 0)) for _ in range(count)]
    ports = [one.getsockname()[1] for one in held]
    for one in held:
        one.close()
    return ports


class Cluster:
    """Two servers with these words of the command line beside their configuration, and JetStream if they are told of memory."""

    def __init__(self, words, folder, memory=None):
        self.ports = [free_ports(3) for _ in range(2)]
        routes = ", ".join(f'"nats-route://127.0.0.1:{route}"' for _, route, _ in self.ports)
        self.servers = []
        for number, (client, route, monitoring) in enumerate(self.ports):
            file = Path(folder) / f"{number}.conf"
            file.write_text(
                f'server_name: "{number}"\nlisten: "0.0.0.0:{client}"\nhttp: "127.0.0.1:{monitoring}"\n'
                f'cluster {{ name: "daypass", listen: "127.0.0.1:{route}", routes: [{routes}] }}\n'
            )
            command = [parts.TOOLS / "venv/bin/nats-server", "--config", file, *words]
            environment = os.environ
            if memory:
                command += ["--jetstream", "--store_dir", Path(folder) / str(number)]
                environment = os.environ | {"GOMEMLIMIT": memory}
            self.servers.append(subprocess.Popen(command, env=environment, stderr=subprocess.DEVNULL))

    def __enter__(self):
        end = time.monotonic() + STEP_SECONDS
        while not all(self.has_a_neighbour(monitoring) for _, _, monitoring in self.ports):
            assert time.monotonic() < end, "servers do not find each other"
            time.sleep(0.1)
        return self

    def __exit__(self, *_):
        for server in self.servers:
            server.kill()
            server.wait()

    def has_a_neighbour(self, monitoring):
        return self.asked(monitoring, "routez").get("num_routes", 0) > 0

    def asked(self, monitoring, about):
        try:
            with urllib.request.urlopen(f"http://127.0.0.1:{monitoring}/{about}") as answer:
                return json.load(answer)
        except OSError:
            return {}

    def reload(self):
        """As after each renewal of the certificate."""
        before = [self.asked(monitoring, "varz")["config_load_time"] for _, _, monitoring in self.ports]
        end = time.monotonic() + STEP_SECONDS
        for server, (_, _, monitoring), loaded in zip(self.servers, self.ports, before, strict=True):
            server.send_signal(signal.SIGHUP)
            while self.asked(monitoring, "varz").get("config_load_time", loaded) == loaded:
                assert time.monotonic() < end, "a server does not reload"
                time.sleep(0.1)

    def told(self):
        """The addresses that a client hears of from each."""
        return [self.greeting(client).get("connect_urls", []) for client, _, _ in self.ports]

    def greeting(self, client):
        with socket.create_connection(("127.0.0.1", client)) as connection, connection.makefile("rb") as lines:
            return json.loads(lines.readline().removeprefix(b"INFO "))


class Told(unittest.TestCase):
    def told_by_servers_with(self, words):
        with tempfile.TemporaryDirectory() as folder, Cluster(words, folder) as cluster:
            before = cluster.told()
            cluster.reload()
            return before, cluster.told()

    def words(self, command):
        """All of a command line but the configuration."""
        place = command.index("--config")
        return command[:place] + command[place + 2:]

    def test_on_kubernetes_they_tell_of_no_other_server(self):
        (container,) = pod(named("overlays/production", "StatefulSet", "nats"))["containers"]
        self.assertEqual(self.told_by_servers_with(self.words(container["args"])), ([[], []], [[], []]))

    def test_with_compose_they_tell_of_no_other_server_once_they_are_open_to_the_machine(self):
        for name, server in outside()["services"].items():
            with self.subTest(name):
                self.assertEqual(self.told_by_servers_with(self.words(server["command"])), ([[], []], [[], []]))

    def test_a_server_that_is_not_told_so_tells_of_others(self):
        for told in self.told_by_servers_with([]):
            self.assertTrue(all(told), told)


class Memory(unittest.TestCase):
    """What `daypass doctor` is told that a server may take."""

    def test_a_server_tells_of_what_it_is_told_and_not_of_the_machine(self):
        (container,) = pod(named("overlays/production", "StatefulSet", "nats"))["containers"]
        on_kubernetes = {variable["name"]: variable.get("value") for variable in container["env"]}["GOMEMLIMIT"]
        for told in {on_kubernetes, environment_of("nats-1")["GOMEMLIMIT"]}:
            with tempfile.TemporaryDirectory() as folder, Cluster([], folder, memory=told) as cluster:
                for _, _, monitoring in cluster.ports:
                    self.assertEqual(cluster.asked(monitoring, "varz")["gomemlimit"], parts.bytes_of(told))


if __name__ == "__main__":
    unittest.main()
