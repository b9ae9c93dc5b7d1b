"""From a version to a node image in the engine, or in a file to carry there; built only if it must be."""

from __future__ import annotations

import errno
import hashlib
import json
import os
import shutil
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from kubewire.binaries.catalog import CNI, CONTAINERD, COREDNS, ETCD
from kubewire.binaries.resolving import require_exists, resolve
from kubewire.binaries.toolchain import architecture
from kubewire.core import paths
from kubewire.core.errors import DefinitionError
from kubewire.core.locks import locked
from kubewire.core.progress import Progress
from kubewire.lab.workload import IMAGE as HTTPBIN_IMAGE
from kubewire.providers.kind.engine import Engine, engine
from kubewire.providers.kind.image.build import INPUTS_LABEL, build, reference
from kubewire.providers.kind.image.pods import APP, pins

RECIPE = Path(__file__).parent / "image"
DIGITS = 16


@dataclass(frozen=True)
class Made:
    """The node image's and httpbin's references, and what was to be done for them."""

    node: str
    httpbin: str
    how: Literal["built", "from the cache", "already there"]


def make(
    version: str, *, overlay: Path | None, output: Path | None, fresh: bool = False, progress: Progress
) -> Made:
    """Have the image in the engine, or as an archive in `output`; `fresh` builds it whatever is there.

    Before any work DefinitionError for a version that doesn't exist, a folder that isn't there, an output
    that can't be written, then HostError where no engine answers that could take the image.
    """
    require_exists(version)
    if overlay and not overlay.is_dir():
        raise DefinitionError("no such overlay folder", where=str(overlay))
    if output:
        _require_writable(output)
        return _into_file(version, output.absolute(), overlay, fresh, progress)
    with engine() as docker:
        return _into_engine(docker, version, overlay, fresh, progress)


def _draft(output: Path) -> Path:
    return output.with_name(f".{output.name}.part")


def _require_writable(output: Path) -> None:
    """DefinitionError where no file can be put there."""
    try:
        if output.is_dir():
            raise IsADirectoryError(errno.EISDIR, os.strerror(errno.EISDIR))
        output.parent.mkdir(parents=True, exist_ok=True)
        _draft(output).touch()
        _draft(output).unlink()
    except OSError as error:
        raise DefinitionError(
            f"the image can't be written there: {error.strerror}", where=str(output)
        ) from error


def _into_engine(docker: Engine, version: str, overlay: Path | None, fresh: bool, progress: Progress) -> Made:
    exact = resolve(version, progress=progress)
    key, node = inputs(exact, overlay), reference(exact)
    there = docker.image(node)
    if not fresh and there and there.labels.get(INPUTS_LABEL) == key and docker.image(HTTPBIN_IMAGE):
        return Made(node, HTTPBIN_IMAGE, "already there")
    file, how = _archive(exact, key, overlay, fresh, progress)
    progress("image", "into the Docker engine")
    with file.open("rb") as stream:
        docker.load(stream)
    return Made(node, HTTPBIN_IMAGE, how)


def _into_file(version: str, output: Path, overlay: Path | None, fresh: bool, progress: Progress) -> Made:
    exact = resolve(version, progress=progress)
    file, how = _archive(exact, inputs(exact, overlay), overlay, fresh, progress)
    progress("image", f"into {output}")
    draft = _draft(output)
    try:
        shutil.copyfile(file, draft)
        draft.replace(output)
    finally:
        draft.unlink(missing_ok=True)
    return Made(reference(exact), HTTPBIN_IMAGE, how)


def _archive(
    version: str, key: str, overlay: Path | None, fresh: bool, progress: Progress
) -> tuple[Path, Literal["built", "from the cache"]]:
    """The archive with these inputs, built unless the cache has it, by one process at a time."""
    file = archive(version, key)
    with locked(paths.cache_dir() / "locks" / f"node-image-{version}.lock", "the node image", progress):
        if file.exists() and not fresh:
            return file, "from the cache"
        build(version, file, overlay=overlay, key=key, progress=progress)
        _forget_others(file, version)
    return file, "built"


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


def _forget_others(kept: Path, kubernetes: str) -> None:
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
