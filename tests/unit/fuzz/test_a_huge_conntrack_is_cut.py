"""A conntrack dump of 200 MB is judged as far as a bound and told to be cut, within bounded memory."""

from __future__ import annotations

import json
import shutil
import sys
from pathlib import Path

from kubewire.core.processes import run
from kubewire.dataplane.core.snapshot import CONNTRACK
from repository import GOLDEN

SIZE, MEMORY = 200_000_000, 1 << 30
ENTRY = (
    "udp      17 28 src=10.244.1.2 dst={to} sport={port} dport=53 [UNREPLIED] "
    "src=10.244.9.9 dst=10.244.1.2 sport=53 dport={port} mark=0 use=1\n"
)
VERIFY = f"""
import resource
resource.setrlimit(resource.RLIMIT_AS, ({MEMORY}, {MEMORY}))
from kubewire.cli.main import run
run()
"""


def test_two_hundred_megabytes_are_cut_and_said_so(tmp_path: Path) -> None:
    lab = Path(shutil.copytree(GOLDEN / "verify/iptables-v1.37.2", tmp_path / "lab"))
    with (lab / "nodes/iptables-worker" / CONNTRACK).open("w") as file:
        file.write(ENTRY.format(to="10.96.0.99", port=40000))
        file.writelines(ENTRY.format(to="203.0.113.5", port=1024 + n % 60000) for n in range(240_000))
        file.truncate(SIZE)
    argv = (sys.executable, "-c", VERIFY, "verify", "--snapshot", str(lab), "--format", "json")
    done = run(argv, timeout=600.0)
    assert done.code == 1, done.err
    report = json.loads(done.out)
    [stale] = [
        each for each in report["checks"] if each["id"] == "conntrack.stale" and each["status"] == "failed"
    ]
    assert stale["object"] == "10.96.0.99:53/udp → 10.244.9.9:53"
    assert any(
        f"{CONNTRACK} is cut: the entries after that were not judged" in note for note in report["notes"]
    )
