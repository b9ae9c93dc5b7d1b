"""argv prefixes from the host into a lab: which namespaces they enter, and what they say when they can't."""

from __future__ import annotations

import sys

import pytest
from msgspec.structs import replace

from kubewire.core.errors import LabError
from kubewire.core.owners import VARIABLE, owners
from kubewire.core.proc import Process
from kubewire.providers.netns import entry
from kubewire.providers.netns.state import NodeRecord, SandboxState

LAB = SandboxState(
    lab="iptables",
    kubernetes="v1.37.2",
    rootful=True,
    boot="",
    monitor=Process(10, 1),
    init=Process(11, 1),
    nodes=(NodeRecord("iptables-worker", "worker", ("172.18.0.3",)),),
    definition={},
)


def test_a_node_is_entered_in_one_step(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin")
    assert entry.node_prefix(LAB, "iptables-worker") == (
        "nsenter",
        "--target=11",
        "--pid",
        "--ipc",
        "--net=/proc/11/root/run/netns/iptables-worker",
        "--mount=/proc/11/root/run/kubewire/ns/iptables-worker.mnt",
        "--uts=/proc/11/root/run/kubewire/ns/iptables-worker.uts",
        "--",
    )


def test_an_ordinary_users_lab_is_entered_through_its_user_namespace() -> None:
    prefix = entry.node_prefix(replace(LAB, rootful=False), "iptables-worker")
    assert prefix[2:4] == ("--user", "--preserve-credentials")


def test_iptables_is_found_where_the_users_path_lacks_the_system_folders(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("PATH", "/usr/bin:/bin")
    prefix = entry.sandbox_prefix(LAB)
    assert prefix[-2:] == ("env", "PATH=/usr/bin:/bin:/usr/local/sbin:/usr/local/bin:/usr/sbin:/sbin")


def test_a_lab_without_pid_1_yet_and_an_unknown_pod_are_errors() -> None:
    with pytest.raises(LabError, match="still being created"):
        entry.node_prefix(replace(LAB, init=None), "iptables-worker")
    with pytest.raises(LabError, match="default/absent"):
        entry.pod_prefix(LAB, "default", "absent")


def test_the_provider_on_the_path_of_exec_imports_nothing_heavy() -> None:
    import subprocess

    code = (
        "import sys; import kubewire.providers.netns.provider; "
        "print([m for m in ('pydantic', 'httpx', 'ansible', 'cryptography', 'yaml') if m in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


def test_the_makers_are_the_caller_and_the_cli(monkeypatch: pytest.MonkeyPatch) -> None:
    import os

    monkeypatch.setenv(VARIABLE, "4242")
    assert owners() == [os.getpid(), 4242]
    monkeypatch.setenv(VARIABLE, str(os.getpid()))
    assert owners() == [os.getpid()]
    monkeypatch.setenv(VARIABLE, "; rm -rf /")
    assert owners() == [os.getpid()]
