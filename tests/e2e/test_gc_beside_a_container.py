"""A living lab beside a container that shares the user's home: its `gc` and `down` leave it alone."""

from __future__ import annotations

import os
import subprocess
from dataclasses import replace

import pytest
from harness import Kubewire

pytestmark = pytest.mark.e2e
LAB = "iptables"


def test_gc_and_down_from_another_pid_namespace_leave_a_living_lab(lab: Kubewire) -> None:
    inside = ("unshare", *(() if os.geteuid() == 0 else ("--user", "--map-root-user")), "-pf", "--mount-proc")
    if subprocess.run([*inside, "true"], capture_output=True, timeout=60, check=False).returncode:
        pytest.skip("no PID namespace can be made here")
    container = replace(lab, prefix=inside)
    before = {path for path in lab.state.rglob("*") if "locks" not in path.parts}
    for argv in (("gc", "--dry-run"), ("gc",)):
        done = container.ok(*argv)
        assert "nothing to remove" in done.out
        assert f"left alone: {lab.state}/kubewire/labs/{LAB}: lab {LAB} was made in another PID" in done.err
    done = container.run("down", LAB)
    assert done.code == 4, done.text
    assert "another PID namespace" in done.err
    assert {path for path in lab.state.rglob("*") if "locks" not in path.parts} >= before
    assert '"phase": "ready"' in lab.ok("status", LAB, "--format", "json").out
    assert lab.ok("gc").out.strip() == "nothing to remove"
    lab.ok("verify", LAB)
