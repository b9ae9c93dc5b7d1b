"""Pure parts of check mode: what another tool's fields come to, and how a change is told."""

from __future__ import annotations

from typing import Any

from kubewire.app.steps.outcome import WOULD, Outcome
from kubewire.cluster.object_diff import hidden, taken_back, without
from kubewire.providers.base import Change

MINE = {"manager": "kubewire", "operation": "Apply", "fieldsV1": {"f:spec": {"f:replicas": {}}}}


def live(*entries: dict[str, Any]) -> dict[str, Any]:
    return {
        "metadata": {"name": "a", "labels": {"x": "1"}, "managedFields": [MINE, *entries]},
        "spec": {"replicas": 4, "paused": True, "ports": [{"port": 1}, {"port": 2}], "words": ["a", "b"]},
    }


def edited(fields: dict[str, Any], **more: Any) -> dict[str, Any]:
    return {"manager": "kubectl-edit", "operation": "Update", "fieldsV1": fields, **more}


def test_fields_of_people_go_and_those_of_the_manifest_and_of_controllers_stay() -> None:
    people = edited(
        {
            "f:metadata": {"f:labels": {".": {}, "f:x": {}}},
            "f:spec": {
                "f:replicas": {},
                "f:paused": {},
                "f:ports": {'k:{"port":2}': {".": {}, "f:port": {}}},
                "f:words": {'v:"b"': {}},
            },
        }
    )
    controller = {"manager": "kube-controller-manager", "fieldsV1": {"f:spec": {"f:paused": {}}}}
    before = live(people, controller)
    fields = taken_back(before, live(), "kubewire")
    after = without(before, fields)
    assert after["spec"] == {"replicas": 4, "paused": True, "ports": [{"port": 1}], "words": ["a"]}
    assert "labels" not in after["metadata"]


def test_without_people_nothing_goes() -> None:
    assert taken_back(live(), live(), "kubewire") == {}


def test_a_change_is_told_in_its_tense_and_counted_if_it_is_one() -> None:
    done = Change("node", "restarted kube-proxy", "why", before="old", after="new")
    seen = Change("node", "kube-proxy restarted by its supervisor", reported=True)
    real, announced = (Outcome([done, seen]).result(check=check) for check in (False, True))
    assert [line.replace(WOULD, "") for line in announced["changes"]] == real["changes"]
    assert announced["changes"][0].startswith(f"node: {WOULD}restarted")
    assert real["diff"][0]["before"] == "old\n"
    assert not Outcome([seen]).result()["changed"]


def test_a_secret_keeps_its_values() -> None:
    assert hidden({"kind": "Secret", "data": {"a": "b"}})["data"] == {"a": "***"}
