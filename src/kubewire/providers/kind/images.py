"""The choice of a lab's node image. Pure: the engine's images are an argument."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass

from kubewire.core.errors import DefinitionError
from kubewire.lab.schema import Lab
from kubewire.providers.kind.records import NodeImage

PUBLISHED: dict[int, tuple[str, str]] = {
    29: ("v1.29.14", "8703bd94ee24e51b778d5556ae310c6c0fa67d761fae6379c8e0bb480e6fea29"),
    30: ("v1.30.13", "397209b3d947d154f6641f2d0ce8d473732bd91c87d9575ade99049aa33cd648"),
    31: ("v1.31.14", "6f86cf509dbb42767b6e79debc3f2c32e4ee01386f0489b3b2be24b0a55aac2b"),
    32: ("v1.32.11", "5fc52d52a7b9574015299724bd68f183702956aa4a2116ae75a63cb574b35af8"),
    33: ("v1.33.12", "3f5c8443c620245e4d355cfe09e96a91ead32ceaa569d3f1ca9edf0cb2fe2ff4"),
    34: ("v1.34.11", "44e222ee2132dab25ff87301682f89eb82c7880ea3a1bf543bfe9708fd08d67d"),
    35: ("v1.35.8", "07b2536e30b803ed61d1677a79df6115f798ce64c80f9e22f6ed45afd09323c0"),
    36: ("v1.36.4", "099e049362a1526b2db71494e1947aae99bd16290d7c895f2b7ea312e3cbfaed"),
    37: ("v1.37.0", "a1ed56cfb0e7b93589bdf97c8cd566405a265939e3620fc4f5de89adff580ae5"),
}
"""Kubernetes minor → the newest patch that kind's project published a node image of, and its digest.

Source: the release notes of kind v0.33.0 (1.34 to 1.37), v0.32.0 (1.33), v0.31.0 (1.31, 1.32), v0.29.0 (1.30)
and v0.27.0 (1.29)."""

DOWNLOAD = "about 400 MB to download, 1.1 GB on disk"
"""The approximate size of a published node image."""
VERSION_LABEL = "io.kubewire.kubernetes"
OWN, UPSTREAM = "kubewire/node", "kindest/node"
VERSION = re.compile(r"v1\.\d+\.\d+")


@dataclass(frozen=True)
class NodeImageChoice:
    """A lab's node image: its reference, its Kubernetes version ("" if unknown), whether it is there."""

    reference: str
    kubernetes: str
    present: bool


def choose_image(lab: Lab, images: Sequence[NodeImage]) -> NodeImageChoice:
    """The lab's own `nodeImage`, else the newest fitting one in the engine, else the one kind publishes.

    Raises DefinitionError for an image whose name tells another version than the lab's.
    """
    if lab.node_image:
        return _named(lab, lab.node_image, images)
    fitting = [
        (_number(version), reference.startswith(OWN), reference, version)
        for image in images
        for reference, version in _versions(image)
        if fits(version, lab.kubernetes)
    ]
    if fitting:
        _, _, reference, version = max(fitting)
        return NodeImageChoice(reference, version, present=True)
    version, digest = PUBLISHED.get(int(lab.kubernetes.split(".")[1]), ("", ""))
    if fits(version, lab.kubernetes):
        return NodeImageChoice(f"{UPSTREAM}:{version}@sha256:{digest}", version, present=False)
    if lab.kubernetes.count(".") == 1:
        raise DefinitionError(
            f"no node image of Kubernetes {lab.kubernetes} is known",
            where=f"lab {lab.name}",
            hint=f"build one: kubewire image build {lab.kubernetes}; or name one as nodeImage",
        )
    return NodeImageChoice(f"{UPSTREAM}:v{lab.kubernetes}", f"v{lab.kubernetes}", present=False)


def fits(version: str, wanted: str) -> bool:
    """Whether v1.37.2 serves a lab that asks for `1.37` or `1.37.2`."""
    return version == f"v{wanted}" or version.startswith(f"v{wanted}.")


def _named(lab: Lab, reference: str, images: Sequence[NodeImage]) -> NodeImageChoice:
    present = next((image for image in images if reference in image.references), None)
    told = VERSION.search(reference.partition("@")[0])
    version = present.labels.get(VERSION_LABEL, "") if present else ""
    version = version or (told.group() if told else "")
    if version and not fits(version, lab.kubernetes):
        raise DefinitionError(
            f"nodeImage {reference} is Kubernetes {version}, and the lab asks for {lab.kubernetes}",
            where=f"lab {lab.name}",
            hint=f"set kubernetes: {version.removeprefix('v')}, or name another image",
        )
    return NodeImageChoice(reference, version, present=present is not None)


def _versions(image: NodeImage) -> list[tuple[str, str]]:
    """(reference, version) of an image that is a node image by its name."""
    found = []
    for reference in image.references:
        name = reference.removeprefix("docker.io/")
        repository, _, tag = name.partition("@")[0].partition(":")
        digest = name.partition("@sha256:")[2]
        if repository not in (OWN, UPSTREAM):
            continue
        if VERSION.fullmatch(tag):
            found.append((reference, tag))
        elif digest:
            found += [(reference, version) for version, known in PUBLISHED.values() if known == digest]
    return found


def _number(version: str) -> tuple[int, ...]:
    return tuple(int(part) for part in version.removeprefix("v").split("."))
