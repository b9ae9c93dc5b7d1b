"""From a version to a node image in the engine, or in a file to carry there."""

from __future__ import annotations

import tempfile
from pathlib import Path

from kubewire import paths
from kubewire.kind.engine import Engine, engine
from kubewire.kind.image.build import Built, build
from kubewire.progress import Progress


def make(version: str, *, overlay: Path | None, output: Path | None, progress: Progress) -> Built:
    """Build, then load into the engine unless `output` names a file. HostError before any work where no
    engine answers that could take the image.
    """
    if output:
        return build(version, output.absolute(), overlay=overlay, progress=progress)
    with engine() as docker:
        paths.cache_dir().mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(dir=paths.cache_dir(), prefix="image-") as folder:
            built = build(version, Path(folder, "image.tar"), overlay=overlay, progress=progress)
            progress("image", "into the Docker engine")
            load(docker, built.file)
    return built


def load(docker: Engine, file: Path) -> None:
    """`docker load` of an archive."""
    with file.open("rb") as stream:
        docker.client.images.load(stream)
