"""The lab udp: a steady sender follows a replaced endpoint, and a stale entry of conntrack is named."""

from __future__ import annotations

import shutil
from typing import Any

import pytest
from harness import Kubewire

from kubewire.cluster.api import Api
from kubewire.lab.record import read_record
from kubewire.providers.registry import get_provider
from waiting import eventually

pytestmark = [
    pytest.mark.e2e,
    pytest.mark.skipif(not shutil.which("conntrack"), reason="needs the tool conntrack"),
]
SERVICE, PORT, SENDER = "10.96.0.53", 5300, 5301
PODS = "/api/v1/namespaces/default/pods"


def pods(api: Api, app: str) -> list[dict[str, Any]]:
    found = api.get(PODS, labelSelector=f"app={app}")["items"]
    return [pod for pod in found if pod["status"].get("podIP") and "deletionTimestamp" not in pod["metadata"]]


@pytest.mark.parametrize("mode", ["iptables", pytest.param("nftables", marks=pytest.mark.slow)])
def test_a_stale_entry_is_named_and_a_living_one_is_told(
    kubewire: Kubewire, mode: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    kubewire.ok("up", "udp", "--mode", mode, "--replicas", "1", "--verify")
    monkeypatch.setenv("XDG_STATE_HOME", str(kubewire.state))
    record = read_record("udp")
    assert record is not None
    with Api(get_provider(record.provider).kubeconfig("udp")) as api:
        [sender] = pods(api, "udp-sender")
        client, node = sender["status"]["podIP"], sender["spec"]["nodeName"]

        def entries() -> str:
            return kubewire.node("udp", node, "conntrack", "-L", "-p", "udp", "--orig-dst", SERVICE)

        def bound() -> list[str]:
            lines = [line for line in entries().splitlines() if f"sport={SENDER} " in line]
            return [
                pod["status"]["podIP"]
                for pod in pods(api, "udp-echo")
                for line in lines
                if f"src={pod['status']['podIP']} " in line
            ]

        eventually(bound, entries)
        told = kubewire.ok("trace", "udp", "--from", "pod/udp-sender", "--to", f"{SERVICE}:{PORT}/udp").text
        assert f"a client socket (port {SENDER}) is bound to {bound()[0]}:{PORT} by conntrack for " in told
        [dead] = [pod for pod in pods(api, "udp-echo") if pod["status"]["podIP"] == bound()[0]]
        gone = dead["status"]["podIP"]
        api.delete(f"{PODS}/{dead['metadata']['name']}")
        eventually(lambda: bound() and gone not in bound(), entries)
    kubewire.ok("verify", "udp")
    told = ""
    for _ in range(3):  # a sync of kube-proxy's removes the entry
        kubewire.node(
            "udp", node, "conntrack", "-I", "-p", "udp", "-t", "300", "-u", "SEEN_REPLY",
            "-s", client, "-d", SERVICE, "--sport", "5302", "--dport", str(PORT),
            "-r", gone, "-q", client, "--reply-port-src", str(PORT), "--reply-port-dst", "5302",
        )  # fmt: skip
        told = kubewire.run("trace", "udp", "--from", "pod/udp-sender", "--to", f"{SERVICE}:{PORT}/udp").text
        outcome = kubewire.run("verify", "udp")
        code, report = kubewire.report("udp")
        if outcome.code and code:
            break
    assert f"a client socket (port 5302) is bound to {gone}:{PORT} by conntrack for " in told
    [failed] = [check for check in report["checks"] if check["status"] == "failed"]
    assert (failed["id"], failed["node"], failed.get("cause")) == ("conntrack.stale", node, None)
    assert failed["service"] == "default/udp-echo:echo"
    assert failed["object"] == f"{SERVICE}:{PORT}/udp → {gone}:{PORT}"
    assert f"{client} (port 5302, for " in failed["reason"]
    first = "\n".join(outcome.text.splitlines()[:24])
    assert "conntrack.stale" in first
    assert gone in first
