"""What `up` says of a live object that differs, and what it takes back from other tools."""

from __future__ import annotations

from typing import Any

from kubewire.cluster.object_diff import differences, show, title, with_ownership


def deployment(replicas: int, **metadata: Any) -> dict[str, Any]:
    return {
        "kind": "Deployment",
        "metadata": {"name": "httpbin", "namespace": "default", **metadata},
        "spec": {"replicas": replicas, "template": {"spec": {"containers": [{"name": "a", "image": "x"}]}}},
    }


def entry(manager: str, fields: dict[str, Any], operation: str = "Update", **more: Any) -> dict[str, Any]:
    return {"manager": manager, "operation": operation, "fieldsType": "FieldsV1", "fieldsV1": fields, **more}


def test_a_changed_value_is_told_by_its_path() -> None:
    assert differences(deployment(2), deployment(4)) == ["spec.replicas: 2 → 4"]


def test_what_the_cluster_keeps_is_no_drift() -> None:
    live = deployment(4, resourceVersion="7", generation=3, managedFields=[{}], uid="u")
    assert differences(live | {"status": {"replicas": 1}}, deployment(4, resourceVersion="8")) == []


def test_values_in_lists_and_added_keys_are_told() -> None:
    live, wanted = deployment(4), deployment(4)
    live["spec"]["template"]["spec"]["containers"][0]["image"] = "other"
    live["spec"]["paused"] = True
    assert differences(live, wanted) == [
        "spec.paused: true → nothing",
        "spec.template.spec.containers.0.image: other → x",
    ]


def test_a_longer_list_is_told_whole_and_cut() -> None:
    line = differences({"ports": [1] * 40}, {"ports": [1]})[0]
    assert line.startswith("ports: [1, 1,")
    assert line.endswith("… → [1]")


def test_titles_and_values() -> None:
    assert title(deployment(1)) == "Deployment default/httpbin"
    assert title({"kind": "Namespace", "metadata": {"name": "web"}}) == "Namespace web"
    assert [show(v) for v in (None, "", "a", True, 0)] == ["nothing", '""', "a", "true", "0"]


def test_fields_of_peoples_tools_are_taken_over() -> None:
    mine = entry("kubewire", {"f:spec": {"f:replicas": {}}}, "Apply")
    edited = entry("kubectl-edit", {"f:spec": {"f:paused": {}}})
    controller = entry("kube-controller-manager", {"f:metadata": {"f:annotations": {}}})
    scaled = entry("kubectl", {"f:spec": {"f:replicas": {}}}, subresource="scale")
    live = deployment(4, managedFields=[mine, edited, controller, scaled])
    owned = with_ownership(live, "kubewire")
    assert owned == [
        controller,
        scaled,
        mine | {"fieldsV1": {"f:spec": {"f:replicas": {}, "f:paused": {}}}},
    ]


def test_nothing_to_take_over() -> None:
    mine = entry("kubewire", {"f:spec": {"f:replicas": {}}}, "Apply")
    assert with_ownership(deployment(4, managedFields=[mine]), "kubewire") is None
    assert with_ownership(deployment(4, managedFields=[entry("kubectl", {"f:spec": {}})]), "kubewire") is None
    assert with_ownership(deployment(4), "kubewire") is None
