"""Labs recorded on real kind, with CoreDNS, Docker's and the CNI's rules, are right."""

from __future__ import annotations

from pathlib import Path

import pytest

from kubewire.verify.offline import verify_folder
from repository import GOLDEN

RECORDED = GOLDEN / "kind"
LABS = sorted(RECORDED.iterdir())


@pytest.mark.parametrize("folder", LABS, ids=lambda path: path.name)
def test_a_recorded_lab_is_right_and_its_foreign_rules_are_told_apart(folder: Path) -> None:
    report = verify_folder(folder)
    assert [check for check in report.checks if check.status == "failed"] == []
    assert (report.status, report.provider) == ("passed", "kind")
    notes = " ".join(report.notes)
    for owner in ("Docker", "kindnet", "kubelet"):
        assert owner in notes
    assert "3 of 3 nodes: tools: ipset v7.17, iptables v1.8.9 (nf_tables), nftables v1.0.6" in notes
    services = {check.service.partition(":")[0] for check in report.checks}
    assert {"default/httpbin", "default/kubernetes", "kube-system/kube-dns"} <= services
    left_out = [check for check in report.checks if check.status == "skipped"]
    unrecorded = {"kube-proxy.syncs", "kernel.sysctl", "conntrack.stale", "node.network"}
    assert {check.id for check in left_out} <= {"dump.present", *unrecorded}
    assert all("IPv6 is disabled" in check.reason for check in left_out if check.id == "dump.present")
