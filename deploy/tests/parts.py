"""What several tests read: the files of the deployments as programs see them, our programs, the tools."""

import os
import re
import shutil
import subprocess
import tempfile
import tomllib
from functools import cache
from pathlib import Path

import yaml

ROOT = Path(__file__).resolve().parents[2]
DEPLOY = ROOT / "deploy"
TOOLS = ROOT / ".tools"
OVERLAYS = ("trial", "production")
SERVICES = ("request", "approval", "activation", "audit")
# As script/images calls them.
IMAGES = set(re.search(r"^programs=\((.*)\)$", (ROOT / "script/images").read_text(), re.MULTILINE)[1].split())
VERSION = tomllib.loads((ROOT / "Cargo.toml").read_text())["workspace"]["package"]["version"]
# A tag that names one version, not what is newest of it.
ONE_VERSION = r":v?\d+\.\d+\.\d+(-alpine)?$"
USER = 65532
HEALTH_PORT = 8086


def run(command, **options):
    """What a program prints; what it complains about, if it fails."""
    done = subprocess.run([str(word) for word in command], capture_output=True, text=True, **options)
    if done.returncode != 0:
        raise AssertionError(f"{command}: {done.stdout}{done.stderr}")
    return done.stdout


def program(name):
    """One of ours, as `cargo build --workspace --bins` leaves it."""
    path = Path(os.environ.get("CARGO_TARGET_DIR", ROOT / "target")) / "debug" / name
    assert path.exists(), f"{path} is not there: cargo build --workspace --bins"
    return path


@cache
def tool(path):
    """What script/install-test-tools brought, or where it has none for this machine, what is on the PATH."""
    own = TOOLS / path
    found = own if own.exists() else shutil.which(own.name)
    assert found, f"there is no {own.name}: script/install-test-tools"
    return found


@cache
def rendered(folder):
    """The objects of a folder of deploy/k8s, as `kubectl apply --kustomize` would send them."""
    return list(yaml.safe_load_all(run([tool("kubectl"), "kustomize", DEPLOY / "k8s" / folder])))


COPY = tempfile.TemporaryDirectory()


@cache
def nats_outside():
    """The folder of a copy of production in which NATS is open to outside of the cluster, as its kustomization.yaml says how."""
    for folder in ("k8s", "observe"):
        shutil.copytree(DEPLOY / folder, Path(COPY.name) / folder)
    folder = Path(COPY.name) / "k8s/overlays/production"
    file = folder / "kustomization.yaml"
    off = file.read_text()
    assert off.count("  # - nats-outside\n") == 1
    file.write_text(off.replace("  # - nats-outside\n", "  - nats-outside\n"))
    return str(folder)


@cache
def compose():
    return yaml.safe_load((DEPLOY / "compose.yaml").read_text())


def bytes_of(amount):
    """Of memory, as Kubernetes (`4Gi`), compose (`2048m`) and Go (`1843MiB`) write it: powers of two in all that we use."""
    number, unit = re.fullmatch(r"(\d+)(Mi|Gi|m|g|MiB|GiB)", amount).groups()
    return int(number) << (20 if unit[0] in "Mm" else 30)


def assert_collects_garbage_in_time(test, limit, told, where):
    """A program in Go that is told what it may take, with room for what is not collected; and not so much room that it collects all the time."""
    test.assertLessEqual(bytes_of(told), bytes_of(limit) * 9 // 10, where)
    test.assertGreaterEqual(bytes_of(told), bytes_of(limit) * 8 // 10, where)


def check_configuration(service, file, environment):
    """What the service's own program says of a configuration in this environment."""
    inherited = {name: value for name, value in os.environ.items() if not name.startswith("DAYPASS_")}
    command = [program(f"daypass-{service}"), "--config", file, "--check"]
    return subprocess.run(command, env=inherited | environment, capture_output=True, text=True)


# Where the program has what it takes for a setting that is left out.
DEFAULTS = {
    ("activation", "calls_per_second"): ("activation.rs", r"(?m)^\s+calls_per_second: (\d+),$"),
    ("activation", "organisation_sweep_calls_per_second"): ("activation.rs", r"(?m)^\s+organisation_sweep_calls_per_second: (\d+),$"),
    ("aws", "permission_set_calls_per_second"): ("aws.rs", r"fn permission_set_calls_per_second\(\) -> u32 \{\s+(\d+)\s+\}"),
}


def number(file, environment, section, field):
    """A setting, as a process finds it that has this file and this environment."""
    told = environment.get(f"DAYPASS_{section}__{field}".upper())
    told = told or tomllib.loads(file.read_text()).get(section, {}).get(field)
    if told is None:
        source, pattern = DEFAULTS[section, field]
        told = re.search(pattern, (ROOT / "crates/wiring/src/settings" / source).read_text())[1]
    return int(told)


def calls_of_identity_center(file, environment_of, replicas_of):
    """How many a second all replicas together may make, as docs/operations.md counts them; the last two are functions of a service."""
    changing = number(file, environment_of("activation"), "activation", "calls_per_second")
    looking = number(file, environment_of("activation"), "activation", "organisation_sweep_calls_per_second") / 2
    reading = number(file, environment_of("request"), "aws", "permission_set_calls_per_second")
    return changing + reading * replicas_of("request") + looking * (replicas_of("activation") - 1)


def calls_that_identity_center_takes():
    source = (ROOT / "crates/aws/src/assignments.rs").read_text()
    return int(re.search(r"IDENTITY_CENTER: Self =\s+Self \{ calls_per_second: (\d+),", source)[1])


def spiffe_ids(configuration):
    """Who is known by a certificate, besides `request`, whom nobody must know."""
    return {service["spiffe_id"] for service in configuration["roles"]["services"]}
