"""Built archives in the cache, each named by its inputs."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator
from pathlib import Path

from kubewire.binaries.catalog import CNI, CONTAINERD, COREDNS, ETCD
from kubewire.binaries.toolchain import architecture
from kubewire.core import paths
from kubewire.providers.kind.image.pods import APP, pins

RECIPE = Path(__file__).parent
DIGITS = 16


def inputs(kubernetes: str, overlay: Path | None) -> str:
    """A digest of an image's inputs: versions, this recipe, the overlay's files.

    The state of Debian's suite is not an input: an image is not rebuilt for its updates.
    """
    parts = [
        json.dumps([kubernetes, ETCD, CNI, COREDNS, CONTAINERD, architecture(), pins()]),
        *(f"recipe {line}" for line in _files(RECIPE)),
        f"recipe {APP.name} {_content(APP)}",
        *(f"overlay {line}" for line in (_files(overlay) if overlay else ())),
    ]
    return hashlib.sha256("\n".join(parts).encode()).hexdigest()[:DIGITS]


def archive(kubernetes: str, key: str) -> Path:
    """`~/.cache/kubewire/images/node-v1.37.2-0123456789abcdef.tar`, there or not."""
    return _folder() / f"node-{kubernetes}-{key}.tar"


def forget_others(kept: Path, kubernetes: str) -> None:
    """Remove the archives of that version with other inputs."""
    for other in _folder().glob(f"node-{kubernetes}-*.tar"):
        if other != kept:
            other.unlink(missing_ok=True)


def _folder() -> Path:
    return paths.cache_dir() / "images"


def _files(root: Path) -> Iterator[str]:
    """Name, mode and content of every file, link and folder below, in order."""
    for path in sorted(root.rglob("*")):
        if "__pycache__" not in path.parts:
            mode = path.lstat().st_mode
            yield f"{path.relative_to(root)} {mode & 0o111:o} {_content(path)}"


def _content(path: Path) -> str:
    if path.is_symlink():
        return f"-> {path.readlink()}"
    return hashlib.sha256(path.read_bytes()).hexdigest() if path.is_file() else ""
