"""Get a lab's images into the engine before they are needed, and read a node image's version."""

from __future__ import annotations

from collections.abc import Iterable
from io import BytesIO

from kubewire.binaries.toolchain import ARCHITECTURES
from kubewire.core.errors import DefinitionError, HostError, LabError
from kubewire.core.progress import Progress
from kubewire.core.tarball import Bounds, read_members
from kubewire.lab.schema import Lab
from kubewire.lab.workload import IMAGE
from kubewire.providers.kind import httpbin, tool, tools
from kubewire.providers.kind.engine import Engine, engine
from kubewire.providers.kind.images import DOWNLOAD, choose_image, fits

VERSION_FILE = "/kind/version"
VERSION_BYTES = 1 << 16
VERSION_BOUNDS = Bounds(file=1024, total=VERSION_BYTES, members=8)
BAKED = "kubewire/node:"
"""Node images of our own hold the tools already."""


def prefetch(lab: Lab, progress: Progress) -> list[str]:
    """Get all that `up` will need into the cache and the engine; a line for each.

    HostError where one can't be had.
    """
    tool.require_docker_command()
    lines = [f"kind: {tool.find(progress)}"]
    with engine() as docker:
        image = choose_image(lab, docker.images())
        if not image.present:
            pull(docker, image.reference, progress)
        lines.append(f"node image: {image.reference}")
        if not image.reference.startswith(BAKED) and lab.tools:
            progress("packages", ", ".join(lab.tools))
            lines.append(f"node tools: {tools.prefetch(image.reference, lab.tools)}")
        wanted = lab.httpbin.image or IMAGE
        if not (wanted == IMAGE and httpbin.is_baked(docker, image.reference)):
            if docker.image(wanted) is None:
                if wanted == IMAGE:
                    httpbin.build(docker, progress)
                else:
                    pull(docker, wanted, progress)
            lines.append(f"workload image: {wanted}")
    return lines


def pull(engine: Engine, reference: str, progress: Progress) -> None:
    """Pull an image, telling its size and how far it is; HostError with the ways out if it can't be had."""
    from docker.errors import DockerException

    progress("image", f"pulling {reference.partition('@')[0]}: {DOWNLOAD}")
    layers: dict[str, tuple[int, int]] = {}
    try:
        for line in engine.client.api.pull(reference, stream=True, decode=True):
            if "error" in line:
                raise no_image(reference, str(line["error"]))
            detail = line.get("progressDetail") or {}
            if line.get("status") == "Downloading" and detail.get("total"):
                layers[line["id"]] = (int(detail["current"]), int(detail["total"]))
                done, total = (sum(each) for each in zip(*layers.values(), strict=True))
                progress("image", f"pulling {reference.partition('@')[0]}", done, total)
    except (DockerException, OSError) as error:
        raise no_image(reference, str(getattr(error, "explanation", "") or error)) from error


def no_image(reference: str, why: str) -> HostError:
    """The node image can't be had: why, and every way out."""
    name = reference.partition("@")[0]
    minor = ".".join(name.rpartition(":")[2].removeprefix("v").split(".")[:2])
    return HostError(
        f"the node image {name} ({DOWNLOAD}) isn't in the Docker engine and can't be pulled: {why}",
        hint="run the lab embedded: --provider netns\n"
        f"  or build a node image from packages: kubewire image build {minor}\n"
        f"  or bring it from a machine that has it: docker save {name} -o node.tar, docker load -i node.tar",
    )


def peek_version(engine: Engine, reference: str) -> str:
    """The Kubernetes version that an image holds, read from its /kind/version without running it."""
    from docker.errors import DockerException

    try:
        container = engine.client.api.create_container(reference, command="true")["Id"]
        try:
            chunks, _ = engine.client.api.get_archive(container, VERSION_FILE)
            return _one_file(chunks).decode().strip()
        finally:
            engine.client.api.remove_container(container, v=True, force=True)
    except (DockerException, OSError, ValueError) as error:
        raise LabError(
            f"{reference} is not a kind node image: it has no {VERSION_FILE}", where="Docker engine"
        ) from error


def _one_file(chunks: Iterable[bytes]) -> bytes:
    """The content of the one small file in a tar; ValueError for anything else."""
    archive = b""
    for chunk in chunks:
        archive += chunk
        if len(archive) > VERSION_BYTES:
            raise ValueError("larger than any version")
    return next((content for _, content in read_members(BytesIO(archive), VERSION_BOUNDS)), b"")


def require_fitting(lab: Lab, reference: str, version: str, engine: Engine) -> None:
    """DefinitionError for an image of another Kubernetes version; HostError for another architecture."""
    if not fits(version, lab.kubernetes):
        raise DefinitionError(
            f"the node image {reference} holds Kubernetes {version}, and the lab asks for {lab.kubernetes}",
            where=f"lab {lab.name}",
            hint=f"set kubernetes: {version.removeprefix('v')}, or name another image",
        )
    image = engine.image(reference)
    machine = str(engine.info().get("Architecture", ""))
    here = ARCHITECTURES.get(machine, machine)
    if image and image.architecture and image.architecture != here:
        raise HostError(
            f"the node image {reference} is for {image.architecture}, and the Docker engine runs {here}",
            hint=f"remove it (docker rmi {reference}), so that the right one is pulled, or name another",
        )
