"""A small report to show."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import pytest

from kubewire.dataplane.core.findings import Check, Note
from kubewire.verify.report import Report, ReportNode, build_report

NODES = ("iptables-control-plane", "iptables-worker", "iptables-worker2")


@pytest.fixture
def make_report() -> Callable[..., Report]:
    """`make_report(checks, notes=…, **fields)`: three nodes whose tables hold, and these checks besides."""

    def make(checks: Sequence[Check] = (), notes: Sequence[Note] = (), **fields: Any) -> Report:
        tables = [
            Check("iptables.table", "passed", node, "ipv4", object=table)
            for node in NODES
            for table in ("filter", "nat")
        ]
        given: dict[str, Any] = {
            "lab": "iptables",
            "provider": "netns",
            "kubernetes": "v1.37.2",
            "mode": "iptables",
            "nodes": [ReportNode(name, "v1.37.2") for name in NODES],
            "families": ("ipv4",),
            "story": [
                ("provider", "netns: no Docker engine answers"),
                ("chain", "KUBE-SERVICES → KUBE-SVC-X"),
            ],
            **fields,
        }
        return build_report(checks=[*tables, *checks], notes=notes, **given)

    return make
