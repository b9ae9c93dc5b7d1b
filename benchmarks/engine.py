"""`verify --snapshot` of one node with many Services, against the jc command reading its `iptables -L -n`."""

from __future__ import annotations

from collections.abc import Sequence
from statistics import median

from measuring import Cli, Row, Timed, script, timed
from programmed import FOREIGN, make_snapshot

MODES = ("iptables", "nftables", "ipvs")
SMALL, LARGE = 1_000, 10_000
BESIDE_OTHERS = " beside others"


def engine_rows(cli: Cli) -> list[Row]:
    """Each command as a process of its own, in turn with the others; medians of wall time."""
    beside = [mode + BESIDE_OTHERS for mode in MODES]
    small, large = _runs(cli, SMALL, [*MODES, *beside], times=7), _runs(cli, LARGE, MODES, times=3)
    rows = [Row(f"jc reads `iptables -L -n` of {SMALL:,} Services x 3", f"{_seconds(small['jc']):.3f} s")]
    for mode in MODES:
        one, ten = _seconds(small[mode]), _seconds(large[mode])
        foreign = _seconds(small[mode + BESIDE_OTHERS])
        peak = max(run.peak_mib for run in large[mode])
        rows += [
            Row(f"verify --snapshot, {SMALL:,} x 3, {mode}", f"{one:.3f} s"),
            Row("  / jc", f"{one / _seconds(small['jc']):.2f}", "≤ 1.5"),
            Row(f"verify --snapshot, {LARGE:,} x 3, {mode}", f"{ten:.2f} s, {peak:.0f} MiB", "≤ 1024 MiB"),
            Row(f"  / {SMALL:,} x 3", f"{ten / one:.1f}", "≤ 12"),
            Row(f"  with {len(FOREIGN)} foreign rules / without", f"{foreign / one:.2f}", "≤ 2"),
        ]
    return rows


def _seconds(runs: list[Timed]) -> float:
    return median(run.seconds for run in runs)


def _runs(cli: Cli, services: int, kinds: Sequence[str], times: int) -> dict[str, list[Timed]]:
    """The runs of jc, and of `verify` on a snapshot of each kind: a mode, or it with BESIDE_OTHERS."""
    folders = {kind: cli.folder / f"{kind}-{services}" for kind in kinds}
    for kind, folder in folders.items():
        mode = kind.removesuffix(BESIDE_OTHERS)
        make_snapshot(folder, mode, services, foreign=kind != mode)
    listing = (folders["iptables"] / "listing.txt").read_text()
    runs: dict[str, list[Timed]] = {}
    for _ in range(times):
        runs.setdefault("jc", []).append(timed([script("jc"), "--iptables"], input=listing))
        for kind, folder in folders.items():
            runs.setdefault(kind, []).append(cli.run("verify", "--snapshot", str(folder)))
    return runs
