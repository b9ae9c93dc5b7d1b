"""A nightly to look at: nine minors, one wrong kube-proxy, one broken control plane, and recorded drift."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import date
from itertools import pairwise
from typing import Any

from kubewire.binaries.catalog import COMPLETE, KUBE_PROXY_ONLY
from kubewire.dataplane.core.snapshot import Snapshot
from kubewire.matrix.plan import Cell
from kubewire.matrix.results import CellResult, CheckResult, MachineResult, Run, Summary, status_of, unchecked
from kubewire.nightly.drifts import results
from kubewire.report.html import run_to_html
from kubewire.versiondiff.compare import drift
from kubewire.versiondiff.roles import explained_by_roles
from recorded import folder_of, load

VERSIONS = [*reversed(COMPLETE.values()), *KUBE_PROXY_ONLY.values()]
BROKEN = """\
the control plane did not come up: kube-apiserver ended three times
  Error: unable to load configmap based request-header-client-ca-file: connection refused"""


def sample_page() -> str:
    """The page's text."""
    kept = [recorded(f"{version}-nftables") for version in ("v1.35.4", "v1.36.3", "v1.37.2")]
    pair = explained_by_roles(kept[0], "default/nodeport"), explained_by_roles(kept[-1], "default/nodeport")
    steps = [drift(older, newer, "nodeport nftables netns") for older, newer in pairwise(kept)]
    drifts = results(steps, "version", (), date(2026, 11, 25))
    return run_to_html(sample_run().model_copy(update={"drift": drifts}), [pair])


def recorded(name: str) -> Snapshot:
    """A recorded kube-proxy's snapshot; its node `default` only."""
    whole = load(folder_of(name))
    return Snapshot(whole.cluster, tuple(node for node in whole.nodes if node.name == "default"))


def sample_run() -> Run:
    cells = tuple(_cells())
    return Run(
        schema_number=1,
        kubewire="0.1.0",
        matrix="labs/matrix.yml",
        started="2026-11-25T02:17:00Z",
        finished="2026-11-25T02:21:48Z",
        status=status_of(cells),
        machine=MachineResult(cpus=2, memory_bytes=8 * 2**30, kernel="Linux 6.18.4"),
        cells=cells,
    )


def _cells() -> Iterator[CellResult]:
    for row, version in enumerate(VERSIONS):
        for column, mode in enumerate(("iptables", "nftables", "ipvs")):
            cell = Cell("nodeport", mode, "netns", version)
            if mode == "ipvs":
                yield unchecked(cell, "skipped", "ip_vs, ip_vs_rr: kernel 6.18.4 has none")
            elif (version, mode) == ("v1.33.13", "nftables"):
                yield unchecked(cell, "error", BROKEN, {"cluster": 12.4})
            else:
                bad = (WRONG,) if (version, mode) == ("v1.36.3", "iptables") else ()
                yield _judged(cell, bad, 4.0 + 0.31 * row + 0.2 * column)


def _judged(cell: Cell, bad: tuple[CheckResult, ...], cluster: float) -> CellResult:
    green = tuple(_green(cell.mode))
    return CellResult(
        id=cell.id,
        **cell.keys,
        control_plane=max(cell.kubernetes, "v1.33.13") if cell.kubernetes < "v1.34" else "v1.37.2",
        status="failed" if bad else "passed",
        seconds={"cluster": round(cluster, 2), "workload": 0.84, "verify": 1.32, "snapshot": 0.21},
        summary=Summary(passed=len(green), failed=len(bad)),
        notes=("kube-proxy's conntrack settings are left out: netns labs share the host's",),
        checks=(*bad, *green),
    )


def _green(mode: str) -> Iterator[CheckResult]:
    about: dict[str, Any] = {"service": "default/httpbin:http", "status": "passed"}
    for node in ("nodeport-control-plane", "nodeport-worker", "nodeport-worker2"):
        for family in ("ipv4", "ipv6"):
            yield CheckResult(id="dump.present", status="passed", node=node, family=family, object=mode)
        yield CheckResult(id=f"{mode}.service.endpoint", node=node, family="ipv4", **about)
        yield CheckResult(id="traffic.node-port", node=node, family="ipv4", **about)


WRONG = CheckResult(
    id="iptables.mark-masq",
    status="failed",
    node="nodeport-worker",
    family="ipv4",
    object="iptables nat KUBE-MARK-MASQ",
    reason="kube-proxy masquerades what carries its mark, 0x4000 by iptables.masqueradeBit 14",
    expected="-A KUBE-MARK-MASQ -j MARK --or-mark 0x4000",
    observed="-A KUBE-MARK-MASQ -j MARK --or-mark 0x8000",
)
