"""Labs recorded on real kind, with CoreDNS, Docker's and the CNI's rules: right, never green damaged."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import pytest

from kubewire.verify.offline import verify_folder

GOLDEN = Path(__file__).parents[2] / "golden" / "kind"
LABS = sorted(GOLDEN.iterdir())
FOREIGN = ("DOCKER", "KIND-MASQ", "CANARY", "KUBE-IPTABLES-HINT", "KUBE-FIREWALL", "KUBE-KUBELET")


def mode(folder: Path) -> str:
    return str(json.loads((folder / "snapshot.json").read_text())["mode"])


@pytest.mark.parametrize("folder", LABS, ids=lambda path: path.name)
def test_a_recorded_lab_is_right_and_its_foreign_rules_are_told_apart(folder: Path) -> None:
    report = verify_folder(folder)
    assert [check for check in report.checks if check.status == "failed"] == []
    assert (report.status, report.provider) == ("passed", "kind")
    notes = " ".join(report.notes)
    for owner in ("Docker", "kindnet", "kubelet"):
        assert owner in notes
    services = {check.service.partition(":")[0] for check in report.checks}
    assert {"default/httpbin", "default/kubernetes", "kube-system/kube-dns"} <= services
    left_out = [check for check in report.checks if check.status == "skipped"]
    assert all("IPv6 is disabled" in check.reason for check in left_out)


@pytest.mark.parametrize("folder", [lab for lab in LABS if mode(lab) == "iptables"], ids=lambda p: p.name)
def test_any_lost_rule_is_found(folder: Path, tmp_path: Path) -> None:
    copied = Path(shutil.copytree(folder, tmp_path / "snapshot"))
    dump = next(copied.glob("nodes/*-worker/iptables-save.txt"))
    lines = dump.read_text().splitlines()
    rules = [n for n, line in enumerate(lines) if line.startswith("-A ") and not _foreign(line)]
    assert len(rules) > 50
    for number in rules[::7]:
        dump.write_text("\n".join(lines[:number] + lines[number + 1 :]) + "\n")
        assert verify_folder(copied).status == "failed", lines[number]


@pytest.mark.parametrize("folder", [lab for lab in LABS if mode(lab) == "nftables"], ids=lambda p: p.name)
def test_any_lost_object_is_found(folder: Path, tmp_path: Path) -> None:
    copied = Path(shutil.copytree(folder, tmp_path / "snapshot"))
    dump = next(copied.glob("nodes/*-worker/nft-ip.json"))
    objects: list[dict[str, Any]] = json.loads(dump.read_text())["nftables"]
    chosen = [n for n, each in enumerate(objects) if each.keys() & {"rule", "chain"}]
    assert len(chosen) > 40
    for number in chosen[::5]:
        dump.write_text(json.dumps({"nftables": objects[:number] + objects[number + 1 :]}))
        assert verify_folder(copied).status == "failed", objects[number]


def _foreign(line: str) -> bool:
    return any(owner in line for owner in FOREIGN)
