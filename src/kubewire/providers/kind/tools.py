"""Install a lab's node tools in its node containers: by apt, or from packages that `prefetch` got."""

from __future__ import annotations

import io
import re
import tarfile
from collections.abc import Sequence
from pathlib import Path

from kubewire.core import paths, processes
from kubewire.core.errors import HostError, LabError
from kubewire.core.tarball import Bounds, read_members
from kubewire.providers.kind.node import script

SECONDS = 300.0
FETCH_SECONDS = 1800.0
BOUNDS = Bounds(file=256 << 20, total=1 << 30, members=1000)
PACKAGE = re.compile(r"[a-z0-9][a-z0-9.+-]*_[A-Za-z0-9.+~%-]+_[a-z0-9]+\.deb")
PACKAGES = {"nft": "nftables"}
"""A tool's command → its Debian package, where the two differ."""
DISTRIBUTION = """. /etc/os-release
printf '%s-%s-%s' "$ID" "${VERSION_CODENAME:-$VERSION_ID}" "$(dpkg --print-architecture)"
"""
FOLDER = "/var/cache/kubewire"
INSTALL = """
export DEBIAN_FRONTEND=noninteractive
if ls {folder}/*.deb >/dev/null 2>&1; then
  dpkg --install {folder}/*.deb >/tmp/kubewire-tools 2>&1 || {{ tail -n 3 /tmp/kubewire-tools; exit 1; }}
else
  {{ apt-get update -q -o Acquire::Retries=1 -o Acquire::http::Timeout=10 &&
    apt-get install -y -q --no-install-recommends {packages}; }} >/tmp/kubewire-tools 2>&1 ||
    {{ grep -E '^(E|Err)' /tmp/kubewire-tools | tail -n 3; exit 1; }}
fi
"""
FETCH = """
apt-get update -q && apt-get install -y -q --no-install-recommends --download-only {packages}
"""


def install(node: str, tools: Sequence[str]) -> None:
    """Install tools on a node; HostError with apt's message and alternatives."""
    packages = [PACKAGES.get(tool, tool) for tool in tools]
    cached = folder(_distribution(script(node, DISTRIBUTION)))
    if all(any(cached.glob(f"{package}_*.deb")) for package in packages):
        _copy(node, sorted(cached.glob("*.deb")))
    try:
        script(node, INSTALL.format(folder=FOLDER, packages=" ".join(packages)), seconds=SECONDS)
    except LabError as error:
        raise HostError(
            f"{', '.join(packages)} can't be installed: {error.what}",
            where=node,
            hint="if nodes can't access Debian's packages, get them beforehand: kubewire prefetch LAB "
            "--provider kind; or use a node image that holds them: kubewire image build",
        ) from error


def folder(distribution: str) -> Path:
    """`~/.cache/kubewire/packages/debian-trixie-amd64`: what `prefetch` got for such nodes."""
    return paths.cache_dir() / "packages" / distribution


def prefetch(image: str, tools: Sequence[str]) -> Path:
    """Get the packages of these tools, and all they need in that node image, into the cache.

    A throw-away container of the image fetches them, in this machine's own network.
    """
    run = ("docker", "run", "--rm", "--network", "host", "--entrypoint", "/bin/sh", image, "-c")
    packages = " ".join(PACKAGES.get(tool, tool) for tool in tools)
    told = processes.run([*run, DISTRIBUTION], timeout=SECONDS)
    text = f"({FETCH.format(packages=packages)}) >&2 && cd /var/cache/apt/archives && tar c *.deb"
    answer = processes.run([*run, text], timeout=FETCH_SECONDS)
    if told.code or answer.code:
        words = answer.err.splitlines()
        raise HostError(
            f"the packages {packages} for {image} can't be fetched: {words[-1] if words else told.err}",
            hint="give this machine access to Debian's packages",
        )
    target = folder(_distribution(told.out))
    try:
        packages_read = dict(read_members(io.BytesIO(answer.stdout), BOUNDS))
    except ValueError as error:
        raise HostError(f"the packages of {image} can't be read: {error}") from error
    if odd := next((name for name in packages_read if not PACKAGE.fullmatch(name)), ""):
        raise HostError(f"{image} gave {odd[:80]!r}, which is no Debian package")
    target.mkdir(parents=True, exist_ok=True)
    for name in packages_read:
        for former in target.glob(f"{name.partition('_')[0]}_*.deb"):
            former.unlink()
    for name, content in packages_read.items():
        (target / name).write_bytes(content)
    return target


def _distribution(text: str) -> str:
    """The image's distribution, such as `debian-trixie-amd64`; it is used as a folder name."""
    name = text.strip()
    if not re.fullmatch(r"[a-z0-9][a-z0-9.+~_-]{0,80}", name):
        raise HostError(f"the node says that its distribution is {name[:80]!r}")
    return name


def _copy(node: str, packages: Sequence[Path]) -> None:
    bundle = io.BytesIO()
    with tarfile.open(fileobj=bundle, mode="w") as archive:
        for package in packages:
            archive.add(package, package.name)
    command = f"mkdir -p {FOLDER} && tar x -C {FOLDER}"
    argv = ["docker", "exec", "-i", node, "sh", "-c", command]
    answer = processes.run(argv, data=bundle.getvalue(), timeout=SECONDS)
    if answer.code:
        raise LabError(f"the packages can't be copied: {answer.err}", where=node)
