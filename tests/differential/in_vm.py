"""The oracle in a VM whose kernel has ip_vs: the same command, run there (`--host vm`)."""

from __future__ import annotations

import io
import subprocess
import tarfile
from collections.abc import Sequence
from pathlib import Path

from kubewire import progress
from kubewire.kubernetes.catalog import KUBE_PROXY, NEWEST, Artifact
from kubewire.kubernetes.fetchplan import Need, needs
from kubewire.kubernetes.versions import Components
from kubewire.vm import cache, disks, machine, recipe
from kubewire.vm.endpoint import Endpoint
from kubewire.vm.parts import prepare

NAME = "differential"
ROOT = Path(__file__).parents[2]
THERE = "/opt/kubewire/oracle"
INPUTS = ("tests/golden/dataplane/objects.yaml", "tests/golden/versions/more.yaml")
"""What it records is made of these."""
ONLY_HERE = ("hypothesis", "sortedcontainers")
"""What the oracle needs beside kubewire's own dependencies."""


def run_in_vm(arguments: Sequence[str], versions: Sequence[str], golden: Path) -> int:
    """Run the oracle with these arguments in a VM that ends with it; differences are kept here."""
    machine.remove(NAME)
    try:
        endpoint = machine.ensure(NAME, prepare(_needs(versions)), progress.emit)
        _ship(endpoint)
        settings = [f"{key}={value}" for key, value in endpoint.environment.items()]
        path = f"PYTHONPATH={THERE}/packages"
        program = [endpoint.python, f"{THERE}/tests/differential", *arguments]
        code = subprocess.run([*endpoint.ssh, "env", *settings, path, *program]).returncode
        _fetch(endpoint, golden)
    finally:
        machine.remove(NAME)
    return code


def _needs(versions: Sequence[str]) -> list[Need]:
    """The newest control plane, and of every other version its kube-proxy."""
    others = [version for version in versions if version != NEWEST]
    proxies = [(Artifact("kubernetes", version), (KUBE_PROXY,)) for version in others]
    return [*needs(Components(NEWEST, NEWEST), dns=False), *proxies]


def _ship(endpoint: Endpoint) -> None:
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w") as archive:
        for part in ("tests/differential", *INPUTS):
            archive.add(ROOT / part, part)
        archive.add(_packages(), "packages")
    unpack = f"mkdir -p {THERE} && tar -xf - -C {THERE} --no-same-owner"
    subprocess.run([*endpoint.ssh, unpack], input=buffer.getvalue(), check=True)


def _packages() -> Path:
    """hypothesis and what it needs, as locked, for the guest's Python."""
    every = (ROOT / "requirements/dev.txt").read_text()
    locked = recipe.picked(every, lambda name: name in ONLY_HERE)

    def make(folder: Path) -> None:
        disks.install(locked, folder, folder / "requirements.txt")

    return cache.part("oracle", recipe.packages_key(locked), 0.1, make, progress.emit)


def _fetch(endpoint: Endpoint, golden: Path) -> None:
    """What the oracle kept or recorded there."""
    packed = subprocess.run(
        [*endpoint.ssh, f"tar -cf - -C {THERE}/tests/golden ."], capture_output=True, check=True
    )
    with tarfile.open(fileobj=io.BytesIO(packed.stdout)) as archive:
        archive.extractall(golden, filter="data")
