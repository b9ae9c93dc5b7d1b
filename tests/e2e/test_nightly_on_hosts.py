"""A nightly over the hosts of an inventory: both work, a lost one's cells move, nothing stays on any."""

from __future__ import annotations

import json
import os
import signal
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from harness import Kubewire
from ssh_hosts import Room, SshHost, eventually, left, ssh_hosts

from kubewire.snapshot.archive import read_archive

pytestmark = [
    pytest.mark.e2e,
    pytest.mark.slow,
    pytest.mark.skipif(os.geteuid() != 0, reason="making hosts of namespaces and bridges takes root"),
]

MATRIX = """\
versions: [1.37]
modes: [iptables, nftables, ipvs]
labs: [nodeport, no-endpoints]
"""


@pytest.fixture(scope="module")
def pair(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Room]:
    folder = tmp_path_factory.mktemp("pair")
    (folder / "cells.yml").write_text(MATRIX)
    with ssh_hosts(folder, ["carol", "dave"]) as hosts:
        yield Room(hosts, Kubewire(folder / "state"), folder)


def words(pair: Room, output: str, *more: str) -> tuple[str, ...]:
    file = str(pair.folder / "cells.yml")
    return (
        "matrix",
        file,
        "--host",
        "students",
        *pair.inventory,
        "--output",
        str(pair.folder / output),
        *more,
    )


def run_of(folder: Path) -> dict[str, Any]:
    run: dict[str, Any] = json.loads((folder / "run.json").read_text())
    return run


def cells(pair: Room, output: str) -> list[dict[str, Any]]:
    """Those that ran: ipvs is skipped where the shared kernel has none."""
    found: list[dict[str, Any]] = run_of(pair.folder / output)["cells"]
    return [cell for cell in found if cell["mode"] != "ipvs"]


def started(pair: Room, output: str) -> subprocess.Popen[str]:
    """A nightly with a lab in the making on each host."""
    process = pair.command.popen(*words(pair, output, "--only", "mode=iptables", "--only", "mode=nftables"))
    for host in pair.hosts:
        eventually(lambda host=host: "etcd" in processes(host), lambda: "no lab is being made")
    return process


def processes(host: SshHost) -> str:
    return host.run("ps -eo args")


def nothing_left(host: SshHost) -> None:
    """Of labs at once; of Ansible's and the cells' shared connections when they have run out."""
    eventually(lambda: not labs_of(host), lambda: labs_of(host))


def labs_of(host: SshHost) -> str:
    found = left(host).splitlines()
    return "\n".join(line for line in found if "session" not in line)


def test_both_hosts_work_and_nothing_stays(pair: Room) -> None:
    done = pair.command.run(*words(pair, "whole"))
    assert done.code == 0, done.text
    ran = cells(pair, "whole")
    assert {cell["status"] for cell in ran} == {"passed"}
    assert {cell["host"] for cell in ran} == {"carol", "dave"}
    for cell in ran:
        folder = pair.folder / "whole" / "cells" / cell["id"]
        assert len(read_archive(folder / "snapshot.tar.gz").nodes) == 3
        assert "verify" in (folder / "log.txt").read_text()
    assert 'hostname="carol"' in (pair.folder / "whole" / "junit.xml").read_text()
    for host in pair.hosts:
        nothing_left(host)


def test_ctrl_c_and_a_kill_leave_nothing_there_and_it_goes_on(pair: Room) -> None:
    process = started(pair, "cut")
    process.send_signal(signal.SIGINT)
    assert process.wait(60) == 130
    for host in pair.hosts:
        assert not labs_of(host), "what Ctrl-C ends is gone when it is back"
    assert run_of(pair.folder / "cut")["partial"]
    process = pair.command.popen("matrix", "--resume", "--output", str(pair.folder / "cut"))
    eventually(lambda: any("etcd" in processes(host) for host in pair.hosts), lambda: "nothing goes on")
    process.kill()
    process.wait()
    for host in pair.hosts:
        nothing_left(host)
    pair.command.ok("matrix", "--resume", "--output", str(pair.folder / "cut"))
    assert {cell["status"] for cell in cells(pair, "cut")} == {"passed"}


def test_the_cells_of_a_lost_host_go_to_the_other(pair: Room) -> None:
    process = started(pair, "lost")
    dave = pair.hosts[1]
    dave.process.kill()
    dave.process.wait()
    assert process.wait(300) == 0, process.communicate()
    assert {cell["host"] for cell in cells(pair, "lost")} == {"carol"}
    assert {cell["status"] for cell in cells(pair, "lost")} == {"passed"}
    assert [note for note in run_of(pair.folder / "lost")["notes"] if note.startswith("dave: ")]


def test_no_host_at_all_is_an_error(pair: Room) -> None:
    pair.hosts[1].process.kill()
    done = pair.command.run(*(word.replace("students", "dave") for word in words(pair, "none")))
    assert done.code == 3
    assert "no host can run cells: dave: " in done.err
    assert not (pair.folder / "none").exists()
