"""One cell, in a process of its own: a lab is created, verified, saved as a snapshot, and removed.

`python -m kubewire.nightly.cell FOLDER PARENT` with a CellOrder on standard input; writes result.json and
snapshot.tar.gz there. The lab is never committed, so it ends with this process in any case.
Nothing is repaired: the cell verifies what kube-proxy wrote by itself. A kube-proxy that lost a race at its
start is restarted, which the result notes.
"""

from __future__ import annotations

import hashlib
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from msgspec.structs import replace

from kubewire.app.steps.cluster import make_cluster
from kubewire.app.steps.node_tools import tell_all_tools
from kubewire.app.steps.workload import bring_workload
from kubewire.cluster.api import Api
from kubewire.core import console
from kubewire.core.errors import KubewireError
from kubewire.core.files import write_atomically
from kubewire.core.refusals import refusal
from kubewire.core.serialization import decode
from kubewire.lab.lookup import required_record
from kubewire.lab.record import Record
from kubewire.matrix.results import CellResult, checked, unchecked
from kubewire.nightly.children import serve
from kubewire.nightly.folder import CellOrder
from kubewire.providers.base import Provider
from kubewire.providers.registry import get_provider
from kubewire.snapshot.archive import pack_snapshot
from kubewire.snapshot.collect import take_snapshot
from kubewire.verify.live import verify
from kubewire.verify.report import Report
from kubewire.verify.servicecidr_race import unlisted_networks

AGAIN = "as if its first sync came before it had the ServiceCIDRs: started again"


def main(arguments: list[str]) -> int:
    return serve(arguments, _work)


def _work(folder: Path, told: bytes) -> int:
    result = run_cell(decode(told, CellOrder), folder)
    write_atomically(folder / "result.json", result.model_dump_json(by_alias=True) + "\n")
    return 0


def run_cell(order: CellOrder, folder: Path) -> CellResult:
    """Create, verify, save, remove. Anything that prevents verifying is an error of the cell."""
    phases = Phases()
    name = overrides_of(order)["name"]
    control_plane = ""
    provider = get_provider(order.provider)
    try:
        with phases.timed("cluster"):
            make_cluster(order.reference, overrides_of(order), order.provider)
        record = required_record(name)
        control_plane = order.control_plane or record.kubernetes
        with phases.timed("workload"):
            if provider.installs_tools:
                tell_all_tools(name)
            bring_workload(name)
        with phases.timed("verify"):
            report = _verdict(provider, record)
        with phases.timed("snapshot"):
            _keep(provider, record, folder)
        return checked(order, report, phases.seconds, control_plane)
    except KubewireError as error:
        return unchecked(order, "error", str(error), phases.seconds, control_plane)
    except OSError as error:
        return unchecked(order, "error", str(refusal(error) or error), phases.seconds, control_plane)
    finally:
        provider.abandon(name)
        provider.down(name)


def _verdict(provider: Provider, record: Record) -> Report:
    """The report, without the effect of a race at kube-proxy's start, which its notes name."""
    report = verify(provider, record)
    nodes = unlisted_networks(report.checks)
    if not nodes:
        return report
    for node in nodes:
        provider.restart_kube_proxy(record.lab.name, node)
    again = verify(provider, record)
    return replace(again, notes=(*again.notes, *(f"kube-proxy on {node}: {AGAIN}" for node in nodes)))


def overrides_of(order: CellOrder) -> dict[str, str]:
    """The cell's overrides of the lab file."""
    found = {"name": lab_name(order), "mode": order.mode, "kubernetes": order.kubernetes.removeprefix("v")}
    if order.control_plane:
        found["controlPlane"] = order.control_plane.removeprefix("v")
    return found


def lab_name(order: CellOrder) -> str:
    """The lab's own name where each cell's state folder makes it unique."""
    own = order.id.split(f"-{order.mode}-")[0].lower()
    if not get_provider(order.provider).shares_names:
        return own[:40].rstrip("-")
    return f"{own[:30].rstrip('-')}-{hashlib.sha256(order.id.encode()).hexdigest()[:6]}"


def _keep(provider: Provider, record: Record, folder: Path) -> None:
    with Api(provider.kubeconfig(record.lab.name)) as api:
        taken = take_snapshot(provider, record.lab, api, kubernetes=record.kubernetes)
    keep_packed(folder, pack_snapshot(taken))


def keep_packed(folder: Path, packed: bytes) -> None:
    """A cell's snapshot, whole or absent."""
    draft = folder / ".snapshot.tar.gz"
    draft.write_bytes(packed)
    draft.replace(folder / "snapshot.tar.gz")


class Phases:
    """How long each phase took, in seconds."""

    def __init__(self) -> None:
        self.seconds: dict[str, float] = {}

    @contextmanager
    def timed(self, name: str) -> Iterator[None]:
        console.out(f"{time.strftime('%H:%M:%S')} {name}")
        started = time.monotonic()
        try:
            yield
        finally:
            self.seconds[name] = round(time.monotonic() - started, 2)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
