"""The kind command: find or download it, run it with its output kept, end it with its caller."""

from __future__ import annotations

import fcntl
import os
import re
import shutil
import subprocess
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from kubewire.binaries.catalog import KIND, Artifact
from kubewire.binaries.supply import ensure_artifact
from kubewire.core import paths
from kubewire.core.errors import HostError, LabError
from kubewire.core.locks import is_held
from kubewire.core.owners import ended_with_owners
from kubewire.core.processes import dying_with_us, run
from kubewire.core.progress import Progress
from kubewire.providers.kind import state

SHOWN_LINES = 12
VERSION_SECONDS = 60.0
LONGEST = 300
NOISE = re.compile(r"[IW]\d{4} |\s*\S+\.\S+$|Stack Trace:")
"""klog's information and warnings; a Go call stack's places and functions."""


def find(progress: Progress) -> Path:
    """The pinned kind: on PATH if it is that version, else from the cache, the release, or built."""
    on_path = shutil.which("kind")
    if on_path and _version(on_path) == KIND:
        return Path(on_path)
    return ensure_artifact(Artifact("kind", KIND), ("kind",), progress=progress) / "kind"


def require_docker_command() -> None:
    """HostError where the docker command is missing, which kind itself calls."""
    if not shutil.which("docker"):
        raise HostError(
            "the docker command is missing; kind talks to the engine through it",
            hint="install Docker's command line (Debian, Ubuntu: sudo apt-get install docker.io)",
        )


def create(
    kind: Path, name: str, config: Path, image: str, kubeconfig: Path, *, keep: bool, progress: Progress
) -> None:
    """`kind create cluster`; LabError with the end of kind's own log if it fails, which then removed the
    half-made cluster unless `keep`.
    """
    argv = [
        *(str(kind), "create", "cluster", "--name", name, "--config", str(config), "--image", image),
        *("--kubeconfig", str(kubeconfig), "--wait", "0s", *(["--retain"] if keep else [])),
    ]
    log = log_file(name)
    log.parent.mkdir(parents=True, exist_ok=True)
    seen: list[str] = []
    with (
        log.open("w") as kept,
        _busy(name) as lock,
        _started(argv, lock) as process,
        ended_with_owners(process),
    ):
        for line in process.stdout or ():
            kept.write(line)
            kept.flush()
            if line.strip():
                seen.append(line.rstrip())
                progress("cluster", f"kind: {line.strip()[:100]}")
        code = process.wait()
    if code:
        kept_note = "; the incomplete cluster is kept" if keep else "; the incomplete cluster is removed"
        raise LabError(
            f"kind could not create the cluster{kept_note}:\n  " + "\n  ".join(telling(seen)),
            where=str(log),
            hint="see the complete log; --keep keeps the incomplete cluster, to inspect its nodes",
        )


def is_over(name: str) -> bool:
    """Whether kind and every docker command that it started for a lab have ended: one that outlives a killed
    kind still makes its container.
    """
    return not is_held(state.owner_folder(name))


@contextmanager
def _busy(name: str) -> Iterator[int]:
    """A lock on the lab's owner folder, held by every process that inherits its descriptor."""
    descriptor = os.open(state.owner_folder(name), os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX)
        yield descriptor
    finally:
        os.close(descriptor)


def telling(lines: Sequence[str]) -> list[str]:
    """The lines of kind's output that tell what went wrong: its last ones without kubeadm's requests and the
    call stacks that end it.
    """
    return [line[:LONGEST] for line in lines if not NOISE.match(line)][-SHOWN_LINES:]


def log_file(name: str) -> Path:
    """Where kind's own output of a lab goes."""
    return paths.state_dir() / "logs" / name / "kind.log"


def _started(argv: Sequence[str], lock: int) -> subprocess.Popen[str]:
    """Started in a group of its own, so that it ends with this process whatever ends that."""
    return subprocess.Popen(
        [*dying_with_us(), *argv],
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        errors="replace",
        start_new_session=True,
        pass_fds=(lock,),
        env={**os.environ, "NO_COLOR": "1", "KIND_EXPERIMENTAL_PROVIDER": "docker"},
    )


def _version(command: str) -> str:
    return f"v{run([command, 'version', '-q'], timeout=VERSION_SECONDS).out.strip()}"
