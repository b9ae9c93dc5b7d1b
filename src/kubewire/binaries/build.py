"""Building binaries from their Go modules, where official releases can't be reached.

`k8s.io/kubernetes` requires its staging modules at v0.0.0, which exist only inside its repository. A module
of our own that replaces each by its published `v0.MINOR.PATCH` builds any command of it.
"""

from __future__ import annotations

import json
import re
import time
from collections import deque
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from kubewire.binaries import sums
from kubewire.binaries.catalog import COSTS, UNUSED_STAGING, Artifact, recipe
from kubewire.binaries.download import require_space
from kubewire.binaries.toolchain import Go, failure, tail_of
from kubewire.binaries.web import SourceFailed, why_unreachable
from kubewire.core import paths
from kubewire.core.progress import WARNING, Progress

BUILD_SECONDS = 6 * 3600.0
MODULE = "kubewire.invalid/build"
STAGING = re.compile(r"^\s*(k8s\.io/[a-z0-9-]+) v0\.0\.0$", re.MULTILINE)
GO_LINE = re.compile(r"^go (\S+)$", re.MULTILINE)
NOT_SERVED = re.compile(r"unknown revision|40[34]|410|no matching versions|not found|no such file")
GODEBUG = re.compile(r"^godebug (?:\([^)]*\)|.*)$", re.MULTILINE)


def kubernetes_versions(go: Go) -> tuple[str, ...]:
    """Every release of k8s.io/kubernetes that the module proxy lists, pre-releases left out."""
    return tuple(v for v in listed_versions(go, "k8s.io/kubernetes") if v.startswith("v1."))


def listed_versions(go: Go, module: str) -> tuple[str, ...]:
    """Every release of a module that the module proxy lists, pre-releases left out."""
    _require_proxy(go)
    text = go.run("list", "-m", "-versions", "-json", module, cwd=go.space.path)
    listed: list[str] = json.loads(text).get("Versions") or []
    return tuple(v for v in listed if re.fullmatch(r"v\d+\.\d+\.\d+", v))


def served(go: Go, version: str) -> bool:
    """Whether the module proxy gives that version of k8s.io/kubernetes, listed or not.

    A proxy may answer 403 both for versions that it blocks and for versions that don't exist.
    """
    _require_proxy(go)
    text = go.run("list", "-m", "-e", "-json", f"k8s.io/kubernetes@{version}", cwd=go.space.path)
    error = (json.loads(text).get("Error") or {}).get("Err", "")
    if error and not NOT_SERVED.search(error):
        raise SourceFailed(tail_of(error))
    return not error


def missing_modules(go: Go, version: str) -> tuple[str, ...]:
    """The modules of a Kubernetes version that its control plane needs and the proxy does not serve."""
    staging = [
        m for m in STAGING.findall(_go_mod(go, Artifact("kubernetes", version))) if m not in UNUSED_STAGING
    ]
    wanted = [f"{module}@{_staging_version(version)}" for module in staging]
    answers = _download(go, f"k8s.io/kubernetes@{version}", *wanted)
    return tuple(f"{a['Path']}@{a['Version']}" for a in answers if a.get("Error"))


def build(go: Go, artifact: Artifact, binaries: tuple[str, ...], progress: Progress) -> dict[str, Path]:
    """Build these binaries, all in one `go build` (they share most packages); files in the workspace.

    Raises SourceFailed with Go's output, and HostError where the disk is too small.
    """
    require_space(
        paths.cache_dir(),
        COSTS[artifact.name].build_disk_bytes,
        f"building {artifact.title} from its Go modules",
    )
    progress("build", f"{artifact.title}: fetching Go modules")
    for weak in go.unverified():
        progress(WARNING, weak)
    made = recipe(artifact)
    packages = [made.packages[b] for b in binaries]
    directory, total = fetch_modules(go, artifact, packages, progress)
    out = go.space.subdirectory("out")
    output = f"{out}/" if len(binaries) > 1 else str(out / binaries[0])
    flags = " ".join(["-s -w", *(f"-X {value}" for value in made.stamp)])
    _compile(
        Job(go, directory, artifact.title, total, progress),
        ["build", "-v", "-trimpath", "-buildvcs=false", "-ldflags", flags, "-o", output, *packages],
    )
    return {b: out / b for b in binaries}


def fetch_modules(
    go: Go, artifact: Artifact, packages: Sequence[str], progress: Progress
) -> tuple[Path, int]:
    """A module that builds these packages, with all dependencies fetched; and the number of packages.

    Each module must have the hash in a known go.sum: the shipped one, or that of earlier builds.
    """
    directory = go.space.subdirectory(artifact.key)
    (directory / "go.mod").write_text(module_file(artifact, _go_mod(go, artifact)))
    absent = directory / "absent"
    absent.mkdir(exist_ok=True)
    (absent / "go.mod").write_text("module kubewire.invalid/absent\n")
    known = sums.known()
    (directory / "go.sum").write_text(sums.text(known))
    total = len(go.run("list", "-deps", *packages, cwd=directory).splitlines())
    sums.remember(sums.parse((directory / "go.sum").read_text()) - known, progress)
    return directory, total


def module_file(artifact: Artifact, upstream: str) -> str:
    """The go.mod that builds an artifact, from the go.mod of its module.

    The `go` line and `godebug` are copied: they decide a program's runtime defaults.
    """
    go_line = GO_LINE.search(upstream)
    lines = [f"module {MODULE}", f"go {go_line.group(1) if go_line else '1.21'}"]
    lines += GODEBUG.findall(upstream)
    lines.append(f"require {recipe(artifact).module} {artifact.version}")
    if artifact.name == "kubernetes":
        lines += [
            f"replace {m} => "
            + ("./absent" if m in UNUSED_STAGING else f"{m} {_staging_version(artifact.version)}")
            for m in sorted(set(STAGING.findall(upstream)))
        ]
    return "\n".join(lines) + "\n"


@dataclass(frozen=True)
class Job:
    """One `go build`: `total` is how many packages it compiles."""

    go: Go
    directory: Path
    title: str
    total: int
    progress: Progress


def _compile(job: Job, arguments: list[str]) -> None:
    started, done = time.monotonic(), 0
    tail: deque[str] = deque(maxlen=8)
    with job.go.started(*arguments, cwd=job.directory, timeout=BUILD_SECONDS) as process:
        for line in process.stderr or ():
            tail.append(line)
            if len(line.split()) != 1:
                continue
            done = min(done + 1, job.total)
            left = _left(time.monotonic() - started, done, job.total)
            job.progress("build", f"{job.title}: {left}", done, job.total)
        status = process.wait()
    if status != 0:
        raise failure(f"go build of {job.title} failed: {''.join(tail)}", 4)


def _left(elapsed: float, done: int, total: int) -> str:
    if done >= total:
        return "linking"
    seconds = elapsed / done * (total - done)
    if done < 20 or elapsed < 3:
        return "compiling"
    return f"about {seconds / 60:.0f} min left" if seconds >= 90 else f"about {max(seconds, 1):.0f} s left"


def _go_mod(go: Go, artifact: Artifact) -> str:
    _require_proxy(go)
    module = f"{recipe(artifact).module}@{artifact.version}"
    answer = json.loads(go.run("list", "-m", "-e", "-json", module, cwd=go.space.path))
    if answer.get("Error") or not answer.get("GoMod"):
        raise SourceFailed(f"{module}: {tail_of((answer.get('Error') or {}).get('Err', 'no go.mod'))}")
    return Path(answer["GoMod"]).read_text()


def _staging_version(version: str) -> str:
    return f"v0.{version.removeprefix('v1.')}"


def _download(go: Go, *modules: str) -> Iterator[dict[str, Any]]:
    text = go.run("mod", "download", "-json", *modules, cwd=go.space.path, check=False)
    decoder, position = json.JSONDecoder(), 0
    while position < len(text.rstrip()):
        value, position = decoder.raw_decode(text, position)
        yield value
        position += len(text[position:]) - len(text[position:].lstrip())


def _require_proxy(go: Go) -> None:
    """Fail fast where no module proxy answers: Go itself would wait for each module in turn."""
    entries = [e for e in re.split(r"[,|]", go.run("env", "GOPROXY", cwd=go.space.path).strip()) if e]
    if any(not e.startswith("http") for e in entries if e != "direct") or not entries:
        return
    reasons = [why_unreachable(e) for e in entries if e.startswith("http")]
    if reasons and all(reasons):
        raise SourceFailed("the Go module proxy: " + "; ".join(reasons))
