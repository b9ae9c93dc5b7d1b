"""gc, `down` and `up` on kind beside a cluster of another host or PID namespace, and beside its lock."""

from __future__ import annotations

from pathlib import Path

import pytest
from msgspec.structs import replace

from kubewire.core import paths
from kubewire.core.errors import LabError
from kubewire.core.leftovers import remove
from kubewire.lab.lock import lab_lock
from kubewire.providers.kind import cluster, garbage, state
from kubewire.providers.kind.engine import Engine
from kubewire.providers.kind.provider import KindProvider
from kubewire.providers.kind.records import NodeContainer


class FakeEngine(Engine):
    """A Docker engine with these containers."""

    def __init__(self, *containers: NodeContainer) -> None:
        self.containers = list(containers)

    def nodes(self, name: str = "") -> list[NodeContainer]:
        return [node for node in self.containers if node.name.startswith(name)]

    def remove(self, node: NodeContainer) -> None:
        self.containers.remove(node)

    def close(self) -> None:
        pass


@pytest.fixture(autouse=True)
def _state(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path))


def recorded(**changed: object) -> Path:
    state.owner_folder("demo").mkdir(parents=True)
    made = state.ClusterState("demo", "v1.37.2", "image", (), {}, ready=True)
    state.write(replace(made, **changed))  # type: ignore[arg-type]
    return state.owner_folder("demo").parent / state.FILE


def node(source: str) -> NodeContainer:
    mounts = ((source, state.OWNER_MOUNT),)
    return NodeContainer("demo-worker", "0", "worker", "running", "image", (), mounts)


@pytest.mark.parametrize(
    "elsewhere", [{"pid_namespace": 1}, {"boot": "theirs", "host": "theirs"}], ids=["namespace", "host"]
)
def test_a_cluster_that_another_host_or_container_knows_is_left(elsewhere: dict[str, object]) -> None:
    file = recorded(**elsewhere)
    assert garbage.find(FakeEngine()) == []
    with pytest.raises(LabError, match="another PID namespace or on another host"):
        cluster.remove("demo", FakeEngine())
    assert file.exists()


def test_containers_that_only_another_machine_has_a_record_of_are_left() -> None:
    engine = FakeEngine(node(str(state.owner_folder("demo"))))
    assert remove(garbage.find(engine)) == []
    assert len(engine.containers) == 1


def test_a_record_of_an_earlier_boot_whose_containers_are_gone_goes(monkeypatch: pytest.MonkeyPatch) -> None:
    file = recorded(boot="an earlier one")
    for name in (paths.RECORD, paths.LEDGER):  # a lab that was killed before it was ready has them, too
        (file.parent / name).touch()
    monkeypatch.setattr(garbage, "engine", FakeEngine)
    monkeypatch.setattr(FakeEngine, "__enter__", lambda self: self, raising=False)
    monkeypatch.setattr(FakeEngine, "__exit__", lambda *_: None, raising=False)
    found = garbage.find(FakeEngine())
    with lab_lock("demo", "up"), monkeypatch.context() as patch:
        patch.delenv("KUBEWIRE_LOCK_HELD")
        assert garbage.find(FakeEngine()) == []
        assert remove(found) == []
        assert file.exists()
    assert len(remove(found)) == 1
    assert not file.parent.exists()


def test_without_an_engine_its_labs_are_named() -> None:
    recorded()
    provider = KindProvider()
    assert provider.garbage() == []
    (line,) = provider.left_alone()
    assert line.startswith("lab demo: ")
