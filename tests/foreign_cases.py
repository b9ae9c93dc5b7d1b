"""Other owners' rules on a node, and what they do to packets to Services: tests/golden/foreign."""

from __future__ import annotations

from collections.abc import Iterable
from fnmatch import fnmatchcase
from pathlib import Path
from typing import Literal

import yaml
from msgspec import Struct
from msgspec.structs import replace

from kubewire.core.serialization import convert

CASES = Path(__file__).parent / "golden" / "foreign"
Mode = Literal["iptables", "nftables", "ipvs"]
Fate = Literal["delivered", "dropped", "refused"]


class ForeignCase(Struct, frozen=True, forbid_unknown_fields=True):
    """One case. `source`: the report that it was written after, "own" where there is none.

    `iptables` is input of iptables-restore --noflush, `nft` of nft -f; `$NAME` in them is an address of the
    lab (see test_foreign_rules.addresses). `file` holds one of the two, as a real tool made it. `hit`: the
    ways, or patterns of them, that end otherwise than without the rules; `hit_in`: those of a mode, instead.
    `untraced`: ways whose refusal is lost in turn, which a trace doesn't follow.
    `quick`: also in `make test`, in one mode.
    """

    what: str
    source: str
    owner: str = ""
    modes: tuple[Mode, ...] = ("iptables", "nftables")
    where: Literal["worker", "control-plane"] = "worker"
    iptables: str = ""
    nft: str = ""
    file: str = ""
    hit: dict[Fate, tuple[str, ...]] = {}
    hit_in: dict[Mode, dict[Fate, tuple[str, ...]]] = {}
    untraced: tuple[str, ...] = ()
    quick: bool = False
    name: str = ""

    def fates(self, mode: Mode, healthy: dict[str, Fate]) -> dict[str, Fate]:
        """How packets on each way must end; `healthy`: how they do without the rules."""
        hit = self.hit_in.get(mode, self.hit)
        unused = [
            p for patterns in hit.values() for p in patterns if not any(fnmatchcase(w, p) for w in healthy)
        ]
        assert not unused, f"{self.name}: no way is called {unused}"
        return {way: _fate(way, hit) or fate for way, fate in healthy.items()}


def _fate(way: str, hit: dict[Fate, tuple[str, ...]]) -> Fate | None:
    return next((fate for fate, names in hit.items() if any(fnmatchcase(way, n) for n in names)), None)


def read_cases(files: Iterable[Path] = ()) -> list[ForeignCase]:
    """The cases of those files, by default all; AssertionError with the file that is not whole."""
    return [_read(path) for path in sorted(files or CASES.glob("*.yml"))]


def _read(path: Path) -> ForeignCase:
    try:
        case = convert(yaml.safe_load(path.read_text()), ForeignCase)
    except (ValueError, yaml.YAMLError) as error:
        raise AssertionError(f"{path}: {error}") from error
    if case.file:
        lines = (path.parent / case.file).read_text().splitlines(keepends=True)
        text = "".join(line for line in lines if not line.startswith("#"))
        case = replace(case, **{"iptables" if text.startswith("*") else "nft": text})
    assert case.modes, path
    assert case.iptables or case.nft, path
    return replace(case, name=path.stem)
