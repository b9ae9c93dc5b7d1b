"""A Go module proxy in a folder (GOPROXY=file://…) that serves a tiny k8s.io/kubernetes of our own."""

from __future__ import annotations

import json
import zipfile
from dataclasses import dataclass
from pathlib import Path

STAGING = ("component-base", "client-go", "endpointslice", "sample-apiserver")

MAIN = """package main

import "k8s.io/component-base/version"

func main() { println(NAME, version.Get()) }
"""
VERSION = """package version

var gitVersion = "v0.0.0-master"

func Get() string { return gitVersion }
"""


@dataclass(frozen=True)
class ModuleProxy:
    """`publish_kubernetes` makes every module of a version; `withhold` takes one file away again."""

    root: Path

    @property
    def url(self) -> str:
        return f"file://{self.root}"

    def publish_kubernetes(self, version: str, main: str = MAIN) -> None:
        staged = f"v0.{version.removeprefix('v1.')}"
        required = "".join(f"\tk8s.io/{name} v0.0.0\n" for name in STAGING)
        module = f"module k8s.io/kubernetes\n\ngo 1.21\n\nrequire (\n{required})\n"
        commands = ("kube-proxy", "kube-apiserver", "kube-controller-manager", "kube-scheduler", "kubectl")
        sources = {f"cmd/{c}/main.go": main.replace("NAME", f'"{c}"') for c in commands}
        self._publish("k8s.io/kubernetes", version, module, sources)
        for name in STAGING:
            sources = (
                {"version/version.go": VERSION} if name == "component-base" else {"doc.go": "package doc\n"}
            )
            self._publish(f"k8s.io/{name}", staged, f"module k8s.io/{name}\n\ngo 1.21\n", sources)

    def withhold(self, module: str, version: str, *kinds: str) -> None:
        for kind in kinds:
            (self.root / module / "@v" / f"{version}.{kind}").unlink()

    def publish_kind(self, version: str) -> None:
        self._publish("sigs.k8s.io/kind", version, "module sigs.k8s.io/kind\n\ngo 1.21\n", {})

    def _publish(self, module: str, version: str, go_mod: str, sources: dict[str, str]) -> None:
        folder = self.root / module / "@v"
        folder.mkdir(parents=True, exist_ok=True)
        (folder / f"{version}.info").write_text(json.dumps({"Version": version}))
        (folder / f"{version}.mod").write_text(go_mod)
        with zipfile.ZipFile(folder / f"{version}.zip", "w") as archive:
            for name, text in {"go.mod": go_mod, **sources}.items():
                archive.writestr(f"{module}@{version}/{name}", text)
        with (folder / "list").open("a") as listed:
            listed.write(f"{version}\n")
