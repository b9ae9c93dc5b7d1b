"""`verify --snapshot` of one node with many Services, against the jc command reading its `iptables -L -n`."""

from __future__ import annotations

from statistics import median

from measuring import Cli, Row, Timed, script, timed
from programmed import make_snapshot

MODES = ("iptables", "nftables", "ipvs")
SMALL, LARGE = 1_000, 10_000


def engine_rows(cli: Cli) -> list[Row]:
    """Each command as a process of its own, in turn with the others; medians of wall time."""
    small, large = _runs(cli, SMALL, times=7), _runs(cli, LARGE, times=3)
    rows = [Row(f"jc reads `iptables -L -n` of {SMALL:,} Services x 3", f"{_seconds(small['jc']):.3f} s")]
    for mode in MODES:
        one, ten = _seconds(small[mode]), _seconds(large[mode])
        peak = max(run.peak_mib for run in large[mode])
        rows += [
            Row(f"verify --snapshot, {SMALL:,} x 3, {mode}", f"{one:.3f} s"),
            Row("  / jc", f"{one / _seconds(small['jc']):.2f}", "≤ 1.5"),
            Row(f"verify --snapshot, {LARGE:,} x 3, {mode}", f"{ten:.2f} s, {peak:.0f} MiB", "≤ 1024 MiB"),
            Row(f"  / {SMALL:,} x 3", f"{ten / one:.1f}", "≤ 12"),
        ]
    return rows


def _seconds(runs: list[Timed]) -> float:
    return median(run.seconds for run in runs)


def _runs(cli: Cli, services: int, times: int) -> dict[str, list[Timed]]:
    folders = {mode: cli.folder / f"{mode}-{services}" for mode in MODES}
    for mode, folder in folders.items():
        make_snapshot(folder, mode, services)
    listing = (folders["iptables"] / "listing.txt").read_text()
    runs: dict[str, list[Timed]] = {}
    for _ in range(times):
        runs.setdefault("jc", []).append(timed([script("jc"), "--iptables"], input=listing))
        for mode, folder in folders.items():
            runs.setdefault(mode, []).append(cli.run("verify", "--snapshot", str(folder)))
    return runs
