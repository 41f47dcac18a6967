#!/usr/bin/env python3
"""An OCI image of one program, without a daemon and without a registry: a tar of an image layout, which docker, podman and skopeo load.

    assemble.py --program daypass-request --binary target/release/daypass-request --sbom FILE --version 0.1.0 --out daypass-request.tar

The same input gives the same bytes. A static program is alone in its image; one that is not takes the libraries along that it names.
"""

import argparse
import gzip
import hashlib
import io
import json
import subprocess
import tarfile
from pathlib import Path

USER = 65532
CERTIFICATES = Path("/etc/ssl/certs/ca-certificates.crt")
# Linux's names for what cargo calls a machine.
ARCHITECTURES = {"x86_64": "amd64", "aarch64": "arm64"}


class Layer:
    """The one layer, in the order in which it is filled."""

    def __init__(self):
        self.bytes = io.BytesIO()
        self.tar = tarfile.open(fileobj=self.bytes, mode="w", format=tarfile.PAX_FORMAT)
        self.folders = set()

    def folder(self, path, mode=0o755, owner=0):
        for parent in reversed(Path(path).parents):
            if parent != Path("."):
                self._folder(parent, 0o755, 0)
        self._folder(Path(path), mode, owner)

    def _folder(self, path, mode, owner):
        if path not in self.folders:
            self.folders.add(path)
            self._add(path, tarfile.DIRTYPE, mode, owner)

    def file(self, path, content, mode=0o644):
        self.folder(Path(path).parent)
        self._add(path, tarfile.REGTYPE, mode, 0, content)

    def link(self, path, to):
        self._add(path, tarfile.SYMTYPE, 0o777, 0, link=to)

    def _add(self, path, kind, mode, owner, content=b"", link=""):
        entry = tarfile.TarInfo(str(path))
        entry.type, entry.mode, entry.uid, entry.gid, entry.mtime = kind, mode, owner, owner, 0
        entry.size, entry.linkname = len(content), link
        self.tar.addfile(entry, io.BytesIO(content))

    def done(self):
        self.tar.close()
        return self.bytes.getvalue()


def libraries(binary):
    """What a program that is not static is linked with, by path; and the loader."""
    said = subprocess.run(["ldd", binary], capture_output=True, text=True)
    if said.returncode != 0 or "statically linked" in said.stdout:
        return []
    paths = [word for line in said.stdout.splitlines() for word in line.split() if word.startswith("/")]
    return sorted(set(paths))


def layer(program, binary, sbom):
    image = Layer()
    image.file(f"usr/bin/{program}", Path(binary).read_bytes(), 0o755)
    image.link("entrypoint", f"/usr/bin/{program}")
    for path in libraries(binary):
        image.file(path.lstrip("/"), Path(path).read_bytes(), 0o755)
    image.file("etc/passwd", f"daypass:x:{USER}:{USER}::/var/lib/daypass:/sbin/nologin\n".encode())
    image.file("etc/group", f"daypass:x:{USER}:\n".encode())
    image.file("etc/nsswitch.conf", b"hosts: files dns\n")
    image.file("etc/ssl/certs/ca-certificates.crt", CERTIFICATES.read_bytes())
    image.file(f"usr/share/sbom/{program}.cdx.json", Path(sbom).read_bytes())
    image.folder("var/lib/daypass", 0o700, USER)
    image.folder("tmp", 0o1777)
    return image.done()


def digest(content):
    return "sha256:" + hashlib.sha256(content).hexdigest()


def as_json(value):
    return json.dumps(value, sort_keys=True, separators=(",", ":")).encode()


def image(program, content, version, architecture, level=9):
    """The files of an image layout, by their names."""
    packed = gzip.compress(content, compresslevel=level, mtime=0)
    config = as_json(
        {
            "architecture": architecture,
            "os": "linux",
            "config": {
                "User": f"{USER}:{USER}",
                "Entrypoint": ["/entrypoint"],
                "WorkingDir": "/var/lib/daypass",
                "Env": ["SSL_CERT_FILE=/etc/ssl/certs/ca-certificates.crt"],
                "StopSignal": "SIGTERM",
                "Labels": {
                    "org.opencontainers.image.title": program,
                    "org.opencontainers.image.version": version,
                    "org.opencontainers.image.licenses": "Apache-2.0",
                },
            },
            "rootfs": {"type": "layers", "diff_ids": [digest(content)]},
        }
    )
    manifest = as_json(
        {
            "schemaVersion": 2,
            "mediaType": "application/vnd.oci.image.manifest.v1+json",
            "config": {"mediaType": "application/vnd.oci.image.config.v1+json", "digest": digest(config), "size": len(config)},
            "layers": [{"mediaType": "application/vnd.oci.image.layer.v1.tar+gzip", "digest": digest(packed), "size": len(packed)}],
        }
    )
    name = f"{program}:{version}"
    index = as_json(
        {
            "schemaVersion": 2,
            "manifests": [
                {
                    "mediaType": "application/vnd.oci.image.manifest.v1+json",
                    "digest": digest(manifest),
                    "size": len(manifest),
                    "annotations": {"org.opencontainers.image.ref.name": version, "io.containerd.image.name": name},
                }
            ],
        }
    )
    files = {"oci-layout": as_json({"imageLayoutVersion": "1.0.0"}), "index.json": index}
    for blob in (packed, config, manifest):
        files["blobs/sha256/" + digest(blob).removeprefix("sha256:")] = blob
    # For `docker load` of versions that know no image layouts.
    files["manifest.json"] = as_json(
        [
            {
                "Config": "blobs/sha256/" + digest(config).removeprefix("sha256:"),
                "RepoTags": [name],
                "Layers": ["blobs/sha256/" + digest(packed).removeprefix("sha256:")],
            }
        ]
    )
    return files


def write(files, out):
    with tarfile.open(out, "w", format=tarfile.PAX_FORMAT) as tar:
        for name in sorted(files):
            entry = tarfile.TarInfo(name)
            entry.size, entry.mode, entry.mtime = len(files[name]), 0o644, 0
            tar.addfile(entry, io.BytesIO(files[name]))


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    for option in ("program", "binary", "sbom", "version", "out"):
        parser.add_argument(f"--{option}", required=True)
    parser.add_argument("--machine", default="x86_64", choices=sorted(ARCHITECTURES))
    arguments = parser.parse_args()
    content = layer(arguments.program, arguments.binary, arguments.sbom)
    write(image(arguments.program, content, arguments.version, ARCHITECTURES[arguments.machine]), arguments.out)


if __name__ == "__main__":
    main()
