"""Runs services of deploy/compose.yaml without containers: each in a network namespace of its own, under the names, files, volumes,
environment and rights that the file gives it. Needs Linux, root and iproute2, as the tests of a NATS cluster do.

INVARIANT: nothing leaves the namespaces, which have no way out; what was started is ended, and what was made is removed.
"""

import os
import shutil
import signal
import subprocess
from pathlib import Path

import parts
from parts import DEPLOY, compose

NETWORK = "10.77.0"
# What a container begins with; paths that it shares with the machine are covered.
BEGIN = "set -e\nmount --make-rprivate /\nmount -t tmpfs none /run\n"
RIGHTS = f"setpriv --reuid {parts.USER} --regid {parts.USER} --clear-groups --no-new-privs --inh-caps=-all --bounding-set=-all"


class Machine:
    def __init__(self, names, folder):
        self.folder = Path(folder)
        self.folder.chmod(0o755)
        self.prefix = f"dp{os.getpid()}-"
        self.address = {name: f"{NETWORK}.{number}" for number, name in enumerate(names, start=10)}
        self.processes = {}

    def __enter__(self):
        try:
            self.make()
        except BaseException:
            self.__exit__()
            raise
        return self

    def make(self):
        bridge = self.space("bridge")
        parts.run(["ip", "netns", "add", bridge])
        parts.run(["ip", "-n", bridge, "link", "add", "br0", "type", "bridge"])
        parts.run(["ip", "-n", bridge, "link", "set", "br0", "up"])
        hosts = "".join(f"{address} {name}\n" for name, address in self.address.items())
        for number, name in enumerate(self.address):
            space, (inner, outer) = self.space(name), (f"in{number}", f"out{number}")
            parts.run(["ip", "netns", "add", space])
            parts.run(["ip", "link", "add", inner, "netns", space, "type", "veth", "peer", "name", outer, "netns", bridge])
            parts.run(["ip", "-n", space, "addr", "add", f"{self.address[name]}/24", "dev", inner])
            for device in ("lo", inner):
                parts.run(["ip", "-n", space, "link", "set", device, "up"])
            parts.run(["ip", "-n", bridge, "link", "set", outer, "master", "br0", "up"])
            # `ip netns exec` puts what is here into /etc.
            place = Path("/etc/netns") / space
            place.mkdir(parents=True)
            (place / "hosts").write_text("127.0.0.1 localhost\n" + hosts)

    def __exit__(self, *_):
        for process in self.processes.values():
            process.send_signal(signal.SIGKILL)
            process.wait()
        for name in [*self.address, "bridge"]:
            subprocess.run(["ip", "netns", "del", self.space(name)], capture_output=True)
            shutil.rmtree(Path("/etc/netns") / self.space(name), ignore_errors=True)

    def space(self, name):
        return self.prefix + name

    def start(self, name, command, secrets, stand_in=False):
        """A service of the file, with another program in the place of its image's. One that stands in for another keeps its rights: the
        interpreter that it needs may be in a folder of root's."""
        service = compose()["services"][name]
        script = [BEGIN]
        files = {
            use["target"]: Path(os.path.normpath(DEPLOY / compose()[kind][use["source"]]["file"]))
            for kind in ("configs", "secrets")
            for use in service.get(kind, [])
        }
        made = DEPLOY / "compose/state"
        files = {target: secrets / file.relative_to(made) if file.is_relative_to(made) else file for target, file in files.items()}
        for folder in sorted({"/".join(target.split("/")[:3]) for target in files}):
            script.append(f"mkdir -p {folder}\nmount -t tmpfs none {folder}")
        for target, file in files.items():
            script.append(f"mkdir -p $(dirname {target})\ncp {file} {target}\nchmod 0444 {target}")
        for volume in service.get("volumes", []):
            source, target = volume.split(":")
            place = self.folder / source
            place.mkdir(exist_ok=True)
            os.chown(place, parts.USER, parts.USER)
            script.append(f"mkdir -p {target}\nmount --bind {place} {target}")
        script.append('exec "$@"' if stand_in else f'exec {RIGHTS} "$@"')
        environment = {"PATH": os.environ["PATH"], "HOME": "/tmp"}
        environment |= {key: str(value) for key, value in service.get("environment", {}).items()}
        with open(self.folder / f"{name}.log", "ab") as log:
            self.processes[name] = subprocess.Popen(
                [*self.within(name), "bash", "-c", "\n".join(script), name, *map(str, command)],
                env=environment, stdout=log, stderr=log, stdin=subprocess.DEVNULL,
            )
        return self.processes[name]

    def within(self, name):
        return ["ip", "netns", "exec", self.space(name)]

    def said(self, name):
        return (self.folder / f"{name}.log").read_text()[-2000:]
