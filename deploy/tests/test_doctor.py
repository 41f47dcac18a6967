"""The doctor finds itself where a service is: by the commands of docs/operations.md, on Kubernetes and with compose."""

import json
import os
import re
import shlex
import tempfile
import threading
import unittest
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import yaml

import parts
from parts import DEPLOY, SERVICES, compose, rendered

PAGE = (parts.ROOT / "docs/operations.md").read_text()


def command(begins):
    """The one on the page that begins so, in words."""
    (found,) = re.findall(rf"(?m)^{begins}(?:.*\\\n)*.*$", PAGE)
    return shlex.split(found.replace("\\\n", " "))


def numbered(data):
    """A message of protobuf, which kubectl sends: the values of each field, by its number, as they are on the wire."""
    found, at = {}, 0

    def varint():
        nonlocal at
        number, shift = 0, 0
        while True:
            byte = data[at]
            at += 1
            number |= (byte & 0x7F) << shift
            shift += 7
            if byte < 0x80:
                return number

    while at < len(data):
        tag = varint()
        value = varint()
        if tag & 7 == 2:
            at, value = at + value, data[at:at + value]
        else:
            assert tag & 7 == 0, "no pod has other types"
        found.setdefault(tag >> 3, []).append(value)
    return found


def texts(values):
    return [value.decode() for value in values]


class Made:
    """The pod that kubectl has made. Numbers of fields are those of k8s.io/api/core/v1/generated.proto."""

    def __init__(self, body):
        assert body.startswith(b"k8s\0")
        (raw,) = numbered(body[4:])[2]
        pod = numbered(raw)
        metadata, spec = (numbered(pod[number][0]) for number in (1, 2))
        labels = (numbered(label) for label in metadata[11])
        (container,) = spec[2]
        container = numbered(container)
        names = {kind: [numbered(one) for one in container.get(number, [])] for kind, number in (("env", 7), ("mounts", 9))}
        context = numbered(container[15][0])
        self.name, self.node = texts([metadata[1][0], spec[10][0]])
        self.labels = dict(texts([label[1][0], label[2][0]]) for label in labels)
        self.account = texts(spec[8])
        self.volumes = texts(numbered(volume)[1][0] for volume in spec[1])
        self.container, self.image = texts([container[1][0], container[2][0]])
        self.command, self.args = (texts(container.get(number, [])) for number in (3, 4))
        self.env = texts(one[1][0] for one in names["env"])
        self.sources = len(container.get(19, []))
        self.mounts = {tuple(texts([one[1][0], one[3][0]])) for one in names["mounts"]}
        self.is_asked_whether_it = {"lives": 10 in container, "is ready": 11 in container}
        self.capabilities = numbered(context[1][0])


class Api(BaseHTTPRequestHandler):
    """As much of a cluster as `kubectl debug` asks for. `server.pod` is there; what is made is kept in `server.made`."""

    resources = [{"name": "pods", "singularName": "pod", "namespaced": True, "kind": "Pod", "verbs": ["get", "create"]}]

    def do_GET(self):
        of_path = {
            "/api": {"kind": "APIVersions", "versions": ["v1"]},
            "/apis": {"kind": "APIGroupList", "apiVersion": "v1", "groups": []},
            "/api/v1": {"kind": "APIResourceList", "groupVersion": "v1", "resources": self.resources},
            f"/api/v1/namespaces/daypass/pods/{self.server.pod['metadata']['name']}": self.server.pod,
        }
        found = of_path.get(self.path.split("?")[0])
        self.answer(404 if found is None else 200, found or {"kind": "Status", "apiVersion": "v1", "status": "Failure", "code": 404})

    def do_POST(self):
        self.server.made = Made(self.rfile.read(int(self.headers["Content-Length"])))
        self.answer(201, self.server.pod)

    def answer(self, code, it):
        body = json.dumps(it).encode()
        self.send_response(code)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_):
        pass


class Kubernetes(unittest.TestCase):
    def pod_of(self, service):
        """The first of a service in production, as its StatefulSet makes it."""
        wanted = ("StatefulSet", f"daypass-{service}")
        (stateful,) = (it for it in rendered("overlays/production") if (it["kind"], it["metadata"]["name"]) == wanted)
        template = stateful["spec"]["template"]
        name = f"daypass-{service}-0"
        data = {"name": "data", "persistentVolumeClaim": {"claimName": f"data-{name}"}}
        spec = template["spec"] | {"nodeName": "node-1", "volumes": [*template["spec"]["volumes"], data]}
        return {"apiVersion": "v1", "kind": "Pod", "metadata": template["metadata"] | {"name": name, "namespace": "daypass"}, "spec": spec}

    def made_by(self, words, pod):
        server = ThreadingHTTPServer(("127.0.0.1", 0), Api)
        server.pod, server.made = pod, None
        threading.Thread(target=server.serve_forever, daemon=True).start()
        try:
            with tempfile.TemporaryDirectory() as home:
                environment = os.environ | {"HOME": home, "KUBECONFIG": str(Path(home) / "none")}
                kubectl, *words = words
                parts.run([parts.tool(kubectl), f"--server=http://127.0.0.1:{server.server_port}", *words], env=environment)
        finally:
            server.shutdown()
            server.server_close()
        return server.made

    def test_it_has_a_services_place_its_files_environment_and_rights_and_no_callers(self):
        words = command("kubectl --namespace daypass debug ")
        for service in SERVICES:
            pod = self.pod_of(service)
            spec = pod["spec"]
            (container,) = spec["containers"]
            made = self.made_by([word.replace("approval", service) for word in words], pod)
            self.assertEqual((made.name, made.container), ("doctor", container["name"]))
            self.assertEqual((made.command, made.args), ([], ["doctor", f"--service={service}"]))
            self.assertEqual(made.image, container["image"].replace(f"daypass-{service}", "daypass"))
            self.assertEqual((made.node, made.account), (spec["nodeName"], [spec["serviceAccountName"]]))
            self.assertEqual(made.labels, pod["metadata"]["labels"])
            self.assertEqual(made.volumes, [volume["name"] for volume in spec["volumes"]])
            self.assertEqual(made.mounts, {(mount["name"], mount["mountPath"]) for mount in container["volumeMounts"]})
            self.assertEqual(made.env, [entry["name"] for entry in container["env"]])
            self.assertEqual(made.sources, len(container.get("envFrom", [])))
            self.assertEqual(made.is_asked_whether_it, {"lives": False, "is ready": True})
            self.assertEqual(made.capabilities, {2: [b"ALL"]})  # dropped, and none added


class Compose(unittest.TestCase):
    def test_each_service_becomes_the_doctor_in_its_place_and_nothing_else(self):
        doctor = yaml.safe_load((DEPLOY / "compose/doctor.yaml").read_text())["services"]
        self.assertEqual(set(doctor), set(SERVICES))
        for service, said in doctor.items():
            self.assertEqual(set(said), {"image", "command"})
            self.assertEqual(said["image"], compose()["services"]["nats-setup"]["image"])
            self.assertEqual(said["command"], ["doctor", f"--service={service}"])
            self.assertIn("DAYPASS_CONFIG", compose()["services"][service]["environment"])
            parts.run([parts.program("daypass"), *said["command"], "--help"])

    def test_the_page_names_both_files_and_a_service(self):
        words = command("docker compose .*doctor")
        files = [words[place + 1] for place, word in enumerate(words) if word == "--file"]
        self.assertEqual(files, ["deploy/compose.yaml", "deploy/compose/doctor.yaml"])
        self.assertIn(words[-1], SERVICES)


if __name__ == "__main__":
    unittest.main()
