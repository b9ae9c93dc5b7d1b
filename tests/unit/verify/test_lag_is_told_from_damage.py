"""When a difference counts: the waiting of verify, with the clock and the snapshots in the test's hand."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from kubewire.dataplane.core.findings import Check
from kubewire.dataplane.core.snapshot import Snapshot
from kubewire.lab.schema import Lab, Mode
from kubewire.verify import converge
from kubewire.verify.converge import Observation, recently_changed
from kubewire.verify.evaluate import Verdict

LAB = Lab(name="lab", mode=Mode.IPTABLES)
NOW = datetime(2026, 11, 23, 12, 0, tzinfo=UTC)
WRONG = Check("iptables.extra", "failed", "lab-worker")
OTHER = Check("route.pod", "failed", "lab-worker")


def cluster(version: str = "1", changed: datetime = NOW - timedelta(hours=1)) -> dict[str, Any]:
    metadata = {"uid": "u", "resourceVersion": version, "creationTimestamp": changed.isoformat()}
    return {"items": [{"kind": "Service", "metadata": metadata}]}


class World:
    """What each next snapshot shows, the last one for ever; time passes only by sleeping."""

    def __init__(self, *scenes: tuple[dict[str, Any], tuple[Check, ...]]) -> None:
        self.scenes = list(scenes)
        self.now = 0.0
        self.taken = 0
        self.failed: tuple[Check, ...] = ()

    def take_snapshot(self, *_: Any, **__: Any) -> Snapshot:
        objects, self.failed = self.scenes.pop(0) if len(self.scenes) > 1 else self.scenes[0]
        self.taken += 1
        self.now += 0.3
        return Snapshot(objects, ())

    def checked(self, *_: Any) -> Verdict:
        return Verdict(self.failed, ())

    def sleep(self, seconds: float) -> None:
        self.now += seconds


@pytest.fixture
def observe(monkeypatch: pytest.MonkeyPatch) -> Iterator[Callable[[World], Observation]]:
    def run(world: World) -> Observation:
        monkeypatch.setattr(converge, "take_snapshot", world.take_snapshot)
        monkeypatch.setattr(converge, "evaluate_snapshot", world.checked)
        monkeypatch.setattr(converge.time, "monotonic", lambda: world.now)
        monkeypatch.setattr(converge.time, "sleep", world.sleep)
        return converge.observe(None, LAB, None, kubernetes="v1.37.2", parts=("dataplane",))  # type: ignore[arg-type]

    yield run


def test_a_healthy_lab_is_judged_at_once(observe: Callable[[World], Observation]) -> None:
    world = World((cluster(), ()))
    assert observe(world).verdict.failed == ()
    assert world.taken == 1


def test_a_broken_lab_is_told_within_a_few_seconds(observe: Callable[[World], Observation]) -> None:
    world = World((cluster(), (WRONG,)))
    assert observe(world).verdict.failed == (WRONG,)
    assert world.taken >= 3
    assert 2.0 <= world.now < 4.0


def test_a_lagging_kube_proxy_is_waited_for(observe: Callable[[World], Observation]) -> None:
    world = World((cluster(), (WRONG,)), (cluster(), (WRONG,)), (cluster(), ()))
    assert observe(world).verdict.failed == ()


def test_a_cluster_just_changed_gets_its_time(observe: Callable[[World], Observation]) -> None:
    fresh = cluster(changed=datetime.now(UTC))
    world = World(*[(fresh, (WRONG,))] * 12, (fresh, ()))
    assert observe(world).verdict.failed == ()
    assert world.taken == 13


@pytest.mark.parametrize(
    "scenes",
    [
        [(cluster(str(n)), (WRONG,)) for n in range(12)] + [(cluster("end"), ())],
        [(cluster(), (WRONG,) if n % 2 else (OTHER,)) for n in range(12)] + [(cluster(), ())],
    ],
    ids=["the cluster changes", "the findings change"],
)
def test_what_is_still_moving_is_not_counted(
    observe: Callable[[World], Observation], scenes: list[tuple[dict[str, Any], tuple[Check, ...]]]
) -> None:
    assert observe(World(*scenes)).verdict.failed == ()


def test_for_ever_moving_ends_at_the_deadline(observe: Callable[[World], Observation]) -> None:
    world = World(*[(cluster(str(n)), (WRONG,)) for n in range(500)])
    assert observe(world).verdict.failed == (WRONG,)
    assert 30.0 < world.now < 32.0


@pytest.mark.parametrize(("age", "recent"), [(1, True), (9, True), (11, False), (-60, False)])
def test_the_objects_tell_their_last_change(age: int, recent: bool) -> None:
    assert recently_changed(cluster(changed=NOW - timedelta(seconds=age)), NOW) is recent


def test_a_slices_trigger_time_counts() -> None:
    stamp = (NOW - timedelta(seconds=2)).isoformat().replace("+00:00", "Z")
    metadata = {"annotations": {"endpoints.kubernetes.io/last-change-trigger-time": stamp}}
    assert recently_changed({"items": [{"kind": "EndpointSlice", "metadata": metadata}]}, NOW)
