"""CI's OCI runtime: the capability that its machines lack goes from what is asked, the rest stays."""

from __future__ import annotations

import json
import subprocess
from pathlib import Path
from typing import Any

import pytest

from repository import ROOT

SCRIPT = ROOT / ".ci" / "runc-without-sys-resource"


@pytest.mark.parametrize(
    "held",
    [
        ["CAP_SYS_RESOURCE"],
        ["CAP_SYS_RESOURCE", "CAP_KILL"],
        ["CAP_KILL", "CAP_SYS_RESOURCE"],
        ["CAP_CHOWN", "CAP_SYS_RESOURCE", "CAP_KILL"],
        ["CAP_KILL"],
    ],
)
def test_only_that_capability_goes(tmp_path: Path, held: list[str]) -> None:
    config: dict[str, Any] = {
        "process": {"capabilities": {"bounding": held, "effective": []}, "oomScoreAdj": -997, "args": ["x"]}
    }
    (tmp_path / "config.json").write_text(json.dumps(config, separators=(",", ":")))
    subprocess.run(["sh", str(SCRIPT), "create", "--bundle", str(tmp_path), "x"], capture_output=True)
    seen = json.loads((tmp_path / "config.json").read_text())
    assert seen["process"]["capabilities"] == {
        "bounding": [each for each in held if each != "CAP_SYS_RESOURCE"],
        "effective": [],
    }
    assert seen["process"]["oomScoreAdj"] == 0
    assert seen["process"]["args"] == ["x"]


def test_the_nodes_of_ci_run_the_same_script() -> None:
    inside = ROOT / ".ci" / "node-overlay" / "usr" / "local" / "sbin" / "runc"
    assert inside.read_bytes() == SCRIPT.read_bytes()
    assert inside.stat().st_mode & 0o111
