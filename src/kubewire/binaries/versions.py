"""What a user may write as a Kubernetes version, and which control plane runs beside a kube-proxy. Pure."""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass

from kubewire.binaries.catalog import COMPLETE, KUBE_PROXY_ONLY, MAX_SKEW, MINORS, NEWEST
from kubewire.core.errors import DefinitionError

KNOWN = KUBE_PROXY_ONLY | COMPLETE
BEYOND = 100
"""No minor is as high: such a version is a typo."""
WRITTEN = re.compile(r"v?(\d+)\.(\d+)(?:\.(\d+))?")


@dataclass(frozen=True)
class Wanted:
    """`1.34` (patch None) or `1.34.2`."""

    minor: int
    patch: int | None = None

    def __str__(self) -> str:
        return f"1.{self.minor}" if self.patch is None else f"v1.{self.minor}.{self.patch}"


@dataclass(frozen=True)
class Components:
    """The version of kube-proxy (the lab's version) and of the control plane with kubectl."""

    kube_proxy: str
    control_plane: str
    reason: str = ""


def parse(wanted: str) -> Wanted:
    """The user's text (`1.34`, `v1.34.2`, "" for the newest known), parsed without any network.

    The sources resolve a newer minor. Raises DefinitionError that names the nearest
    known version.
    """
    text = wanted.strip() or NEWEST.rpartition(".")[0]
    match = WRITTEN.fullmatch(text)
    span = f"kubewire knows 1.{MINORS[0]} to 1.{MINORS[-1]}, and takes newer ones"
    if not match:
        raise DefinitionError(
            f"{wanted!r} is not a Kubernetes version",
            hint=f"write it as 1.{MINORS[-1]} or {NEWEST}; {span}",
        )
    major, minor, patch = int(match[1]), int(match[2]), match[3]
    if major == 1 and MINORS[0] <= minor < BEYOND:
        return Wanted(minor, None if patch is None else int(patch))
    if major == 1 and minor * 10 in MINORS and patch is None:
        nearest, hint = (
            minor * 10,
            f" (in YAML, quote it: an unquoted 1.{minor * 10} is the number 1.{minor})",
        )
    else:
        nearest, hint = min(MINORS, key=lambda known: abs(known - minor)) if major == 1 else MINORS[-1], ""
    raise DefinitionError(
        f"Kubernetes {text} is not a version that kubewire knows",
        hint=f"the nearest is 1.{nearest}{hint}; {span}",
    )


def components(version: str, *, whole: bool, cached: Iterable[str]) -> Components:
    """What runs beside a kube-proxy: its own version if that is available `whole`, else the nearest newer.

    Only a version whose modules lack the control plane gets another one; a `cached` one is preferred, never
    more than three minors newer (kubernetes.io, Version Skew Policy).
    """
    if whole or version not in KUBE_PROXY_ONLY.values():
        return Components(version, version)
    minor = parse(version).minor
    allowed = range(minor + 1, minor + 1 + MAX_SKEW)
    usable = sorted((v for v in cached if parse(v).minor in allowed), key=sort_key)
    chosen = usable[0] if usable else COMPLETE[allowed[0]]
    return Components(
        version,
        chosen,
        f"the Go modules of {version} lack its control plane; {chosen} is within the version skew policy",
    )


def minor_of(version: str) -> int:
    """38, of `v1.38.0`."""
    return sort_key(version)[1]


def sort_key(version: str) -> tuple[int, ...]:
    return tuple(int(part) for part in version.removeprefix("v").split("."))
