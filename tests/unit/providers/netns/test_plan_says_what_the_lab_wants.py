"""From a definition to the sandbox's plan: addresses, flags, what waits for what."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path

import msgspec
import pytest

from kubewire.lab.schema import Lab
from kubewire.providers.netns.control_plane import KUBE_PROXY_CONFIG, issue_credentials
from kubewire.providers.netns.plan import Component, Plan
from kubewire.providers.netns.plan_builder import AGENT_CONFIG, Tools, make_plan
from kubewire.providers.netns.topology import nodes


@dataclass(frozen=True)
class FakeBinaries:
    control_plane_version: str = "v1.37.2"
    etcd: Path = Path("/bin/etcd")
    kube_apiserver: Path = Path("/bin/kube-apiserver")
    kube_controller_manager: Path = Path("/bin/kube-controller-manager")
    kube_scheduler: Path = Path("/bin/kube-scheduler")
    kube_proxy: Path = Path("/bin/kube-proxy")


def plan_of(lab: Lab, control_plane: str = "v1.37.2") -> Plan:
    tools = Tools(FakeBinaries(control_plane), Path("/cni"), None, "v1.37.2")
    return make_plan(lab, issue_credentials(lab, nodes(lab)), tools, rootful=True)


def component(plan: Plan, name: str) -> Component:
    return next(c for c in plan.components if c.name == name)


def test_a_plan_survives_the_pipe_to_the_monitor(dual_lab: Lab) -> None:
    plan = plan_of(dual_lab)
    assert msgspec.json.decode(msgspec.json.encode(plan), type=Plan) == plan


def test_nodes_are_addressed_as_on_kind_control_plane_first(plain_lab: Lab) -> None:
    plan = plan_of(plain_lab)
    assert plan.bridge == ("172.18.0.1/16",)
    assert [(node.name, node.addresses) for node in plan.nodes] == [
        ("plain-control-plane", ("172.18.0.2/16",)),
        ("plain-worker", ("172.18.0.3/16",)),
        ("plain-worker2", ("172.18.0.4/16",)),
    ]


def test_only_a_control_plane_beside_workers_is_tainted(tmp_path: Path, plain_lab: Lab) -> None:
    assert [node.tainted for node in nodes(plain_lab)] == [True, False, False]
    alone = plain_lab.model_copy(update={"nodes": plain_lab.nodes.model_copy(update={"workers": 0})})
    assert [node.tainted for node in nodes(alone)] == [False]


def test_dual_stack_gives_every_component_both_families(dual_lab: Lab) -> None:
    plan = plan_of(dual_lab)
    assert plan.nodes[0].addresses == ("172.18.0.2/16", "fc00:f853:ccd:e793::2/64")
    assert plan.nodes[0].gateways == ("172.18.0.1", "fc00:f853:ccd:e793::1")
    services = "--service-cluster-ip-range=10.96.0.0/16,fd00:10:96::/112"
    assert services in component(plan, "kube-apiserver@dual-control-plane").argv
    manager = component(plan, "kube-controller-manager").argv
    assert services in manager
    assert "--cluster-cidr=10.244.0.0/16,fd00:10:244::/56" in manager


def test_every_control_plane_has_an_apiserver_and_all_share_the_first_ones_etcd(dual_lab: Lab) -> None:
    plan = plan_of(dual_lab)
    second = component(plan, "kube-apiserver@dual-control-plane2")
    assert second.node == "dual-control-plane2"
    assert "--advertise-address=172.18.0.3" in second.argv
    assert "--etcd-servers=https://172.18.0.2:2379" in second.argv
    assert [c.name for c in plan.components if c.name == "etcd"] == ["etcd"]
    assert plan.endpoints == (("172.18.0.2", 6443), ("172.18.0.3", 6443))


def test_ipv6_urls_are_bracketed_and_the_apiserver_listens_on_v6(v6_lab: Lab) -> None:
    plan = plan_of(v6_lab)
    server = component(plan, "kube-apiserver@six-control-plane")
    assert "--bind-address=::" in server.argv
    assert server.ready is not None
    assert server.ready.url == "https://[fc00:f853:ccd:e793::2]:6443/readyz"
    proxy = component(plan, "kube-proxy@six-worker")
    assert proxy.ready is not None
    assert proxy.ready.url == "http://[fc00:f853:ccd:e793::3]:10256/healthz"


def test_each_kube_proxy_waits_for_its_node_and_reads_its_own_config(plain_lab: Lab) -> None:
    plan = plan_of(plain_lab)
    for node in plan.nodes:
        proxy = component(plan, f"kube-proxy@{node.name}")
        assert proxy.after[0].url.endswith(f"/api/v1/nodes/{node.name}")
        assert proxy.cleanup == (*proxy.argv, "--cleanup")
        (config,) = [f for f in plan.files if f.node == node.name and f.path == KUBE_PROXY_CONFIG]
        assert json.loads(config.content)["hostnameOverride"] == node.name


@pytest.mark.parametrize(("control_plane", "waits"), [("v1.32.9", False), ("v1.33.0", True)])
def test_a_kube_proxy_waits_for_the_default_service_cidr_where_there_is_one(
    plain_lab: Lab, control_plane: str, waits: bool
) -> None:
    plan = plan_of(plain_lab, control_plane)
    for node in plan.nodes:
        after = component(plan, f"kube-proxy@{node.name}").after
        assert any(check.url.endswith("/servicecidrs/kubernetes") for check in after) is waits


def test_only_public_files_are_readable_by_others(plain_lab: Lab) -> None:
    for file in plan_of(plain_lab).files:
        if "PRIVATE KEY" in file.content or "client-key-data" in file.content:
            assert file.mode == 0o600, file.path


def test_the_agent_is_told_of_every_node(plain_lab: Lab) -> None:
    (config,) = [json.loads(f.content) for f in plan_of(plain_lab).files if f.path == AGENT_CONFIG]
    assert [node["name"] for node in config["nodes"]] == [node.name for node in nodes(plain_lab)]
    assert config["cluster_dns"] is None


@pytest.mark.parametrize("name", ["plain_lab", "dual_lab", "v6_lab"])
def test_nothing_runs_with_anonymous_or_open_authorization(name: str, request: pytest.FixtureRequest) -> None:
    lab: Lab = request.getfixturevalue(name)
    server = next(c for c in plan_of(lab).components if c.name.startswith("kube-apiserver"))
    assert "--authorization-mode=Node,RBAC" in server.argv
    assert not any("AlwaysAllow" in flag or "insecure" in flag for flag in server.argv)


def test_components_of_an_emulated_lab_know_of_it_and_trade_memory_for_time(
    dual_lab: Lab, monkeypatch: pytest.MonkeyPatch
) -> None:
    elsewhere = plan_of(dual_lab)
    assert {c.name.partition("@")[0]: c.env.get("GOGC") for c in elsewhere.components if "GOGC" in c.env} == {
        "kube-apiserver": "200"
    }
    monkeypatch.setenv("KUBEWIRE_PATIENCE", "5")
    emulated = plan_of(dual_lab)
    assert {(c.env["GOGC"], c.env["KUBEWIRE_PATIENCE"]) for c in emulated.components} == {("400", "5")}
