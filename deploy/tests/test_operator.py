"""Commands of operators run in the cluster: by what deploy/README.md says, in a pod that is spared nothing."""

import json
import os
import re
import shlex
import tempfile
import threading
import unittest
from functools import cache
from http.server import ThreadingHTTPServer
from pathlib import Path

import yaml

import parts
from parts import DEPLOY
from test_doctor import Api

# Each has the least that it needs: docs/operations.md, NATS.
SEEDS = {"signals": "bus-operator.nk", "check": "log-audit.nk", "discard": "log-setup.nk"}
README = (DEPLOY / "README.md").read_text()
RUNBOOK = (parts.ROOT / "docs/runbooks/signals-parked.md").read_text()
SECTION = README.split("### Commands of operators\n")[1].split("\n## ")[0]


def commands(text, begins):
    """Those that begin so, in words."""
    joined = re.sub(r"(\\|(?<=\|))\n", " ", text)
    return [shlex.split(line) for line in re.findall(rf"(?m)^ *({begins} .*)$", joined)]


def run():
    """What `operator` is, without what only a cluster has an answer to; `"$@"` is for the words of the command."""
    (words,) = commands(SECTION, "kubectl --namespace daypass run operator")
    assert words[-1] == "$@" and {"--rm", "--attach", "--quiet"} < set(words), words
    place = next(at for at, word in enumerate(words) if word.startswith("--overrides="))
    (file,) = re.findall(r"^--overrides=\$\(cat ([\w/.]+)\)$", words[place])
    words[place] = f"--overrides={(parts.ROOT / file).read_text()}"
    return [word for word in words[:-1] if word not in ("--rm", "--attach", "--quiet")]


@cache
def made():
    """The pod, as kubectl would have it made; what it asks of the cluster before is answered."""
    server = ThreadingHTTPServer(("127.0.0.1", 0), Api)
    server.pod = {"metadata": {"name": "nobody"}}
    threading.Thread(target=server.serve_forever, daemon=True).start()
    try:
        with tempfile.TemporaryDirectory() as home:
            kubectl, *words = run()
            place = words.index("--")
            words = [*words[:place], "--dry-run=client", "--output=json", "--", "signals", "parked", "list", "--after=17"]
            environment = os.environ | {"HOME": home, "KUBECONFIG": str(Path(home) / "none")}
            command = [parts.tool(kubectl), f"--server=http://127.0.0.1:{server.server_port}", *words]
            return json.loads(parts.run(command, env=environment))
    finally:
        server.shutdown()
        server.server_close()


def workload():
    """The pod in the form of what has pods."""
    return {"kind": "Job", "metadata": {"name": "operator"}, "spec": {"template": made()}}


class Operator(unittest.TestCase):
    def test_the_pod_is_valid_and_runs_the_command_once(self):
        with tempfile.TemporaryDirectory() as place:
            file = Path(place) / "pod.yaml"
            file.write_text(yaml.dump({key: value for key, value in made().items() if key != "status"}))
            said = parts.run([parts.TOOLS / "venv/bin/kubernetes-validate", "--strict", file])
            self.assertNotRegex(said, "(?i)warn|couldn't find")
        spec = made()["spec"]
        (container,) = spec["containers"]
        self.assertEqual(container["args"], ["signals", "parked", "list", "--after=17"])
        self.assertNotIn("command", container)
        # What is replayed or discarded is not to be once more.
        self.assertEqual(spec["restartPolicy"], "Never")

    def test_it_has_what_the_operator_brings_and_no_secret_of_ours_but_the_ca(self):
        (volume,) = made()["spec"]["volumes"]
        sources = [source["secret"] for source in volume["projected"]["sources"]]
        self.assertEqual(sources, [{"name": "nats-tls", "items": [{"key": "ca.crt", "path": "ca.crt"}]}, {"name": "daypass-operator"}])
        (mount,) = made()["spec"]["containers"][0]["volumeMounts"]
        self.assertEqual((mount["name"], mount["mountPath"], mount["readOnly"]), (volume["name"], "/run/daypass", True))

    def test_the_program_takes_every_command_and_finds_its_files_in_the_secret(self):
        checked = 0
        for block in re.findall(r"(?s)```text\n(.*?)```", SECTION + RUNBOOK):
            calls = commands(block, "operator")
            calls = [words for words in calls if words[1] != "()"]
            if not calls:
                continue
            (secret,) = commands(block, "kubectl --namespace daypass create secret generic daypass-operator")
            files = {Path(secret[at + 1]).name for at, word in enumerate(secret) if word == "--from-file"} | {"ca.crt"}
            self.assertIn(["kubectl", "--namespace", "daypass", "delete", "secret", "daypass-operator"], commands(block, "kubectl"))
            named = set()
            for _, *words in calls:
                here = ["a" * 32 if word == "ID" else word for word in words]
                parts.run([parts.program("daypass"), *here, "--help"])
                self.assertIn(f"/run/daypass/{SEEDS.get(words[0]) or SEEDS[words[1]]}", words)
                named |= {Path(word).name for word in words if word.startswith("/run/daypass/")}
                checked += 1
            self.assertEqual(named, files)
        self.assertEqual(checked, 5)

    def test_one_persons_key_is_brought_back_by_the_job_with_one_word_more(self):
        (patch,) = commands(SECTION, "kubectl kustomize")
        folder = patch[2].removeprefix("deploy/k8s/")
        first = patch.index("|")
        second = patch.index("|", first + 1)
        kubectl, *words = patch[first + 1:second]
        objects = parts.run([parts.tool("kubectl"), "kustomize", DEPLOY / "k8s" / folder])
        patched, at = parts.run([parts.tool(kubectl), *words], input=objects), 0
        found = {}
        while at < len(patched.rstrip()):
            it, length = json.JSONDecoder().raw_decode(patched[at:].lstrip())
            at += length + len(patched[at:]) - len(patched[at:].lstrip())
            found["=".join(("app.kubernetes.io/name", it["metadata"]["labels"]["app.kubernetes.io/name"]))] = it
        job = found[patch[patch.index("--selector") + 1]]
        (before,) = (it for it in parts.rendered(folder) if it["metadata"]["name"] == job["metadata"]["name"])
        words, added = ([*it["spec"]["template"]["spec"]["containers"][0]["args"]] for it in (before, job))
        self.assertEqual(added, [*words, "--person=ID"])
        parts.run([parts.program("daypass"), *words, f"--person={'a' * 32}", "--help"])


if __name__ == "__main__":
    unittest.main()
