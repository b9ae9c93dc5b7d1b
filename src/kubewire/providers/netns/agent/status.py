"""A pod's status as kubelet reports it: pure functions.

Source: kubelet_pods.go (getPhase), status/generate.go (the conditions and their reasons).
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

Json = dict[str, Any]
FINAL_PHASES = ("Succeeded", "Failed")


def timestamp(seconds: float) -> str:
    """Seconds since the epoch as the API writes times."""
    return datetime.fromtimestamp(seconds, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


@dataclass(frozen=True)
class Waiting:
    reason: str
    message: str = ""

    def state(self) -> Json:
        return {"waiting": {"reason": self.reason, **({"message": self.message} if self.message else {})}}


@dataclass(frozen=True)
class Running:
    started: float

    def state(self) -> Json:
        return {"running": {"startedAt": timestamp(self.started)}}


@dataclass(frozen=True)
class Ended:
    exit_code: int
    started: float
    finished: float
    container_id: str
    message: str = ""

    def state(self) -> Json:
        return {
            "terminated": {
                "exitCode": self.exit_code,
                "reason": "Completed" if self.exit_code == 0 else "Error",
                "startedAt": timestamp(self.started),
                "finishedAt": timestamp(self.finished),
                "containerID": self.container_id,
                **({"message": self.message} if self.message else {}),
            }
        }


State = Waiting | Running | Ended


@dataclass(frozen=True)
class Report:
    """One container as it is now; `last` is how its previous run ended."""

    name: str
    image: str
    state: State
    ready: bool = False
    restarts: int = 0
    container_id: str = ""
    last: Ended | None = None

    def status(self) -> Json:
        return {
            "name": self.name,
            "image": self.image,
            "imageID": f"kubewire://{self.image}" if self.container_id else "",
            **({"containerID": self.container_id} if self.container_id else {}),
            "ready": self.ready,
            "started": isinstance(self.state, Running),
            "restartCount": self.restarts,
            "state": self.state.state(),
            "lastState": self.last.state() if self.last else {},
        }


def phase(restart_policy: str, reports: Iterable[Report]) -> str:
    """The pod's phase."""
    reports = list(reports)
    ended = [r.state for r in reports if isinstance(r.state, Ended)]
    if any(isinstance(r.state, Waiting) and r.last is None for r in reports):
        return "Pending"
    if len(ended) < len(reports):
        return "Running"
    if restart_policy == "Always":
        return "Running"
    if all(end.exit_code == 0 for end in ended):
        return "Succeeded"
    return "Failed" if restart_policy == "Never" else "Running"


def build(
    pod: Mapping[str, Any],
    reports: Sequence[Report],
    *,
    pod_ips: Sequence[str],
    host_ips: Sequence[str],
    now: float,
    previous: Mapping[str, Any],
    problem: str = "",
) -> Json:
    """The complete status for a strategic merge patch; the times of `previous`, the last status, are kept.

    `problem` says why the pod has no network yet.
    """
    stage = phase(pod["spec"].get("restartPolicy", "Always"), reports)
    return {
        "phase": stage,
        "startTime": previous.get("startTime") or timestamp(now),
        "hostIP": host_ips[0],
        "hostIPs": _replacing(host_ips),
        **({"podIP": pod_ips[0], "podIPs": _replacing(pod_ips)} if pod_ips else {}),
        "conditions": _with_times(
            _conditions(pod, reports, stage, network=bool(pod_ips), problem=problem), previous, now
        ),
        "containerStatuses": [report.status() for report in reports],
    }


def contradicts(live: Mapping[str, Any], reported: Mapping[str, Any]) -> bool:
    """Whether somebody else changed a condition that was reported.

    The node lifecycle controller sets Ready to False on every pod of a node that it considers lost; kubelet
    corrects it when it is back (status_manager.go, needsReconcile).
    """
    there = {c["type"]: c["status"] for c in live.get("conditions") or ()}
    return any(there.get(c["type"], c["status"]) != c["status"] for c in reported.get("conditions", ()))


def _replacing(ips: Iterable[str]) -> list[Json]:
    """A list that a strategic merge patch must replace, not merge."""
    return [{"$patch": "replace"}, *({"ip": ip} for ip in ips)]


def _conditions(
    pod: Mapping[str, Any], reports: Sequence[Report], stage: str, *, network: bool, problem: str
) -> list[Json]:
    live = {c["type"]: c["status"] for c in pod.get("status", {}).get("conditions", [])}
    gates = [gate["conditionType"] for gate in pod["spec"].get("readinessGates", [])]
    shut = [gate for gate in gates if live.get(gate) != "True"]
    unready = [report.name for report in reports if not report.ready]
    reason, message = "", ""
    if stage in FINAL_PHASES:
        reason = "PodCompleted" if stage == "Succeeded" else "PodFailed"
    elif unready:
        reason = "ContainersNotReady"
        message = f"containers with unready status: [{' '.join(unready)}]"
    containers = _condition("ContainersReady", not reason, reason, message)
    if shut and not reason:
        reason, message = "ReadinessGatesNotReady", f"readiness gates not true: {' '.join(shut)}"
    return [
        _condition("PodReadyToStartContainers", network, "", problem),
        _condition("Initialized", not pod["spec"].get("initContainers")),
        containers,
        _condition("Ready", not reason, reason, message),
    ]


def _condition(name: str, holds: bool, reason: str = "", message: str = "") -> Json:
    status = "True" if holds else "False"
    return {"type": name, "status": status, "reason": reason or None, "message": message or None}


def _with_times(conditions: Iterable[Json], previous: Mapping[str, Any], now: float) -> list[Json]:
    """Each condition with the time of its last transition: kept if its status is the same."""
    before = {(c["type"], c["status"]): c.get("lastTransitionTime") for c in previous.get("conditions", [])}
    return [
        {**c, "lastTransitionTime": before.get((c["type"], c["status"])) or timestamp(now)}
        for c in conditions
    ]
