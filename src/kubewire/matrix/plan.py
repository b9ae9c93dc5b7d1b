"""The cells of a nightly, their order, and the control plane of each. Pure."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from itertools import product

from msgspec import Struct
from msgspec.structs import replace

from kubewire.binaries.catalog import COMPLETE, KUBE_PROXY_ONLY, MAX_SKEW, MINORS
from kubewire.binaries.versions import parse, sort_key
from kubewire.core.errors import DefinitionError
from kubewire.matrix.schema import LATEST, Matrix
from kubewire.matrix.selectors import Selector, parse_selector
from kubewire.providers.registry import get_provider

SHARD = re.compile(r"(\d{1,4})/(\d{1,4})")


class Cell(Struct, frozen=True, rename="camel", forbid_unknown_fields=True):
    """One lab in one mode on one version. `kubernetes` is kube-proxy's exact version; `control_plane` that of
    what runs beside it, "" for the provider's own; `skip` why it can't run on this machine, "" if it can.
    """

    lab: str
    mode: str
    provider: str
    kubernetes: str
    control_plane: str = ""
    skip: str = ""

    @property
    def id(self) -> str:
        """`nodeport-nftables-netns-v1.37.2`: its name in results, and of its folder."""
        lab = re.sub(r"[^A-Za-z0-9]+", "-", self.lab.removesuffix(".yaml").removesuffix(".yml")).strip("-")
        return f"{lab}-{self.mode}-{self.provider}-{self.kubernetes}"

    @property
    def keys(self) -> Mapping[str, str]:
        """The values that selectors match."""
        return {
            "lab": self.lab,
            "mode": self.mode,
            "provider": self.provider,
            "kubernetes": self.kubernetes,
        }


@dataclass(frozen=True)
class Machine:
    """The facts of a plan: why a provider can't run a mode here, by (provider, mode); and whether official
    releases can be fetched, so that a control plane costs no build.
    """

    lacking: Mapping[tuple[str, str], str]
    releases: bool = False


def version_words(matrix: Matrix, only: Sequence[str] = (), newer: Sequence[int] = ()) -> list[str]:
    """The versions to resolve, newest first and each once: minors (`1.37`) and exact ones (`1.34.4`); with
    `only` those that it may choose. `newer`: minors beyond the known ones, also meant by `all` and `latest`.
    """
    known = (*MINORS, *newer)
    words: dict[str, None] = {}
    for word in matrix.versions:
        latest = LATEST.fullmatch(word)
        minors = known if word == "all" else known[-int(latest[1] or 1) :] if latest else ()
        words.update(dict.fromkeys([f"1.{minor}" for minor in minors] or [word]))
    return sorted((word for word in words if may_be_meant(word, only)), key=_newest_first)


def follows_new_minors(matrix: Matrix) -> bool:
    """Whether it can include a minor that isn't named."""
    return any(word == "all" or LATEST.fullmatch(word) for word in matrix.versions)


def may_be_meant(word: str, only: Sequence[str]) -> bool:
    """Whether `only` leaves cells of that version."""
    return not only or any(parse_selector(text).may_match_version(word) for text in only)


def _newest_first(word: str) -> tuple[int, ...]:
    """A minor counts as its newest patch."""
    return tuple(-number for number in sort_key(word if word.count(".") == 2 else f"{word}.999"))


def plan(
    matrix: Matrix,
    versions: Iterable[str],
    machine: Machine,
    *,
    only: Sequence[str] = (),
    shard: str = "",
) -> tuple[Cell, ...]:
    """The cells to run, newest version first; `versions` are exact ones.

    Raises DefinitionError where no cell is left, or for an invalid shard.
    """
    exact = sorted(set(versions), key=sort_key, reverse=True)
    beside = control_planes(exact, matrix.control_plane, releases=machine.releases)
    cells = [
        Cell(
            *(lab, mode.value, provider, version),
            beside[version] if get_provider(provider).uses_binaries else "",
        )
        for version, lab, mode, provider in product(exact, matrix.labs, matrix.modes, matrix.providers)
    ]
    excluded = [parse_selector(text) for text in matrix.exclude]
    wanted = [parse_selector(text) for text in only]
    chosen = [cell for cell in cells if not _any(excluded, cell) and (not wanted or _any(wanted, cell))]
    if not chosen:
        raise DefinitionError(_nothing_left(cells, excluded, wanted), hint="look at kubewire matrix --plan")
    return tuple(
        replace(cell, skip=machine.lacking.get((cell.provider, cell.mode), ""))
        for cell in part_of(chosen, shard)
    )


def read_shard(shard: str) -> tuple[int, int]:
    """K and N of `K/N`; DefinitionError for anything else."""
    match = SHARD.fullmatch(shard)
    number, total = (int(match[1]), int(match[2])) if match else (0, 0)
    if not 1 <= number <= total:
        raise DefinitionError(
            f"--shard {shard[:40]} is out of range", hint="write 1/5 to 5/5 for five runners"
        )
    return number, total


def part_of(cells: Sequence[Cell], shard: str) -> Sequence[Cell]:
    """The K-th of N parts (`K/N`) that differ by one cell at most; neighbours stay together, so that a runner
    fetches few versions.
    """
    if not shard:
        return cells
    number, total = read_shard(shard)
    if total > len(cells):
        raise DefinitionError(
            f"--shard {shard}: there are only {len(cells)} cells for {total} shards",
            hint=f"use at most {len(cells)} shards",
        )
    return cells[(number - 1) * len(cells) // total : number * len(cells) // total]


def shares_control_planes(policy: str, *, releases: bool) -> bool:
    """Whether a kube-proxy may run beside a newer control plane, so that most need only kube-proxy."""
    return policy == "newest-in-skew" or (policy == "auto" and not releases)


def control_planes(versions: Iterable[str], policy: str, *, releases: bool) -> dict[str, str]:
    """For each kube-proxy the control plane beside it. One serves every kube-proxy that is up to three minors
    older, so nine minors need three (kubernetes.io, Version Skew Policy).
    """
    ordered = sorted(versions, key=sort_key, reverse=True)
    if not shares_control_planes(policy, releases=releases):
        return dict.fromkeys(ordered, "")
    chosen: dict[str, str] = {}
    current = ""
    for version in ordered:
        minor = parse(version).minor
        if not current or parse(current).minor - minor > MAX_SKEW:
            newest = max(m for m in COMPLETE if m <= minor + MAX_SKEW)
            current = COMPLETE[newest] if minor in KUBE_PROXY_ONLY else version
        chosen[version] = current
    return chosen


def _any(selectors: Iterable[Selector], cell: Cell) -> bool:
    return any(selector.matches(cell.keys) for selector in selectors)


def _nothing_left(cells: Sequence[Cell], excluded: Sequence[Selector], wanted: Sequence[Selector]) -> str:
    asked = " or ".join(f"--only “{selector.text}”" for selector in wanted)
    if not cells:
        return f"no cell is left: no version of the matrix is {asked}"
    if wanted and not any(_any(wanted, cell) for cell in cells):
        return f"no cell is left: none of the {len(cells)} is {asked}"
    if not wanted or all(_any(excluded, cell) for cell in cells):
        return f"no cell is left: exclude leaves out all {len(cells)}"
    return f"no cell is left: what {asked} chooses is excluded"
