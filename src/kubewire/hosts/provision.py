"""kubewire on another host: its locked dependencies and itself, in the cache of the user there.

Both lie in folders named by what they hold, so a second run finds them and does nothing, and labs that run
from another version keep theirs.
"""

from __future__ import annotations

import os
import re
import shlex
import sys
import tempfile
from dataclasses import dataclass
from pathlib import Path

from kubewire.core import bundle, progress
from kubewire.core.errors import HostError
from kubewire.core.locks import locked
from kubewire.core.paths import cache_dir
from kubewire.core.printable import one_line
from kubewire.core.processes import run as run_here
from kubewire.core.timeouts import scaled
from kubewire.hosts import scripts
from kubewire.hosts.ssh_target import Run

PLATFORMS = {"x86_64": "x86_64", "amd64": "x86_64", "aarch64": "aarch64", "arm64": "aarch64"}
GLIBC = ("2014", "_2_28", "_2_34")
"""The manylinux tags that Debian 12 and newer can run."""
DOWNLOAD_SECONDS = 1800.0
ANSWERS = {
    "base": re.compile(r"/[^\0\n]{0,1000}"),
    "system": re.compile(r"[A-Za-z0-9_.-]{1,50}"),
    "machine": re.compile(r"[a-z0-9_]{1,30}"),
    "seen": re.compile(r"/[^\0\n]{0,1000}"),
    "python": re.compile(r"/[^\0\n]{0,1000}"),
    "minor": re.compile(r"3\.\d{1,3}"),
    "packages": re.compile("yes"),
    "kubewire": re.compile("yes"),
}
"""What the probe may tell: names of files are made of some of it here."""


@dataclass(frozen=True)
class Host:
    """What the probe told: `packages` and `kubewire` say what is there already."""

    base: str
    machine: str
    python: str
    minor: str
    packages: bool
    kubewire: bool

    @property
    def kubewire_python(self) -> str:
        return f"{self.base}/kubewire-{bundle.digest()}/bin/python"

    @property
    def packages_folder(self) -> str:
        return f"{self.base}/packages-{bundle.lock_digest()}-{self.minor}"


def provision(run: Run, name: str, *, python: str = "", check: bool = False) -> tuple[str, list[str]]:
    """Have kubewire on the host; the Python there that has it, and what was done. `check` only tells.

    Raises HostError: no Python, another system, no space, dependencies that no way leads to.
    """
    host = probe(run, name, python)
    todo = [] if host.packages else ["kubewire's locked dependencies installed"]
    todo += [] if host.kubewire else ["kubewire installed"]
    if not check:
        if not host.packages:
            _install_packages(run, name, host)
        if not host.kubewire:
            progress.emit("host", f"{name}: kubewire")
            values = (host.base, bundle.digest(), host.packages_folder, host.python)
            checked(run, name, scripts.FINISH, values, bundle.archive(bundle.members()))
    return host.kubewire_python, todo


def probe(run: Run, name: str, python: str = "") -> Host:
    """What the host is and has; HostError where it can't be a lab host."""
    out = checked(run, name, scripts.PROBE, (bundle.digest(), bundle.lock_digest(), python or "python3"))
    told = _told(out, name)
    if told.get("system") != "Linux":
        raise HostError(f"it runs {told.get('system') or 'no POSIX system'}; labs need Linux", where=name)
    if "python" not in told:
        seen = f"{told['seen']} is older" if "seen" in told else "there is none"
        raise HostError(
            f"kubewire needs Python 3.11 or newer, and {seen}",
            where=name,
            hint="install it there (apt-get install python3 on Debian 12, Ubuntu 24.04 or newer), or name"
            " one by ansible_python_interpreter",
        )
    return Host(
        base=told["base"],
        machine=told["machine"],
        python=told["python"],
        minor=told["minor"],
        packages="packages" in told,
        kubewire="kubewire" in told,
    )


def _told(out: str, name: str) -> dict[str, str]:
    """The probe's answers, besides what a login shell prints; HostError for one that can't be."""
    lines = (line.partition("=") for line in out.splitlines())
    told = {key: value for key, equals, value in lines if equals and key in ANSWERS}
    for key, value in told.items():
        if not ANSWERS[key].fullmatch(value):
            raise HostError(f"it says an odd {key} of itself: {one_line(value[:200])}", where=name)
    return told


def _install_packages(run: Run, name: str, host: Host) -> None:
    """From the host's own package index; where that has no way out, from wheels that this machine fetches."""
    work = f"{host.packages_folder}.work"
    progress.emit("host", f"{name}: the locked dependencies")
    shipped = {"pip.zip": bundle.pip(), "runtime.txt": bundle.lock()}
    checked(run, name, scripts.UNPACK, (work,), bundle.archive(shipped))
    values = (work, host.packages_folder, host.python)
    code, _, said = _shell(run, scripts.INSTALL, values)
    if code:
        progress.emit("host", f"{name}: no way to a package index there, so the wheels come from here")
        checked(run, name, scripts.UNPACK, (f"{work}/wheels",), bundle.archive(_wheels(host, name, said)))
        checked(run, name, scripts.INSTALL, (*values, "--no-index", "--find-links", f"{work}/wheels"))
    _shell(run, 'rm -rf "$1"', (work,))


def _wheels(host: Host, name: str, said: str) -> dict[str, bytes]:
    """The locked dependencies' wheels for the host's Python and machine, fetched once for a whole room."""
    key = f"{bundle.lock_digest()}-{host.minor}-{host.machine}"
    folder = cache_dir() / "wheels" / key
    with locked(cache_dir() / "locks" / f"wheels-{key}.lock", "the wheels", progress.emit):
        if not folder.is_dir():
            with tempfile.TemporaryDirectory(prefix=".wheels-", dir=cache_dir()) as work:
                _download(host, name, said, Path(work))
                folder.parent.mkdir(exist_ok=True)
                Path(work, "wheels").rename(folder)
    return {path.name: path.read_bytes() for path in sorted(folder.iterdir())}


def _download(host: Host, name: str, said: str, work: Path) -> None:
    """Fill `work/wheels` by this machine's pip; HostError with what both sides said."""
    machine = PLATFORMS.get(host.machine, host.machine)
    platforms = [f"--platform=manylinux{tag}_{machine}" for tag in GLIBC]
    (work / "runtime.txt").write_text(bundle.picked(bundle.lock().decode(), host.minor))
    command = [
        *(sys.executable, "-m", "pip", "download", "--quiet", "--disable-pip-version-check", "--no-deps"),
        *("--only-binary", ":all:", "--require-hashes", "-r", str(work / "runtime.txt")),
        *(
            "--dest",
            str(work / "wheels"),
            f"--python-version={host.minor}",
            "--implementation=cp",
            *platforms,
        ),
    ]
    done = run_here(command, timeout=scaled(DOWNLOAD_SECONDS), env=os.environ)
    if done.code:
        raise HostError(
            "kubewire's dependencies can be had neither there nor here\n"
            f"  there: {_end(said)}\n  here: {_end(done.err)}",
            where=name,
            hint="give one of the two a way to a Python package index (pip's own configuration counts)",
        )


def checked(run: Run, name: str, script: str, values: tuple[str, ...], data: bytes = b"") -> str:
    """The output of a script there; HostError where it fails."""
    code, out, error = _shell(run, script, values, data)
    if code == 0:
        return out
    if "no space left" in error.lower() or "disk quota exceeded" in error.lower():
        raise HostError("its disk is full", where=name, hint="free some space in the home folder there")
    raise HostError(f"a command there ended with {code}: {_end(error or out)}", where=name)


def _shell(run: Run, script: str, values: tuple[str, ...], data: bytes = b"") -> tuple[int, str, str]:
    return run(shlex.join(["sh", "-c", script, "kubewire", *values]), data)


def _end(text: str, lines: int = 4) -> str:
    return "\n    ".join(text.strip().splitlines()[-lines:]) or "nothing was said"
