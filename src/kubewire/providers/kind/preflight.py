"""Checks what this machine lacks for a lab on kind, before anything is created."""

from __future__ import annotations

import shutil
from pathlib import Path

from kubewire.core.errors import DefinitionError, HostError
from kubewire.lab.schema import Lab, Mode
from kubewire.providers.kind import tool
from kubewire.providers.kind.engine import Engine, engine
from kubewire.providers.kind.images import DOWNLOAD, choose_image

GIB = 1024**3
MEMORY = 2 * GIB
NODE_DISK = GIB // 2


def require(lab: Lab, engine: Engine, *, load: bool = False) -> None:
    """HostError naming everything: the docker command, memory, disk, and ip_vs for mode ipvs, which `load`
    loads; DefinitionError for a control plane of another version.
    """
    if lab.control_plane:
        raise DefinitionError(
            f"lab {lab.name}: controlPlane is for netns; a node image of kind holds one version of all",
            hint="leave controlPlane out, or use --provider netns",
        )
    tool.require_docker_command()
    info = engine.info()
    lacks: list[str] = []
    mends: list[str] = []
    if 0 < int(info.get("MemTotal", 0)) < MEMORY:
        lacks.append(f"the Docker engine has {info['MemTotal'] / GIB:.1f} GiB of memory, and a lab needs 2")
        mends.append("give the engine more memory, or --provider netns, which needs half of it")
    folder, needed = (
        Path(str(info.get("DockerRootDir", ""))),
        NODE_DISK * (lab.nodes.control_planes + lab.nodes.workers),
    )
    if engine.local and folder.is_dir() and (free := shutil.disk_usage(folder).free) < needed:
        lacks.append(f"{folder} has {free / GIB:.1f} GiB free, and the nodes need {needed / GIB:.1f}")
        mends.append("free some space: docker system df shows what Docker uses")
    if lab.mode is Mode.IPVS and engine.local:
        from kubewire.providers.netns.preflight import survey

        for need in survey(load=load):
            if not need.ok and need.name.startswith("kernel:") and "ipvs" in need.modes:
                lacks.append(f"{need.name}: {need.detail}")
                mends.append(need.hint)
    if lacks:
        raise HostError(
            f"lab {lab.name} can't run on kind here: {'; '.join(lacks)}",
            hint="\n  ".join(dict.fromkeys(hint for hint in mends if hint)),
        )


def explained(why: str, lab: Lab) -> str:
    """Why kind was chosen, and the node image; before an image is pulled, its size is printed.

    HostError if no engine can be used, or the engine refuses.
    """
    with engine() as docker:
        image = choose_image(lab, docker.images())
    name = image.reference.partition("@")[0]
    if image.present:
        return f"{why}; its nodes run {name}"
    return (
        f"{why}; node image {name} isn't there and is pulled first, {DOWNLOAD} (--provider netns needs none)"
    )
