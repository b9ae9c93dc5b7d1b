"""The httpbin image, in every node of a lab that runs it."""

from __future__ import annotations

import io
import tarfile
import tempfile
from collections.abc import Iterable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from kubewire.core.errors import HostError, LabError
from kubewire.core.processes import run
from kubewire.core.progress import Progress
from kubewire.lab.schema import Lab
from kubewire.lab.workload import IMAGE
from kubewire.providers.kind import node
from kubewire.providers.kind.engine import Engine

IMPORT_SECONDS = 1800.0
LABEL = "io.kubewire.httpbin"
BASE = "python:3.11-slim"
"""The base of the image that the engine builds, with the Python that image/pods.py selects wheels for."""


def is_baked(engine: Engine, node_image: str) -> bool:
    """Whether the node image contains httpbin."""
    image = engine.image(node_image)
    return bool(image and image.labels.get(LABEL) == IMAGE)


def bring(lab: Lab, engine: Engine, node_image: str, nodes: Iterable[str], progress: Progress) -> None:
    """Get the lab's httpbin image into every node: part of the node image, else imported into containerd.

    The nodes pull a lab's own image themselves, unless the engine has it.
    """
    reference = lab.httpbin.image or IMAGE
    if reference == IMAGE and is_baked(engine, node_image):
        return
    if engine.image(reference) is None:
        if reference != IMAGE:
            return
        build(engine, progress)
    progress("cluster", f"image {reference} into the nodes")
    with tempfile.NamedTemporaryFile(suffix=".tar") as file:
        with engine.patience():
            for chunk in engine.client.images.get(reference).save(named=reference):
                file.write(chunk)
        file.flush()
        with ThreadPoolExecutor(max_workers=3) as pool:
            list(pool.map(lambda name: _import(name, Path(file.name)), nodes))


def build(engine: Engine, progress: Progress) -> None:
    """Build the image with the engine, from Python's official image and PyPI's wheels."""
    from docker.errors import BuildError, DockerException

    from kubewire.providers.kind.image.pods import APP, COMMAND, NOBODY, SERVER, install_httpbin

    progress("cluster", f"building {IMAGE} from PyPI's httpbin (once)")
    with tempfile.TemporaryDirectory() as folder:
        site = Path(folder, "site")
        install_httpbin(site)
        command = ", ".join(f'"{word}"' for word in COMMAND)
        recipe = (
            f"FROM {BASE}\nCOPY site /usr/local/lib/python3.11/site-packages\nCOPY httpbin.conf.py /etc/\n"
            f"USER {NOBODY}\nENTRYPOINT [{command}]\n"
        )
        context = io.BytesIO()
        with tarfile.open(fileobj=context, mode="w") as archive:
            archive.add(site, "site")
            archive.add(APP, "site/httpbin_app.py")
            archive.add(SERVER, "httpbin.conf.py")
            entry = tarfile.TarInfo("Dockerfile")
            entry.size = len(recipe)
            archive.addfile(entry, io.BytesIO(recipe.encode()))
        context.seek(0)
        try:
            with engine.patience():
                engine.client.images.build(fileobj=context, custom_context=True, tag=IMAGE, rm=True)
        except (BuildError, DockerException) as error:
            raise HostError(
                f"image {IMAGE} can't be built by the Docker engine: {error}",
                hint=f"load it from a machine that has it (docker save {IMAGE}), or build a node image that "
                "holds it: kubewire image build",
            ) from error


def _import(name: str, archive: Path) -> None:
    argv = [*node.prefix(name), "ctr", "-n", "k8s.io", "images", "import", "-"]
    with archive.open("rb") as stream:
        answer = run(argv, stdin=stream.fileno(), timeout=IMPORT_SECONDS)
    if answer.code:
        raise LabError(f"the httpbin image can't be imported: {answer.err}", where=name)
