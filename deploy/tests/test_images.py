"""What script/images makes: an image layout that holds together, small, not root, with a bill of materials; and a program that runs in it. What
a builder of the Containerfile is given of a checkout."""

import fnmatch
import hashlib
import io
import json
import os
import re
import shutil
import subprocess
import sys
import tarfile
import tempfile
import tomllib
import unittest
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT / "deploy/images"))

import assemble  # noqa: E402
import parts  # noqa: E402
import sbom  # noqa: E402

PROGRAM = "daypass-audit"
BINARY = Path(os.environ.get("CARGO_TARGET_DIR", ROOT / "target")) / "debug" / PROGRAM


def contents(tar):
    with tarfile.open(fileobj=io.BytesIO(tar)) as opened:
        return {entry.name: opened.extractfile(entry).read() if entry.isfile() else None for entry in opened}


class Images(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.folder = tempfile.TemporaryDirectory()
        place = Path(cls.folder.name)
        (place / "sbom").write_text(json.dumps(sbom.bill(PROGRAM)))
        # As script/images does it. A debug build shows the same as a release build, but for its size.
        subprocess.run(["strip", "-o", place / PROGRAM, BINARY], check=True)
        cls.layer = assemble.layer(PROGRAM, place / PROGRAM, place / "sbom")
        # Packed in haste: how well is script/images' business.
        cls.files = assemble.image(PROGRAM, cls.layer, "1.2.3", "amd64", level=1)

    @classmethod
    def tearDownClass(cls):
        cls.folder.cleanup()

    def blob(self, described):
        content = self.files["blobs/sha256/" + described["digest"].removeprefix("sha256:")]
        self.assertEqual(hashlib.sha256(content).hexdigest(), described["digest"].removeprefix("sha256:"))
        self.assertEqual(len(content), described["size"])
        return content

    def test_every_part_is_named_by_its_digest_and_size(self):
        (manifest,) = json.loads(self.files["index.json"])["manifests"]
        manifest = json.loads(self.blob(manifest))
        config = json.loads(self.blob(manifest["config"]))
        (layer,) = manifest["layers"]
        self.assertEqual(config["rootfs"]["diff_ids"], [assemble.digest(self.layer)])
        import gzip

        self.assertEqual(gzip.decompress(self.blob(layer)), self.layer)
        (legacy,) = json.loads(self.files["manifest.json"])
        self.assertEqual(legacy["RepoTags"], [f"{PROGRAM}:1.2.3"])
        for name in [legacy["Config"], *legacy["Layers"]]:
            self.assertIn(name, self.files)

    def test_the_process_is_not_root_and_owns_its_data_alone(self):
        (manifest,) = json.loads(self.files["index.json"])["manifests"]
        config = json.loads(self.blob(json.loads(self.blob(manifest))["config"]))["config"]
        self.assertEqual(config["User"], "65532:65532")
        self.assertEqual(config["Entrypoint"], ["/entrypoint"])
        with tarfile.open(fileobj=io.BytesIO(self.layer)) as tar:
            for entry in tar:
                mine = entry.name == "var/lib/daypass"
                self.assertEqual(entry.uid, 65532 if mine else 0, entry.name)
                self.assertEqual(entry.mode & 0o6000, 0, entry.name)
                if entry.isfile():
                    self.assertEqual(entry.mode & 0o022, 0, entry.name)

    def test_the_same_input_gives_the_same_bytes(self):
        place = Path(self.folder.name)
        again = assemble.layer(PROGRAM, place / PROGRAM, place / "sbom")
        self.assertEqual(again, self.layer)
        self.assertEqual(assemble.image(PROGRAM, again, "1.2.3", "amd64", level=1), self.files)

    def test_there_is_no_shell_and_nothing_else_to_run(self):
        names = [name for name, content in contents(self.layer).items() if content is not None]
        run = [name for name in names if name.startswith(("bin/", "sbin/", "usr/bin/", "usr/sbin/"))]
        self.assertEqual(run, [f"usr/bin/{PROGRAM}"])

    def test_the_bill_lists_what_is_linked_and_not_what_tests_use(self):
        found = json.loads(contents(self.layer)[f"usr/share/sbom/{PROGRAM}.cdx.json"])
        names = {component["name"] for component in found["components"]}
        self.assertLessEqual({"tonic", "rusqlite", "rustls", "projection"}, names)
        self.assertFalse({"proptest", "tempfile", "test-servers", "protox"} & names)
        refs = {component["bom-ref"] for component in found["components"]} | {found["metadata"]["component"]["bom-ref"]}
        for dependency in found["dependencies"]:
            self.assertLessEqual(set(dependency["dependsOn"]), refs)

    def test_the_program_runs_with_nothing_else_around_it(self):
        with tempfile.TemporaryDirectory() as root, tarfile.open(fileobj=io.BytesIO(self.layer)) as tar:
            tar.extractall(root, filter="fully_trusted")
            os.chmod(root, 0o755)
            (Path(root) / "broken.toml").write_text("[server]\nlisten = 1\n")
            run = ["chroot", "--userspec=65532:65532", root] if os.geteuid() == 0 else ["unshare", "--map-root-user", "chroot", root]
            run.append("/entrypoint")
            version = subprocess.run([*run, "--version"], capture_output=True, text=True, check=True).stdout
            self.assertRegex(version, r"\d+\.\d+\.\d+")
            checked = subprocess.run([*run, "--config", "/broken.toml", "--check"], capture_output=True, text=True)
            self.assertEqual(checked.returncode, 2, checked)
            self.assertIn("server.listen", checked.stderr)


CONTAINERFILE = (ROOT / "deploy/images/Containerfile").read_text()


def is_sent(path):
    """Whether a builder is given this file: as the last line of .dockerignore says that names it, or a folder that it is in."""
    sent = True
    for line in (ROOT / ".dockerignore").read_text().splitlines():
        names = line.removeprefix("!").split("/")
        folders = path.split("/")[: len(names)]
        if len(folders) == len(names) and all(map(fnmatch.fnmatchcase, folders, names)):
            sent = line.startswith("!")
    return sent


def secrets():
    """The files in a checkout that script/compose-secrets or deploy/README.md has its reader make, and nobody else may have."""
    script, readme = ((ROOT / name).read_text() for name in ("script/compose-secrets", "deploy/README.md"))
    state = re.search(r"DAYPASS_COMPOSE_STATE:-(.*)}", script)[1]
    folders = {f"{state}/nats", *re.findall(r"daypass nats config --out (\S+)", readme)}
    written = set(re.findall(r"(?m)[^|] > (\S+)$", readme))
    assert folders > {"nats"} and written >= {"wrapping.keys", "ada.token"}, (folders, written)
    in_folders = {f"{folder}/{name}" for folder in folders for name in ("accounts.conf", "nats-0.nats.conf", "seeds/log-setup.nk")}
    of_compose = {os.path.normpath(f"deploy/{secret['file']}") for secret in parts.compose()["secrets"].values()}
    return in_folders | written | of_compose | {f"{state}/ca.key"}


class Context(unittest.TestCase):
    """What of a checkout goes to a builder, and into the repository."""

    def test_no_secret_goes_to_a_builder(self):
        self.assertIn("COPY . .", CONTAINERFILE)
        for path in secrets() | {".git/config", "target/debug/daypass", ".tools/venv/bin/python", "data/keys.db"}:
            self.assertFalse(is_sent(path), path)

    def test_no_secret_goes_into_the_repository_and_nothing_of_the_repository_is_ignored(self):
        with tempfile.TemporaryDirectory() as folder:
            # Apart, so that no other rules of whoever runs this count.
            own = os.environ | {"GIT_CONFIG_GLOBAL": os.devnull, "GIT_CONFIG_NOSYSTEM": "1"}
            parts.run(["git", "init", "--quiet", folder], env=own)
            shutil.copy(ROOT / ".gitignore", folder)
            for path in sorted(secrets()):
                checked = subprocess.run(["git", "-C", folder, "check-ignore", "--quiet", path], env=own)
                self.assertEqual(checked.returncode, 0, path)
        self.assertEqual(parts.run(["git", "-C", ROOT, "ls-files", "--cached", "--ignored", "--exclude-standard"]), "")

    def test_a_builder_is_given_what_it_builds_from(self):
        members = tomllib.loads((ROOT / "Cargo.toml").read_text())["workspace"]["members"]
        folders = {folder.relative_to(ROOT) for member in members for folder in ROOT.glob(member)}
        self.assertGreater(len(folders), len(members))
        needed = {f"{folder}/{name}" for folder in folders for name in ("Cargo.toml", "src/lib.rs", "build.rs")}
        needed |= {str(proto.relative_to(ROOT)) for proto in (ROOT / "proto").rglob("*.proto")}
        run = set(re.findall(r"python3 (\S+\.py)", CONTAINERFILE))
        self.assertTrue(run)
        for path in needed | run | {"Cargo.toml", "Cargo.lock"}:
            self.assertTrue(is_sent(path), path)


if __name__ == "__main__":
    unittest.main()
