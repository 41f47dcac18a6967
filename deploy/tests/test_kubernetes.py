"""deploy/k8s holds together: objects are valid, find each other, and spare no container. Whom they reach: `test_reach`."""

import os
import re
import signal
import subprocess
import tempfile
import tomllib
import unittest
from pathlib import Path

import yaml

import parts
import test_operator
from parts import DEPLOY, OVERLAYS, SERVICES, rendered

# What is applied once, and deleted again.
ONCE = ("setup", "restore")
PRODUCTION = ["overlays/production", *(f"overlays/production/{name}" for name in ONCE)]
OUTSIDE = parts.nats_outside()
FOLDERS = ["overlays/trial", *ONCE, *PRODUCTION, OUTSIDE]
# Kinds of cert-manager, of which no registry has the schemas: the fields that we use.
CERT_MANAGER = {
    "Issuer": {"selfSigned", "ca"},
    "Certificate": {
        "isCA", "commonName", "secretName", "duration", "renewBefore", "privateKey", "usages", "uris", "dnsNames", "issuerRef",
    },
}
# Made by people before, as deploy/README.md says; the rest is cert-manager's.
BY_HAND = {
    "nats-config", "nats-setup", "daypass-wrapping-keys", "daypass-backup-nats", "daypass-restore-nats", "daypass-operator",
    *(f"daypass-{service}-nats" for service in SERVICES),
}
WORKLOADS = ("StatefulSet", "Deployment", "Job", "CronJob")
NATS_HOSTS = [f"nats-{number}.nats" for number in range(3)]


def of_kind(folder, *kinds):
    return [it for it in rendered(folder) if it["kind"] in kinds]


def named(folder, kind, name):
    (found,) = (it for it in of_kind(folder, kind) if it["metadata"]["name"] == name)
    return found


def template(workload):
    """That of its pods, or of the pods of its jobs."""
    return workload["spec"].get("jobTemplate", workload)["spec"]["template"]


def pod(workload):
    return template(workload)["spec"]


def labels(workload):
    return template(workload)["metadata"]["labels"]


def secrets_of(workload):
    found = set()
    for volume in pod(workload)["volumes"]:
        if "secret" in volume:
            found.add(volume["secret"]["secretName"])
        found |= {source["secret"]["name"] for source in volume.get("projected", {}).get("sources", [])}
    return found


def containers_of(workload):
    return [*pod(workload).get("initContainers", []), *pod(workload)["containers"]]


def containers():
    """Every container, with its folder and its workload."""
    for folder in FOLDERS:
        for workload in of_kind(folder, *WORKLOADS):
            for container in containers_of(workload):
                yield f"{folder} {workload['metadata']['name']}", workload, container
    for container in containers_of(test_operator.workload()):
        yield "operator", test_operator.workload(), container


def selects(selector, found):
    """What Kubernetes makes of a label selector."""
    for key, value in selector.get("matchLabels", {}).items():
        if found.get(key) != value:
            return False
    for expression in selector.get("matchExpressions", []):
        assert expression["operator"] == "In", expression
        if found.get(expression["key"]) not in expression["values"]:
            return False
    return True


class Objects(unittest.TestCase):
    def test_they_are_valid_strictly(self):
        for folder in FOLDERS:
            with tempfile.TemporaryDirectory() as place:
                file = Path(place) / "all.yaml"
                file.write_text(yaml.dump_all(it for it in rendered(folder) if it["kind"] not in CERT_MANAGER))
                said = parts.run([parts.TOOLS / "venv/bin/kubernetes-validate", "--strict", file])
                self.assertNotRegex(said, "(?i)warn|couldn't find")

    def test_those_of_cert_manager_have_the_fields_that_there_are(self):
        for folder in FOLDERS:
            for it in of_kind(folder, *CERT_MANAGER):
                self.assertEqual(it["apiVersion"], "cert-manager.io/v1")
                self.assertLessEqual(set(it["spec"]), CERT_MANAGER[it["kind"]])

    def test_all_are_in_the_namespace_and_none_is_a_secret(self):
        for folder in FOLDERS:
            for it in rendered(folder):
                self.assertNotEqual(it["kind"], "Secret")
                place = it["metadata"].get("namespace") if it["kind"] != "Namespace" else it["metadata"]["name"]
                self.assertEqual(place, "daypass", it["metadata"]["name"])

    def test_no_placeholder_of_the_template_is_left(self):
        for folder in FOLDERS:
            text = yaml.dump_all(rendered(folder))
            self.assertNotRegex(text, r"of-the-service|of-cert-manager|of-nats|daypass-service")


class Containers(unittest.TestCase):
    def test_none_is_root_writes_to_its_image_or_has_rights(self):
        for where, workload, container in containers():
            context = container["securityContext"]
            self.assertIs(context["readOnlyRootFilesystem"], True, where)
            self.assertIs(context["allowPrivilegeEscalation"], False, where)
            self.assertEqual(context["capabilities"], {"drop": ["ALL"]}, where)
            self.assertIs(pod(workload)["securityContext"]["runAsNonRoot"], True, where)
            self.assertEqual(pod(workload)["securityContext"]["runAsUser"], parts.USER, where)
            self.assertEqual(pod(workload)["securityContext"]["seccompProfile"], {"type": "RuntimeDefault"}, where)
            self.assertIs(pod(workload)["automountServiceAccountToken"], False, where)

    def test_each_is_asked_whether_it_is_well_and_has_bounds(self):
        for where, workload, container in containers():
            self.assertIn("memory", container["resources"]["limits"], where)
            self.assertEqual(set(container["resources"]["requests"]), {"cpu", "memory"}, where)
            if workload["kind"] not in ("Job", "CronJob"):
                self.assertLessEqual({"readinessProbe", "livenessProbe"}, set(container), where)

    def test_images_are_ours_or_of_one_version(self):
        for where, _, container in containers():
            name, tag = re.fullmatch(r"(?:.*/)?([a-z0-9-]+)(:.*)", container["image"]).groups()
            if name.startswith("daypass"):
                self.assertIn(name, parts.IMAGES, where)
                self.assertEqual(tag, f":{parts.VERSION}", where)
            else:
                self.assertRegex(tag, parts.ONE_VERSION, where)

    def test_in_production_every_image_names_its_registry(self):
        found = set()
        for where, _, container in containers():
            if where.split()[0] in PRODUCTION:
                self.assertRegex(container["image"], r"^[a-z0-9-]+(\.[a-z0-9-]+)+/", where)
                found.add(container["image"].rsplit("/", 1)[1].split(":")[0])
        self.assertLessEqual(parts.IMAGES, found)

    def test_services_are_ready_by_their_health_and_live_while_they_listen(self):
        for overlay in OVERLAYS:
            for service in SERVICES:
                (container,) = pod(named(f"overlays/{overlay}", "StatefulSet", f"daypass-{service}"))["containers"]
                self.assertEqual(container["readinessProbe"]["grpc"], {"port": parts.HEALTH_PORT})
                self.assertEqual(container["livenessProbe"]["tcpSocket"], {"port": "grpc"})


class Selectors(unittest.TestCase):
    def test_each_workload_is_found_by_its_own_and_nobody_elses(self):
        for overlay in OVERLAYS:
            folder = f"overlays/{overlay}"
            workloads = of_kind(folder, "StatefulSet", "Deployment")
            for it in of_kind(folder, "StatefulSet", "PodDisruptionBudget", "Service"):
                selector = it["spec"]["selector"]
                selector = {"matchLabels": selector} if it["kind"] == "Service" else selector
                found = [one["metadata"]["name"] for one in workloads if selects(selector, labels(one))]
                name = it["metadata"]["name"].replace("daypass-api-", "daypass-")
                self.assertEqual(found, [name], f"{folder} {it['kind']}")

    def test_what_is_spread_is_told_from_its_own(self):
        for folder in FOLDERS:
            for workload in of_kind(folder, *WORKLOADS):
                affinity = pod(workload).get("affinity", {}).get("podAntiAffinity", {})
                terms = affinity.get("requiredDuringSchedulingIgnoredDuringExecution", [])
                for term in [*pod(workload).get("topologySpreadConstraints", []), *terms]:
                    own = {"app.kubernetes.io/name": workload["metadata"]["name"]}
                    self.assertEqual(term["labelSelector"]["matchLabels"], own)

    def test_what_is_several_may_lose_one_at_a_time(self):
        for overlay in OVERLAYS:
            folder = f"overlays/{overlay}"
            budgets = {it["metadata"]["name"]: it["spec"] for it in of_kind(folder, "PodDisruptionBudget")}
            stateful = {it["metadata"]["name"] for it in of_kind(folder, "StatefulSet")}
            self.assertEqual(set(budgets), stateful)
            self.assertEqual({budget["maxUnavailable"] for budget in budgets.values()}, {1})

    def test_production_has_replicas_and_nats_is_three_in_three_places(self):
        folder = "overlays/production"
        for service in SERVICES:
            self.assertGreaterEqual(named(folder, "StatefulSet", f"daypass-{service}")["spec"]["replicas"], 2)
        for overlay in OVERLAYS:
            self.assertEqual(named(f"overlays/{overlay}", "StatefulSet", "nats")["spec"]["replicas"], 3)
        nats = pod(named(folder, "StatefulSet", "nats"))
        self.assertEqual(nats["topologySpreadConstraints"][0]["whenUnsatisfiable"], "DoNotSchedule")
        self.assertIn("podAntiAffinity", nats["affinity"])


class Identity(unittest.TestCase):
    def test_each_service_is_known_by_the_one_uri_of_its_certificate(self):
        for overlay in OVERLAYS:
            folder = f"overlays/{overlay}"
            configuration = tomllib.loads((DEPLOY / "k8s" / folder / "daypass.toml").read_text())
            ids = {}
            for service in SERVICES:
                spec = named(folder, "Certificate", f"daypass-{service}")["spec"]
                (ids[service],) = spec["uris"]
                self.assertIn(f"daypass-{service}", spec["dnsNames"])
                self.assertLessEqual({"server auth", "client auth"}, set(spec["usages"]))
                self.assertIn(spec["secretName"], secrets_of(named(folder, "StatefulSet", f"daypass-{service}")))
            self.assertEqual({ids[name] for name in SERVICES if name != "request"}, parts.spiffe_ids(configuration))
            asked = environment_of(folder, "audit")["DAYPASS_NEIGHBOURS__REQUEST__SPIFFE_ID"]
            self.assertEqual(asked, ids["request"])

    def test_a_ca_that_is_renewed_keeps_its_key_and_overlaps_with_all_that_it_has_signed(self):
        def hours(spec, field):
            return int(spec[field].removesuffix("h"))

        for overlay in OVERLAYS:
            certificates = [it["spec"] for it in of_kind(f"overlays/{overlay}", "Certificate")]
            (ca,) = (it for it in certificates if it.get("isCA"))
            self.assertEqual(ca["privateKey"]["rotationPolicy"], "Never")
            for it in certificates:
                if it is not ca:
                    self.assertEqual(it["privateKey"]["rotationPolicy"], "Always")
                    self.assertGreater(hours(ca, "renewBefore"), hours(it, "duration"))

    def test_secrets_are_made_by_hand_or_by_cert_manager_and_the_readme_says_so(self):
        readme = (DEPLOY / "README.md").read_text()
        for service in SERVICES:
            self.assertIn(f"`daypass-{service}-nats`", readme.replace("daypass-SERVICE-nats", f"daypass-{service}-nats"))
        for name in BY_HAND - {f"daypass-{service}-nats" for service in SERVICES}:
            self.assertIn(f"`{name}`", readme)
        made = {it["spec"]["secretName"] for it in of_kind("overlays/production", "Certificate")}
        for folder in FOLDERS:
            for workload in of_kind(folder, "StatefulSet", "Job", "CronJob"):
                self.assertLessEqual(secrets_of(workload), made | BY_HAND, workload["metadata"]["name"])

    def test_the_roles_of_aws_are_those_of_the_templates(self):
        template = (DEPLOY / "aws/services.yaml").read_text()
        believed = set(re.findall(r"system:serviceaccount:\$\{Namespace\}:([a-z-]+)", template))
        roles = set(re.findall(r"RoleName: ([a-z-]+)", template))
        given = {}
        for account in of_kind("overlays/production", "ServiceAccount"):
            for role in account["metadata"].get("annotations", {}).values():
                given[account["metadata"]["name"]] = role.rsplit("/", 1)[1]
        self.assertEqual(given, {name: name for name in believed})
        self.assertEqual(set(given.values()), roles)

    def test_every_pod_runs_as_its_own_account(self):
        for overlay in OVERLAYS:
            for workload in of_kind(f"overlays/{overlay}", "StatefulSet"):
                name = workload["metadata"]["name"]
                self.assertEqual(pod(workload)["serviceAccountName"], name)
                account = named(f"overlays/{overlay}", "ServiceAccount", name)
                self.assertIs(account["automountServiceAccountToken"], False)


def environment_of(folder, service):
    """What a service finds in its environment."""
    (container,) = pod(named(folder, "StatefulSet", f"daypass-{service}"))["containers"]
    found = {}
    for source in container.get("envFrom", []):
        found |= named(folder, "ConfigMap", source["configMapRef"]["name"])["data"]
    for entry in container["env"]:
        value = entry.get("value", f"daypass-{service}-0")
        found[entry["name"]] = value.replace("$(POD_NAME)", f"daypass-{service}-0")
    return found


class Configuration(unittest.TestCase):
    def test_every_service_takes_it(self):
        for overlay in OVERLAYS:
            for service in SERVICES:
                file = DEPLOY / "k8s/overlays" / overlay / "daypass.toml"
                checked = parts.check_configuration(service, file, environment_of(f"overlays/{overlay}", service))
                self.assertEqual((checked.returncode, checked.stderr), (0, ""), f"{overlay} {service}")

    def test_who_calls_aws_knows_where_and_who_does_not_is_not_told(self):
        for overlay in OVERLAYS:
            for service in SERVICES:
                environment = environment_of(f"overlays/{overlay}", service)
                self.assertEqual("DAYPASS_AWS__REGION" in environment, service in ("request", "activation"))
                self.assertEqual("DAYPASS_NEIGHBOURS__REQUEST__ADDRESS" in environment, service != "request")

    def test_all_replicas_together_call_identity_center_no_more_than_aws_takes(self):
        for overlay in OVERLAYS:
            folder = f"overlays/{overlay}"
            calls = parts.calls_of_identity_center(
                DEPLOY / "k8s/overlays" / overlay / "daypass.toml",
                lambda service: environment_of(folder, service),
                lambda service: named(folder, "StatefulSet", f"daypass-{service}")["spec"]["replicas"],
            )
            self.assertLessEqual(calls, parts.calls_that_identity_center_takes(), overlay)

    def test_files_and_ports_are_where_the_configuration_says(self):
        for overlay in OVERLAYS:
            text = (DEPLOY / "k8s/overlays" / overlay / "daypass.toml").read_text()
            configuration = tomllib.loads(text)
            self.assertEqual(configuration["server"]["health_listen"], f"0.0.0.0:{parts.HEALTH_PORT}")
            (container,) = pod(named(f"overlays/{overlay}", "StatefulSet", "daypass-audit"))["containers"]
            mounts = {mount["mountPath"] for mount in container["volumeMounts"]}
            for folder in re.findall(r'"(/[a-z/]+)/[^/"]+"', text):
                self.assertIn(folder, mounts)


class Nats(unittest.TestCase):
    def test_servers_find_the_files_that_daypass_writes_and_sync_before_they_acknowledge(self):
        options = re.search(r"daypass nats config (--out nats --server nats-0.*)", (DEPLOY / "README.md").read_text())[1]
        stateful = named("overlays/production", "StatefulSet", "nats")
        (container,) = pod(stateful)["containers"]
        mounts = {mount["name"]: mount["mountPath"] for mount in container["volumeMounts"]}
        with tempfile.TemporaryDirectory() as folder:
            parts.run([parts.program("daypass"), "nats", "config", *options.split()], cwd=folder)
            for number in range(stateful["spec"]["replicas"]):
                argument = container["args"][-1].replace("$(POD_NAME)", f"nats-{number}")
                folder_there, name = argument.rsplit("/", 1)
                self.assertEqual(folder_there, mounts["config"])
                text = (Path(folder) / "nats" / name).read_text()
                self.assertRegex(text, r"(?m)^  sync_interval: always$")
                self.assertRegex(text, f'store_dir: "{mounts["data"]}/')
                self.assertIn(f'cert_file: "{mounts["tls"]}/tls.crt"', text)
            for host in NATS_HOSTS:
                self.assertIn(f"@{host}:6222", text)

    def test_a_server_knows_of_the_memory_that_its_container_may_take(self):
        for overlay in OVERLAYS:
            (container,) = pod(named(f"overlays/{overlay}", "StatefulSet", "nats"))["containers"]
            told = {variable["name"]: variable.get("value") for variable in container["env"]}["GOMEMLIMIT"]
            parts.assert_collects_garbage_in_time(self, container["resources"]["limits"]["memory"], told, overlay)

    def test_a_server_reads_certificates_that_are_renewed_while_it_runs(self):
        (container,) = pod(named("overlays/production", "StatefulSet", "nats"))["containers"]
        (mount,) = (mount["mountPath"] for mount in container["volumeMounts"] if mount["name"] == "tls")
        sh, option, script, name = container["command"]
        self.assertNotIn("$$", script)  # Kubernetes would make one of it
        self.assertIn("kill -HUP 1\n", script)
        with tempfile.TemporaryDirectory() as folder:
            place = Path(folder)
            for file in ("tls.crt", "ca.crt"):
                (place / file).write_text("old")
            # A server that says when it is told.
            server = place / name
            server.write_text("""#!/bin/sh
echo "started $*"
trap 'echo told' HUP
while :; do sleep 0.05; done
""")
            server.chmod(0o755)
            here = script.replace(mount, folder).replace("kill -HUP 1", "kill -HUP $$").replace("sleep 60", "sleep 0.1 && echo looked")
            environment = os.environ | {"PATH": f"{folder}:{os.environ['PATH']}"}
            command = [sh, option, here, name, "--config", "file"]
            pipes = {"stdout": subprocess.PIPE, "stderr": subprocess.STDOUT, "text": True}
            with subprocess.Popen(command, env=environment, start_new_session=True, **pipes) as running:
                try:
                    self.lines_until(running, "started --config file")
                    for file in ("tls.crt", "ca.crt"):
                        # A file that is not there is nothing new.
                        (place / file).rename(place / "away")
                        self.assertNotIn("told\n", self.lines_until(running, "cat: "))
                        (place / "away").write_text("new")
                        (place / "away").rename(place / file)
                        self.lines_until(running, "told")
                        self.assertEqual([running.stdout.readline() for _ in range(3)], ["looked\n"] * 3)
                finally:
                    os.killpg(running.pid, signal.SIGKILL)

    def lines_until(self, running, beginning):
        lines = []
        while len(lines) < 600:
            line = running.stdout.readline()
            if line.startswith(beginning):
                return lines
            lines.append(line)
        self.fail(f"not seen: {beginning} {lines}")

    def test_everybody_means_the_same_servers(self):
        certificate = named("overlays/production", "Certificate", "nats")["spec"]
        self.assertLessEqual(set(NATS_HOSTS), set(certificate["dnsNames"]))
        self.assertLessEqual({"server auth", "client auth"}, set(certificate["usages"]))
        for overlay in OVERLAYS:
            configuration = tomllib.loads((DEPLOY / "k8s/overlays" / overlay / "daypass.toml").read_text())
            for section in ("log", "keys", "bus"):
                self.assertEqual(configuration[section]["servers"], [f"tls://{host}:4222" for host in NATS_HOSTS])
            self.assertEqual(configuration["log"]["monitoring_urls"], [f"http://{host}:8222" for host in NATS_HOSTS])


class Backups(unittest.TestCase):
    """Copies of the log and of people's keys, and the way back."""

    def calls(self):
        """What `daypass` is told, with the volumes of its pod."""
        for folder, kind in (("overlays/production", "CronJob"), ("restore", "Job")):
            for workload in of_kind(folder, kind):
                for container in containers_of(workload):
                    if "args" in container:
                        yield container["args"], pod(workload)["volumes"]

    def test_the_program_takes_what_it_is_told_and_is_told_of_every_server(self):
        calls = list(self.calls())
        self.assertEqual([args[:2] for args, _ in calls].count(["log", "copy"]), 1)
        self.assertEqual(len(calls), 4)
        for args, volumes in calls:
            parts.run([parts.program("daypass"), *args, "--help"])
            self.assertIn(",".join(f"tls://{host}:4222" for host in NATS_HOSTS), args)
            asked = [word.split("=")[1] for word in args if word.startswith("--nats-monitoring=")]
            self.assertEqual(asked, [f"http://{host}:8222" for host in NATS_HOSTS] if args[0] == "log" else [])
            (identity,) = (volume["projected"]["sources"] for volume in volumes if volume["name"] == "identity")
            there = {f"/run/daypass/{item['path']}" for source in identity for item in source["secret"]["items"]}
            self.assertEqual({word.split("=")[1] for word in args if "=/run/" in word}, there)

    def test_who_copies_the_log_has_memory_for_ten_million_streams(self):
        pages = (parts.ROOT / "docs/operations.md").read_text()
        needed = 10_000_000 * int(re.search(r"keep some (\d+) bytes a stream", pages)[1])
        readme = (DEPLOY / "README.md").read_text()
        for folder, kind, name in (("overlays/production", "CronJob", "backup-log"), ("restore", "Job", "restore-log")):
            (container,) = pod(named(folder, kind, name))["containers"]
            limit = container["resources"]["limits"]["memory"]
            # And the program beside it.
            self.assertGreaterEqual(int(limit.removesuffix("Mi")) * 2**20, needed + 256 * 2**20, name)
            self.assertIn(f"`backup-log` and `restore-log` may take {limit}", readme)

    def test_who_copies_the_log_has_no_key_of_people_and_nobody_may_write_or_erase(self):
        has = {it["metadata"]["name"]: secrets_of(it) for it in of_kind("overlays/production", "CronJob")}
        self.assertEqual(has, {
            "backup-log": {"nats-tls", "daypass-backup-nats"},
            "backup-keys": {"nats-tls", "daypass-audit-nats", "daypass-wrapping-keys"},
        })

    def test_each_has_a_volume_of_its_own_which_the_way_back_reads(self):
        claims = {it["metadata"]["name"] for it in of_kind("overlays/production", "PersistentVolumeClaim")}
        self.assertEqual(claims, {"backup-log", "backup-keys"})
        for folder, kind in (("overlays/production", "CronJob"), ("restore", "Job")):
            for it in of_kind(folder, kind):
                name = it["metadata"]["name"].replace("restore-", "backup-")
                used = [one["persistentVolumeClaim"]["claimName"] for one in pod(it)["volumes"] if "persistentVolumeClaim" in one]
                self.assertEqual(used, [name])

    def test_the_newest_copy_of_keys_is_taken_back_and_old_ones_go(self):
        (keep,) = pod(named("overlays/production", "CronJob", "backup-keys"))["containers"]
        (choose,) = pod(named("restore", "Job", "restore-keys"))["initContainers"]
        with tempfile.TemporaryDirectory() as place:
            new, backup = Path(place) / "new", Path(place) / "backup"
            new.mkdir()
            backup.mkdir()
            old = backup / "keys-2020-01-01T0147.db"
            old.write_text("before somebody was erased")
            os.utime(old, (0, 0))
            (new / "keys.db").write_text("keys")
            self.run_here(keep, place)
            (kept,) = backup.iterdir()
            self.assertRegex(kept.name, r"^keys-\d{4}-\d\d-\d\dT\d{4}\.db$")
            self.assertEqual(kept.stat().st_mode & 0o077, 0)
            old.write_text("of another night")
            (new / "keys.db").unlink()
            self.run_here(choose, place)
            self.assertEqual((new / "keys.db").read_text(), "keys")

    def run_here(self, container, place):
        *shell, script = container["command"]
        parts.run([*shell, re.sub(r"/(?=(?:new|backup)\b)", f"{place}/", script)])


class Pages(unittest.TestCase):
    def test_who_restores_is_told_that_a_copy_is_not_to_be_started_on(self):
        for page in ("docs/operations.md", "docs/runbooks/restore.md"):
            bold = re.findall(r"\*\*([^*]+)\*\*", (parts.ROOT / page).read_text())
            told = [text for text in bold if "never to be started on without `daypass log restore`" in " ".join(text.split())]
            self.assertEqual(len(told), 1, page)

    def test_what_they_apply_is_there_and_in_production_only_that_of_production(self):
        for page in [DEPLOY / "README.md", *parts.ROOT.glob("docs/runbooks/*.md")]:
            for folder in re.findall(r"--kustomize deploy/k8s/([\w/-]+)", page.read_text()):
                self.assertIn(folder, PRODUCTION, page.name)


if __name__ == "__main__":
    unittest.main()
