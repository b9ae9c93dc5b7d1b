"""Whose cluster it is, what kind can't change, and what its configuration says."""

from __future__ import annotations

from pathlib import Path

import pytest
import yaml

from kubewire.app.steps import cluster
from kubewire.app.steps.cluster import Intent
from kubewire.app.steps.registry import perform
from kubewire.core.errors import DefinitionError, LabError
from kubewire.lab.rendering import lab_data
from kubewire.lab.schema import Lab
from kubewire.providers.base import Change
from kubewire.providers.kind import state
from kubewire.providers.kind.cluster import is_own, require_own, require_same_cluster
from kubewire.providers.kind.config import kind_config
from kubewire.providers.kind.provider import KindProvider
from kubewire.providers.kind.records import NodeContainer
from kubewire.providers.registry import Choice


@pytest.fixture(autouse=True)
def state_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path))
    return tmp_path / "kubewire"


def lab(**keys: object) -> Lab:
    return Lab.model_validate({"name": "demo", "mode": "iptables", **keys})


def container(name: str, source: str = "", role: str = "worker") -> NodeContainer:
    mounts = ((source, state.OWNER_MOUNT),) if source else ()
    return NodeContainer(name, "0", role, "running", "image", ("172.18.0.2",), mounts)  # type: ignore[arg-type]


def test_the_configuration_marks_every_node_with_its_owner() -> None:
    config = yaml.safe_load(kind_config(lab(kubernetes="1.34", nodes={"workers": 2}), Path("/o")))
    assert [node["role"] for node in config["nodes"]] == ["control-plane", "worker", "worker"]
    for node in config["nodes"]:
        assert node["extraMounts"] == [
            {"hostPath": "/o", "containerPath": state.OWNER_MOUNT, "readOnly": True}
        ]
        assert "image" not in node
    patches = [yaml.safe_load(text) for text in config["kubeadmConfigPatches"]]
    scaled = [each["kind"] for each in patches if each.get("timeouts", {}).get("kubernetesAPICall") == "5m0s"]
    assert scaled == ["InitConfiguration", "JoinConfiguration"]


def test_a_foreign_cluster_of_that_name_is_refused_and_an_own_one_known() -> None:
    own = container("demo-worker", str(state.owner_folder("demo")))
    balancer = container("demo-external-load-balancer", role="other")
    require_own("demo", [own, balancer])
    assert is_own(own, "demo")
    assert not is_own(own, "other")
    for foreign in (container("demo-worker"), container("demo-worker", "/home/x/labs/demo/owner")):
        with pytest.raises(DefinitionError, match="kubewire didn't make it"):
            require_own("demo", [own, foreign])


def test_what_kind_cannot_change_is_named_with_the_way_out() -> None:
    require_same_cluster(lab_data(lab()), lab(httpbin={"replicas": 7}))
    with pytest.raises(DefinitionError, match=r"mode: iptables → nftables; nodes.workers: 2 → 3") as caught:
        require_same_cluster(lab_data(lab()), lab(mode="nftables", nodes={"workers": 3}))
    assert "--recreate" in caught.value.hint


def test_the_record_survives_and_only_a_ready_lab_is_kept() -> None:
    nodes = (state.NodeRecord("demo-control-plane", "control-plane", ("172.18.0.2",)),)
    state.write(state.ClusterState("demo", "v1.37.2", "kubewire/node:v1.37.2", nodes, lab_data(lab())))
    recorded = state.read("demo")
    assert recorded
    assert (recorded.nodes, recorded.ready) == (nodes, False)
    state.mark_ready("demo")
    assert state.read("demo").ready  # type: ignore[union-attr]
    (handle,) = KindProvider().nodes("demo")
    assert handle.prefix == ("docker", "exec", "-i", "demo-control-plane")
    assert handle.role == "control-plane"
    assert state.remove("demo")
    assert state.read("demo") is None
    assert not state.remove("demo")


def test_a_lab_without_kinds_record_is_none_of_kinds_business(state_folder: Path) -> None:
    (state_folder / "labs" / "demo").mkdir(parents=True)
    (state_folder / "labs" / "demo" / "record.json").write_text("{}")
    assert KindProvider().status("demo").phase == "absent"
    assert not KindProvider().down("demo")
    assert (state_folder / "labs" / "demo" / "record.json").exists()


@pytest.mark.parametrize("kept", [True, False])
def test_what_a_failed_creation_made_stays_where_that_was_asked(
    kept: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    removed: list[str] = []
    monkeypatch.setattr(KindProvider, "down", lambda _, name: removed.append(name))
    state.write(state.ClusterState("demo", "v1.37.2", "image", (), lab_data(lab()), kept=kept))
    KindProvider().abandon("demo")
    assert removed == ([] if kept else ["demo"])


@pytest.mark.parametrize("keep", [True, False])
def test_the_step_hands_keep_on(keep: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    class Engineless(KindProvider):
        def preflight(self, lab: Lab) -> None:
            """All is there."""

        def up(self, lab: Lab, *, check: bool = False, keep: bool = False) -> list[Change]:
            raise LabError(f"kept: {keep}")

    intent = Intent(lab(), Path("demo.yml"), Choice("kind", "asked for"), None)
    monkeypatch.setattr(cluster, "intend", lambda *_: intent)
    monkeypatch.setattr(cluster, "get_provider", lambda _: Engineless())
    told = perform("cluster", {"lab": "demo", "overrides": {}, "keep": keep})
    assert f"kept: {keep}" in told["msg"]
