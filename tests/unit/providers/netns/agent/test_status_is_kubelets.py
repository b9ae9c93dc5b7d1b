"""A pod's phase and conditions are what kubelet would report."""

from __future__ import annotations

from typing import Any

import pytest

from kubewire.providers.netns.agent.status import (
    Ended,
    Report,
    Running,
    State,
    Waiting,
    build,
    contradicts,
    phase,
)

NOW = 1_795_420_800.0  # 2026-11-23T08:00:00Z
ENDED_WELL = Ended(0, NOW - 5, NOW, "kubewire://a")
ENDED_BADLY = Ended(1, NOW - 5, NOW, "kubewire://a")


def pod(**spec: Any) -> dict[str, Any]:
    return {"metadata": {"name": "p", "namespace": "default", "uid": "u"}, "spec": spec}


def status(
    pod_: dict[str, Any], *reports: Report, previous: dict[str, Any] | None = None, **more: Any
) -> Any:
    return build(
        pod_,
        reports,
        pod_ips=more.get("pod_ips", ("10.244.1.2",)),
        host_ips=("172.18.0.3",),
        now=more.get("now", NOW),
        previous=previous or {},
        problem=more.get("problem", ""),
    )


def conditions(status_: dict[str, Any]) -> dict[str, str]:
    return {c["type"]: c["status"] for c in status_["conditions"]}


@pytest.mark.parametrize(
    ("policy", "state", "last", "expected"),
    [
        ("Always", Waiting("ContainerCreating"), None, "Pending"),
        ("Always", Running(NOW), None, "Running"),
        ("Always", Waiting("CrashLoopBackOff"), ENDED_BADLY, "Running"),
        ("Always", ENDED_WELL, None, "Running"),
        ("Never", ENDED_WELL, None, "Succeeded"),
        ("Never", ENDED_BADLY, None, "Failed"),
        ("OnFailure", ENDED_WELL, None, "Succeeded"),
        ("OnFailure", ENDED_BADLY, None, "Running"),
    ],
)
def test_phase(policy: str, state: State, last: Ended | None, expected: str) -> None:
    assert phase(policy, [Report("c", "i", state, last=last)]) == expected


def test_one_pending_container_keeps_the_pod_pending() -> None:
    reports = [Report("a", "i", Running(NOW)), Report("b", "i", Waiting("ErrImageNotOnNetns"))]
    assert phase("Always", reports) == "Pending"


def test_ready_pod() -> None:
    found = status(pod(), Report("c", "img", Running(NOW), ready=True, container_id="kubewire://x"))
    assert found["phase"] == "Running"
    assert found["podIP"] == "10.244.1.2"
    assert set(conditions(found).values()) == {"True"}
    container = found["containerStatuses"][0]
    assert container["started"] and container["ready"] and container["restartCount"] == 0
    assert container["state"] == {"running": {"startedAt": "2026-11-23T08:00:00Z"}}


def test_unready_container_is_named() -> None:
    found = status(pod(), Report("web", "i", Running(NOW)))
    ready = next(c for c in found["conditions"] if c["type"] == "Ready")
    assert (ready["status"], ready["reason"]) == ("False", "ContainersNotReady")
    assert ready["message"] == "containers with unready status: [web]"


def test_closed_readiness_gate_keeps_ready_false_only() -> None:
    gated = pod(readinessGates=[{"conditionType": "example.com/lb"}])
    report = Report("c", "i", Running(NOW), ready=True)
    assert conditions(status(gated, report)) | {} == {
        "PodReadyToStartContainers": "True",
        "Initialized": "True",
        "ContainersReady": "True",
        "Ready": "False",
    }
    gated["status"] = {"conditions": [{"type": "example.com/lb", "status": "True"}]}
    assert conditions(status(gated, report))["Ready"] == "True"


def test_time_of_a_condition_changes_only_with_its_status() -> None:
    first = status(pod(), Report("c", "i", Running(NOW)))
    later = status(pod(), Report("c", "i", Running(NOW), ready=True), previous=first, now=NOW + 60)
    times = {c["type"]: c["lastTransitionTime"] for c in later["conditions"]}
    assert times["Initialized"] == "2026-11-23T08:00:00Z"
    assert times["Ready"] == "2026-11-23T08:01:00Z"
    assert later["startTime"] == first["startTime"]


def test_a_pod_without_network_says_why_and_has_no_address() -> None:
    found = status(pod(), Report("c", "i", Waiting("ContainerCreating")), pod_ips=(), problem="ptp failed")
    assert "podIP" not in found
    network = next(c for c in found["conditions"] if c["type"] == "PodReadyToStartContainers")
    assert (network["status"], network["message"]) == ("False", "ptp failed")


def test_completed_pod_is_not_ready() -> None:
    found = status(pod(restartPolicy="Never"), Report("c", "i", ENDED_WELL))
    ready = next(c for c in found["conditions"] if c["type"] == "Ready")
    assert (found["phase"], ready["status"], ready["reason"]) == ("Succeeded", "False", "PodCompleted")


def test_addresses_replace_the_former_ones_in_a_strategic_merge() -> None:
    found = status(pod(), Report("c", "i", Running(NOW)), pod_ips=("10.244.1.2", "fd00::2"))
    assert found["podIPs"] == [{"$patch": "replace"}, {"ip": "10.244.1.2"}, {"ip": "fd00::2"}]


def test_a_condition_that_somebody_else_set_contradicts() -> None:
    reported = {
        "conditions": [{"type": "Ready", "status": "True"}, {"type": "Initialized", "status": "True"}]
    }
    scheduled = {"type": "PodScheduled", "status": "True"}
    lost = {"conditions": [scheduled, {"type": "Ready", "status": "False"}]}
    assert contradicts(lost, reported)
    assert not contradicts({"conditions": [scheduled, *reported["conditions"]]}, reported)
    assert not contradicts({"conditions": [scheduled]}, reported)  # not written yet
    assert not contradicts(lost, {})
