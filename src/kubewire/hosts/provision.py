"""Install kubewire and its locked dependencies on a lab host, in the remote user's cache.

Both are in folders named by a digest of the content, so a second run does nothing, and labs of another
version keep theirs.
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
"""The manylinux tags that Debian 12 and newer support."""
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
"""Valid values in the probe's output: this machine uses some of them in file names."""


@dataclass(frozen=True)
class Host:
    """The probe's output: `packages` and `kubewire` say what is installed already."""

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
    """Install kubewire on the host; the Python that can import it, and the changes. `check` only lists them.

    Raises HostError for no Python, another system, no space, or dependencies that can't be downloaded.
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
    """The facts of the host; HostError if it can't be a lab host."""
    out = checked(run, name, scripts.PROBE, (bundle.digest(), bundle.lock_digest(), python or "python3"))
    told = _told(out, name)
    if told.get("system") != "Linux":
        raise HostError(f"it runs {told.get('system') or 'no POSIX system'}; labs need Linux", where=name)
    if "python" not in told:
        seen = f"{told['seen']} is older" if "seen" in told else "there is none"
        raise HostError(
            f"kubewire needs Python 3.11 or newer, but {seen}",
            where=name,
            hint="install it on that host (Debian 12, Ubuntu 24.04 or newer: apt-get install python3), or"
            " set ansible_python_interpreter",
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
    """The probe's answers, without other output of a login shell; HostError for an invalid one."""
    lines = (line.partition("=") for line in out.splitlines())
    told = {key: value for key, equals, value in lines if equals and key in ANSWERS}
    for key, value in told.items():
        if not ANSWERS[key].fullmatch(value):
            raise HostError(f"its {key} is invalid: {one_line(value[:200])}", where=name)
    return told


def _install_packages(run: Run, name: str, host: Host) -> None:
    """Install from the host's package index; without access to one, from wheels of this machine."""
    work = f"{host.packages_folder}.work"
    progress.emit("host", f"{name}: the locked dependencies")
    shipped = {"pip.zip": bundle.pip(), "runtime.txt": bundle.lock()}
    checked(run, name, scripts.UNPACK, (work,), bundle.archive(shipped))
    values = (work, host.packages_folder, host.python)
    code, _, said = _shell(run, scripts.INSTALL, values)
    if code:
        progress.emit(
            "host", f"{name}: can't reach a package index, so the wheels are copied from this machine"
        )
        checked(run, name, scripts.UNPACK, (f"{work}/wheels",), bundle.archive(_wheels(host, name, said)))
        checked(run, name, scripts.INSTALL, (*values, "--no-index", "--find-links", f"{work}/wheels"))
    _shell(run, 'rm -rf "$1"', (work,))


def _wheels(host: Host, name: str, said: str) -> dict[str, bytes]:
    """The locked dependencies' wheels for the host's Python and machine, downloaded once for all hosts."""
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
    """Fill `work/wheels` with this machine's pip; HostError with the errors of both sides."""
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
            "neither the host nor this machine can download kubewire's dependencies\n"
            f"  host: {_end(said)}\n  this machine: {_end(done.err)}",
            where=name,
            hint="give one of the two access to a Python package index (pip's configuration applies)",
        )


def checked(run: Run, name: str, script: str, values: tuple[str, ...], data: bytes = b"") -> str:
    """The output of a script on the host; HostError if it fails."""
    code, out, error = _shell(run, script, values, data)
    if code == 0:
        return out
    if "no space left" in error.lower() or "disk quota exceeded" in error.lower():
        raise HostError(
            "its disk is full", where=name, hint="free some space in the home folder on that host"
        )
    raise HostError(f"a command ended with exit code {code}: {_end(error or out)}", where=name)


def _shell(run: Run, script: str, values: tuple[str, ...], data: bytes = b"") -> tuple[int, str, str]:
    return run(shlex.join(["sh", "-c", script, "kubewire", *values]), data)


def _end(text: str, lines: int = 4) -> str:
    return "\n    ".join(text.strip().splitlines()[-lines:]) or "no output"
