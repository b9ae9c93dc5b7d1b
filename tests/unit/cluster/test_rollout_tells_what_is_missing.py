"""Whether a workload is rolled out, and the words for what keeps it."""

from __future__ import annotations

from typing import Any

import pytest

from kubewire.cluster.rollout import endpoints_lacking, lacking, pod_problems


def workload(kind: str, wanted: int = 4, **status: Any) -> dict[str, Any]:
    return {
        "kind": kind,
        "metadata": {"name": "httpbin", "generation": 2},
        "spec": {"replicas": wanted},
        "status": {"observedGeneration": 2, **status},
    }


DONE = {"replicas": 4, "updatedReplicas": 4, "availableReplicas": 4}


@pytest.mark.parametrize(
    ("obj", "words"),
    [
        (workload("Deployment", **DONE), ""),
        (workload("Deployment", 0), ""),
        (workload("Deployment", **DONE | {"observedGeneration": 1}), "not seen by its controller yet"),
        (workload("Deployment", **DONE | {"updatedReplicas": 1}), "1 of 4 replicas updated"),
        (workload("Deployment", **DONE | {"availableReplicas": 3}), "3 of 4 replicas available"),
        (workload("Deployment", **DONE | {"replicas": 5}), "1 old replicas still there"),
        (workload("Deployment", 4), "0 of 4 replicas updated"),
        (
            workload("DaemonSet", desiredNumberScheduled=2, numberAvailable=1, updatedNumberScheduled=2),
            "1 of 2 pods available",
        ),
        (workload("Pod", phase="Running", conditions=[{"type": "Ready", "status": "True"}]), ""),
        (workload("Pod", phase="Pending"), "Pending, not ready"),
    ],
)
def test_what_a_workload_lacks(obj: dict[str, Any], words: str) -> None:
    assert lacking(obj) == words


def test_a_pod_speaks_through_its_containers_then_its_conditions() -> None:
    waiting = {
        "metadata": {"name": "a", "namespace": "default"},
        "status": {
            "containerStatuses": [
                {"state": {"waiting": {"reason": "CrashLoopBackOff", "message": "back-off"}}}
            ]
        },
    }
    held = {
        "metadata": {"name": "b", "namespace": "default"},
        "status": {
            "conditions": [
                {"type": "PodScheduled", "status": "False", "reason": "Unschedulable", "message": "0/3 nodes"}
            ]
        },
    }
    well = {"metadata": {"name": "c", "namespace": "default"}, "status": {"phase": "Running"}}
    assert pod_problems([waiting, held, well]) == [
        ("Pod default/a", "CrashLoopBackOff", "back-off"),
        ("Pod default/b", "Unschedulable", "0/3 nodes"),
    ]


def pod(name: str, ready: bool = True, **meta: str) -> dict[str, Any]:
    conditions = [{"type": "Ready", "status": str(ready)}]
    return {"metadata": {"name": name, **meta}, "status": {"phase": "Running", "conditions": conditions}}


def slice_of(*names: str, **conditions: bool) -> dict[str, Any]:
    return {"endpoints": [{"targetRef": {"name": name}, "conditions": conditions} for name in names]}


@pytest.mark.parametrize(
    ("pods", "slices", "words"),
    [
        ([pod("a"), pod("b")], [slice_of("a"), slice_of("b", ready=True)], ""),
        ([pod("a"), pod("b")], [slice_of("a")], "1 of 2 ready pods are endpoints"),
        (
            [pod("a"), pod("b")],
            [slice_of("a"), slice_of("b", ready=False)],
            "1 of 2 ready pods are endpoints",
        ),
        ([pod("a"), pod("b", ready=False)], [slice_of("a"), slice_of("b", ready=False)], ""),
        ([pod("a"), pod("b", deletionTimestamp="now")], [slice_of("a")], ""),
        (
            [pod("a")],
            [slice_of("a", "b")],
            "1 of 1 ready pods are endpoints, 1 endpoints of pods that are gone",
        ),
        ([], [], ""),
        ([], [{"endpoints": None}], ""),
    ],
)
def test_a_service_waits_for_its_endpoints(
    pods: list[dict[str, Any]], slices: list[dict[str, Any]], words: str
) -> None:
    assert endpoints_lacking(pods, slices) == words
