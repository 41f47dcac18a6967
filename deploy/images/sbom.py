#!/usr/bin/env python3
"""The bill of materials of one program, as CycloneDX 1.6, from what cargo resolved. Needs no network.

    sbom.py daypass-request > daypass-request.cdx.json
"""

import json
import subprocess
import sys


def metadata():
    # As script/images builds it.
    command = ["cargo", "metadata", "--format-version", "1", "--locked", "--offline", "--features", "kurrentdb"]
    host = subprocess.run(["rustc", "-vV"], check=True, capture_output=True, text=True).stdout
    target = next(line.split(": ")[1] for line in host.splitlines() if line.startswith("host: "))
    return json.loads(subprocess.run([*command, "--filter-platform", target], check=True, capture_output=True, text=True).stdout)


def linked(nodes, root):
    """The packages that end up in a program: normal dependencies, not those of builds and tests."""
    found, open_ends = set(), [root]
    while open_ends:
        package = open_ends.pop()
        if package in found:
            continue
        found.add(package)
        for dependency in nodes[package]["deps"]:
            if any(kind["kind"] is None for kind in dependency["dep_kinds"]):
                open_ends.append(dependency["pkg"])
    return found


def component(package, kind="library"):
    it = {"type": kind, "bom-ref": package["id"], "name": package["name"], "version": package["version"]}
    if package.get("license"):
        it["licenses"] = [{"expression": package["license"].replace("/", " OR ")}]
    if package["source"]:
        it["purl"] = f"pkg:cargo/{package['name']}@{package['version']}"
    return it


def bill(program, found=None):
    found = found or metadata()
    packages = {package["id"]: package for package in found["packages"]}
    nodes = {node["id"]: node for node in found["resolve"]["nodes"]}

    def makes(package):
        return any("bin" in target["kind"] and target["name"] == program for target in package["targets"])

    root = next(id for id in found["workspace_members"] if makes(packages[id]))
    inside = linked(nodes, root)
    return {
        "bomFormat": "CycloneDX",
        "specVersion": "1.6",
        "version": 1,
        "metadata": {"component": component(packages[root], "application") | {"name": program}},
        "components": [component(packages[id]) for id in sorted(inside - {root})],
        "dependencies": [
            {"ref": id, "dependsOn": sorted(dep["pkg"] for dep in nodes[id]["deps"] if dep["pkg"] in inside)} for id in sorted(inside)
        ],
    }


if __name__ == "__main__":
    json.dump(bill(sys.argv[1]), sys.stdout, indent=1)
    print()
