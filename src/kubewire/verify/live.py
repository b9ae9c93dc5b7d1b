"""Verifying a running lab: a snapshot is checked, then real traffic. Nothing is written to the cluster."""

from __future__ import annotations

import time
from collections.abc import Sequence
from typing import Protocol

from kubewire.cluster.api import Api
from kubewire.dataplane.core.findings import Check, Note
from kubewire.lab.schema import Lab
from kubewire.providers.base import Provider
from kubewire.snapshot.cluster import fingerprint, read_cluster
from kubewire.verify.converge import DEADLINE_SECONDS, Observation, observe
from kubewire.verify.evaluate import report_of
from kubewire.verify.report import Report
from kubewire.verify.servicecidr_race import HINT, unlisted_networks
from kubewire.verify.traffic import check_traffic

TRAFFIC_PAUSE_SECONDS = 1.0


class LabRecord(Protocol):
    """What verify reads of a lab's record (kubewire.lab.record.Record)."""

    @property
    def lab(self) -> Lab: ...
    @property
    def kubernetes(self) -> str: ...
    @property
    def provider_why(self) -> str: ...


def verify(provider: Provider, record: LabRecord, *, deadline: float = DEADLINE_SECONDS) -> Report:
    """Verify the lab against its recorded definition. A changing cluster is checked again until it agrees
    or `deadline` seconds are over; a difference that stays is reported within a few seconds.

    Raises LabError when the apiserver or every node is out of reach.
    """
    lab = record.lab
    end = time.monotonic() + deadline
    notes: list[Note] = []
    with Api(provider.kubeconfig(lab.name)) as api:
        while True:
            left = max(0.0, end - time.monotonic())
            found = observe(provider, lab, api, kubernetes=record.kubernetes, parts=lab.checks, deadline=left)
            traffic = _traffic(provider, lab, found)
            if not _failed(traffic) or found.verdict.failed or time.monotonic() > end:
                break
            time.sleep(TRAFFIC_PAUSE_SECONDS)
            if fingerprint(read_cluster(api)) == fingerprint(found.snapshot.cluster):
                first, traffic = traffic, _traffic(provider, lab, found)
                notes += _overcome(first, traffic)
                break
    notes += [Note(HINT, node) for node in unlisted_networks(found.verdict.failed)]
    story = [("provider", f"{provider.name}: {record.provider_why}"), *found.verdict.story]
    return report_of(
        found.snapshot,
        [*found.verdict.checks, *traffic],
        [*found.verdict.notes, *notes],
        story=story,
        not_real=provider.not_real,
    )


def _traffic(provider: Provider, lab: Lab, found: Observation) -> list[Check]:
    return check_traffic(provider, lab, found.snapshot) if "traffic" in lab.checks else []


def _overcome(first: Sequence[Check], second: Sequence[Check]) -> list[Note]:
    """Notes on checks that failed at first and passed at the second try."""
    still = {
        (check.id, check.node, check.family, check.object) for check in second if check.status == "failed"
    }
    return [
        Note(f"{check.id} failed on the first try: {check.object}: {check.observed}", check.node)
        for check in first
        if check.status == "failed" and (check.id, check.node, check.family, check.object) not in still
    ]


def _failed(checks: Sequence[Check]) -> bool:
    return any(check.status == "failed" for check in checks)
