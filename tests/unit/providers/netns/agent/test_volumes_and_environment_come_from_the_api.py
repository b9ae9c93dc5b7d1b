"""Volumes and environment variables hold what the API says, and a volume can't be left."""

from __future__ import annotations

import base64
from pathlib import Path
from typing import Any

import pytest

from kubewire.core.errors import LabError
from kubewire.providers.netns.agent.environment import expand, service_variables, variables
from kubewire.providers.netns.agent.rootfs import Mount
from kubewire.providers.netns.agent.volumes import field, mounts, prepare

POD = {
    "metadata": {"name": "p", "namespace": "shop", "uid": "u", "labels": {"app": "web", "tier": "front"}},
    "spec": {"serviceAccountName": "teller", "nodeName": "n1"},
    "status": {"podIP": "10.244.1.2", "podIPs": [{"ip": "10.244.1.2"}, {"ip": "fd00::2"}]},
}


class Objects:
    """The few API calls that volumes need, over a dictionary."""

    def __init__(self, **objects: dict[str, Any]) -> None:
        self.objects = {f"/api/v1/namespaces/shop/{path}": held for path, held in objects.items()}
        self.posted: list[tuple[str, Any]] = []

    def find(self, path: str) -> Any:
        return self.objects.get(path)

    def post(self, path: str, body: Any) -> Any:
        self.posted.append((path, body))
        return {"status": {"token": "t0k3n"}}


def with_volumes(*volumes: dict[str, Any]) -> dict[str, Any]:
    return {**POD, "spec": {**POD["spec"], "volumes": list(volumes)}}


def test_projected_service_account(tmp_path: Path) -> None:
    api = Objects(**{"configmaps/kube-root-ca.crt": {"data": {"ca.crt": "PEM"}}})
    sources = [
        {"serviceAccountToken": {"path": "token", "expirationSeconds": 3607}},
        {"configMap": {"name": "kube-root-ca.crt", "items": [{"key": "ca.crt", "path": "ca.crt"}]}},
        {"downwardAPI": {"items": [{"path": "namespace", "fieldRef": {"fieldPath": "metadata.namespace"}}]}},
    ]
    prepared = prepare(api, with_volumes({"name": "access", "projected": {"sources": sources}}), tmp_path)  # type: ignore[arg-type]
    held = {path.name: path.read_text() for path in prepared["access"].iterdir()}
    assert held == {"token": "t0k3n", "ca.crt": "PEM", "namespace": "shop"}
    path, request = api.posted[0]
    assert path == "/api/v1/namespaces/shop/serviceaccounts/teller/token"
    assert request["spec"]["boundObjectRef"]["uid"] == "u"


def test_config_map_and_secret(tmp_path: Path) -> None:
    secret = {"data": {"key": base64.b64encode(b"\x00\xff").decode()}}
    api = Objects(**{"configmaps/c": {"data": {"a": "1", "b": "2"}}, "secrets/s": secret})
    pod = with_volumes(
        {"name": "all", "configMap": {"name": "c"}},
        {"name": "one", "configMap": {"name": "c", "items": [{"key": "b", "path": "deep/b.txt"}]}},
        {"name": "secret", "secret": {"secretName": "s"}},
        {"name": "none", "secret": {"secretName": "absent", "optional": True}},
    )
    prepared = prepare(api, pod, tmp_path)  # type: ignore[arg-type]
    assert sorted(path.name for path in prepared["all"].iterdir()) == ["a", "b"]
    assert (prepared["one"] / "deep/b.txt").read_text() == "2"
    assert (prepared["secret"] / "key").read_bytes() == b"\x00\xff"
    assert list(prepared["none"].iterdir()) == []


@pytest.mark.parametrize(
    ("volume", "said"),
    [
        ({"configMap": {"name": "absent"}}, "'absent' not found"),
        ({"nfs": {"server": "x"}}, "no volumes of kind nfs"),
        ({"configMap": {"name": "c", "items": [{"key": "a", "path": "../../x"}]}}, "outside its volume"),
    ],
)
def test_what_can_not_be_is_said(tmp_path: Path, volume: dict[str, Any], said: str) -> None:
    api = Objects(**{"configmaps/c": {"data": {"a": "1"}}})
    with pytest.raises(LabError, match=said):
        prepare(api, with_volumes({"name": "v", **volume}), tmp_path)  # type: ignore[arg-type]


def test_what_a_sub_path_names_is_left_to_the_launcher(tmp_path: Path) -> None:
    entry = {"name": "v", "mountPath": "/data", "subPath": "link/ssl", "readOnly": True}
    found = mounts({"volumeMounts": [entry]}, {"v": tmp_path / "v"})
    assert found == [Mount(tmp_path / "v", "/data", writable=False, below="link/ssl")]


@pytest.mark.parametrize(
    ("path", "value"),
    [
        ("metadata.name", "p"),
        ("metadata.labels['app']", "web"),
        ("metadata.labels", 'app="web"\ntier="front"'),
        ("spec.nodeName", "n1"),
        ("status.podIP", "10.244.1.2"),
        ("status.podIPs", "10.244.1.2,fd00::2"),
        ("metadata.annotations['none']", ""),
    ],
)
def test_downward_fields(path: str, value: str) -> None:
    assert field(POD, path) == value


def test_environment() -> None:
    api = Objects(
        **{
            "configmaps/c": {"data": {"A": "1"}},
            "secrets/s": {"data": {"P": base64.b64encode(b"pw").decode()}},
        }
    )
    container = {
        "envFrom": [{"prefix": "X_", "configMapRef": {"name": "c"}}],
        "env": [
            {"name": "PLAIN", "value": "v"},
            {"name": "JOINED", "value": "$(PLAIN)-$(X_A)-$(NONE)-$$(PLAIN)"},
            {"name": "IP", "valueFrom": {"fieldRef": {"fieldPath": "status.podIP"}}},
            {"name": "PASSWORD", "valueFrom": {"secretKeyRef": {"name": "s", "key": "P"}}},
            {
                "name": "MISSING",
                "valueFrom": {"configMapKeyRef": {"name": "c", "key": "Z", "optional": True}},
            },
        ],
    }
    assert variables(api, POD, container) == {  # type: ignore[arg-type]
        "X_A": "1",
        "PLAIN": "v",
        "JOINED": "v-1-$(NONE)-$(PLAIN)",
        "IP": "10.244.1.2",
        "PASSWORD": "pw",
    }


def test_nothing_is_expanded_twice() -> None:
    assert expand("$(A)", {"A": "$(B)", "B": "b"}) == "$(B)"


def test_service_variables_of_both_families() -> None:
    assert service_variables("10.96.0.1", 443)["KUBERNETES_PORT"] == "tcp://10.96.0.1:443"
    six = service_variables("fd00::1", 443)
    assert six["KUBERNETES_SERVICE_HOST"] == "fd00::1"
    assert six["KUBERNETES_PORT_443_TCP"] == "tcp://[fd00::1]:443"
