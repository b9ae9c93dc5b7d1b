"""Write container images without an engine: a `docker save` archive of images that share layers."""

from __future__ import annotations

import hashlib
import io
import json
import tarfile
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from kubewire.core.errors import LabError
from kubewire.core.processes import run

SECONDS = 3600.0
EPOCH = "1970-01-01T00:00:00Z"
PATH = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"


@dataclass(frozen=True)
class Layer:
    """An uncompressed tar in a file, and its sha256, which identifies it in every image."""

    file: Path
    digest: str


@dataclass(frozen=True)
class Image:
    """One image: its references, its layers from the bottom up, and its command."""

    references: tuple[str, ...]
    layers: tuple[Layer, ...]
    entrypoint: tuple[str, ...] = ()
    environment: Mapping[str, str] = field(default_factory=dict)
    labels: Mapping[str, str] = field(default_factory=dict)
    user: str = ""
    stop_signal: str = ""


def pack(root: Path, file: Path) -> None:
    """Write everything below `root` into the tar `file`."""
    done = run(
        ["tar", "--numeric-owner", "--sort=name", "-C", str(root), "-cf", str(file), "."], timeout=SECONDS
    )
    if done.code:
        raise LabError(f"tar failed: {done.err[-500:]}", where=str(root))


def layer(file: Path) -> Layer:
    """A tar file as a layer."""
    with file.open("rb") as stream:
        return Layer(file, hashlib.file_digest(stream, "sha256").hexdigest())


def make_layer(
    file: Path,
    files: Mapping[str, Path] | None = None,
    *,
    links: Mapping[str, str] | None = None,
    folders: Iterable[str] = (),
) -> Layer:
    """Write a layer: `files` (or folders) by their name in the image, and symbolic `links`.

    Everything belongs to root and has no time, so equal content gives an equal layer.
    """
    with tarfile.open(file, "w", format=tarfile.PAX_FORMAT) as archive:
        for name in folders:
            entry = tarfile.TarInfo(name)
            entry.type, entry.mode = tarfile.DIRTYPE, 0o755
            archive.addfile(entry)
        for name, target in sorted((links or {}).items()):
            entry = tarfile.TarInfo(name)
            entry.type, entry.linkname, entry.mode = tarfile.SYMTYPE, target, 0o777
            archive.addfile(entry)
        for name, source in sorted((files or {}).items()):
            archive.add(source, name, filter=_anonymous)
    return layer(file)


def write(target: Path, images: Sequence[Image], architecture: str) -> None:
    """Write the archive that `docker load` and `ctr images import` read; each shared layer once."""
    manifest: list[dict[str, Any]] = []
    with tarfile.open(target, "w") as archive:
        layers = {each.digest: each for image in images for each in image.layers}
        for digest, each in layers.items():
            archive.add(each.file, f"{digest}.tar", filter=_anonymous)
        for image in images:
            config = json.dumps(configuration(image, architecture), sort_keys=True).encode()
            name = f"{hashlib.sha256(config).hexdigest()}.json"
            _add_bytes(archive, name, config)
            manifest.append(
                {
                    "Config": name,
                    "RepoTags": list(image.references),
                    "Layers": [f"{each.digest}.tar" for each in image.layers],
                }
            )
        _add_bytes(archive, "manifest.json", json.dumps(manifest).encode())


def configuration(image: Image, architecture: str) -> dict[str, Any]:
    """The image configuration (OCI image specification 1.1)."""
    config: dict[str, Any] = {"Env": [f"{k}={v}" for k, v in {"PATH": PATH, **image.environment}.items()]}
    optional = {
        "Entrypoint": list(image.entrypoint),
        "Labels": dict(image.labels),
        "User": image.user,
        "StopSignal": image.stop_signal,
    }
    config |= {key: value for key, value in optional.items() if value}
    return {
        "architecture": architecture,
        "os": "linux",
        "created": EPOCH,
        "config": config,
        "rootfs": {"type": "layers", "diff_ids": [f"sha256:{each.digest}" for each in image.layers]},
        "history": [{"created": EPOCH, "created_by": "kubewire"} for _ in image.layers],
    }


def _anonymous(entry: tarfile.TarInfo) -> tarfile.TarInfo:
    entry.uid = entry.gid = 0
    entry.uname = entry.gname = ""
    entry.mtime = 0
    return entry


def _add_bytes(archive: tarfile.TarFile, name: str, content: bytes) -> None:
    entry = tarfile.TarInfo(name)
    entry.size, entry.mode = len(content), 0o644
    archive.addfile(entry, io.BytesIO(content))
