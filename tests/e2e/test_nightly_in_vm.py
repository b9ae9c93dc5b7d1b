"""A nightly's cell in a VM of its own, with a real ip_vs: judged as everywhere, session affinity too, and
nothing of it stays.
"""

from __future__ import annotations

import json
import subprocess
from pathlib import Path

import pytest
from harness import Kubewire

pytestmark = [pytest.mark.e2e, pytest.mark.slow, pytest.mark.vm]
LAB = """
mode: ipvs
nodes: {workers: 1}
httpbin: {replicas: 2, type: NodePort, nodePort: 30080, sessionAffinity: ClientIP}
kubeProxy: {scheduler: mh}
"""
MATRIX = "versions: [1.37]\nmodes: [ipvs]\nlabs: [LAB]\n"


def test_an_ipvs_cell_runs_in_a_vm(kubewire: Kubewire, tmp_path: Path) -> None:
    (tmp_path / "small.yml").write_text(LAB)
    (tmp_path / "m.yml").write_text(MATRIX.replace("LAB", str(tmp_path / "small.yml")))
    run = tmp_path / "run"
    done = kubewire.run("matrix", str(tmp_path / "m.yml"), "--host", "vm", "--output", str(run), timeout=3600)
    log = next(run.glob("cells/*/log.txt")).read_text()
    assert done.code == 0, done.text + log
    (cell,) = json.loads((run / "run.json").read_text())["cells"]
    assert (cell["status"], cell["host"]) == ("passed", "vm")
    passed = {check["id"] for check in cell["checks"] if check["status"] == "passed"}
    assert {"ipvs.virtual-server", "traffic.affinity"} <= passed
    assert (run / "cells" / cell["id"] / "snapshot.tar.gz").exists()
    assert not list(run.glob("cells/*/state"))
    assert subprocess.run(["pgrep", "-f", str(tmp_path)], capture_output=True).returncode == 1
