"""The objects a lab applies: httpbin as in the article, and the user's manifests, checked by line."""

from __future__ import annotations

import base64
import hashlib
from pathlib import Path
from typing import Any

import pytest

from kubewire.lab.loading import LabFileError, load_lab
from kubewire.lab.schema import Lab
from kubewire.lab.workload import workload_manifests


def httpbin(**settings: Any) -> tuple[dict[str, Any], dict[str, Any]]:
    lab = Lab.model_validate({"name": "x", "mode": "iptables", "httpbin": settings})
    *_, service, deployment = workload_manifests(lab)
    return service, deployment


def test_the_service_gives_the_articles_chain() -> None:
    service, deployment = httpbin()
    (port,) = service["spec"]["ports"]
    metadata = service["metadata"]
    name = f"{metadata['namespace']}/{metadata['name']}:{port['name']}{port['protocol'].lower()}"
    hashed = base64.b32encode(hashlib.sha256(name.encode()).digest()).decode()[:16]
    assert f"KUBE-SVC-{hashed}" == "KUBE-SVC-FREKB6WNWYJLKTHC"
    assert (port["port"], port["targetPort"]) == (8000, 80)
    assert service["spec"]["selector"] == deployment["spec"]["template"]["metadata"]["labels"]
    assert service["spec"]["selector"] == deployment["spec"]["selector"]["matchLabels"]
    assert deployment["spec"]["replicas"] == 4


def test_only_what_is_asked_for_is_set() -> None:
    service, _ = httpbin()
    assert set(service["spec"]) == {"type", "selector", "ports", "internalTrafficPolicy", "sessionAffinity"}
    service, _ = httpbin(
        type="NodePort",
        nodePort=30080,
        externalTrafficPolicy="Local",
        internalTrafficPolicy="Local",
        sessionAffinity="ClientIP",
        sessionAffinitySeconds=60,
    )
    spec = service["spec"]
    assert spec["ports"][0]["nodePort"] == 30080
    assert (spec["externalTrafficPolicy"], spec["internalTrafficPolicy"]) == ("Local", "Local")
    assert spec["sessionAffinityConfig"] == {"clientIP": {"timeoutSeconds": 60}}


def test_a_namespace_of_its_own_comes_first() -> None:
    lab = Lab.model_validate({"name": "x", "mode": "iptables", "httpbin": {"namespace": "web"}})
    first, *others = workload_manifests(lab)
    assert (first["kind"], first["metadata"]["name"]) == ("Namespace", "web")
    assert {each["metadata"]["namespace"] for each in others} == {"web"}


def test_in_a_dual_lab_the_service_has_both_families() -> None:
    lab = Lab.model_validate({"name": "x", "mode": "iptables", "ipFamily": "dual"})
    assert workload_manifests(lab)[0]["spec"]["ipFamilyPolicy"] == "RequireDualStack"


def lab_with(folder: Path, manifest: str | bytes) -> Lab:
    path = folder / "more.yaml"
    path.write_bytes(manifest if isinstance(manifest, bytes) else manifest.encode())
    lab = folder / "x.yml"
    lab.write_text("mode: iptables\nmanifests: [more.yaml]\n")
    return load_lab(lab)


def test_manifests_follow_and_lists_are_taken_apart(tmp_path: Path) -> None:
    lab = lab_with(
        tmp_path,
        "---\napiVersion: v1\nkind: ConfigMap\nmetadata: {name: a}\n"
        "data: {day: 2026-11-23, mode: '0644'}\n---\n"
        "apiVersion: v1\nkind: List\nitems:\n- {apiVersion: v1, kind: Pod, metadata: {name: b}}\n",
    )
    own, pod = workload_manifests(lab)[-2:]
    assert own["data"] == {"day": "2026-11-23", "mode": "0644"}
    assert (pod["kind"], pod["metadata"]["name"]) == ("Pod", "b")


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("a: [", "more.yaml:1:5: not YAML"),
        ("- 1\n", "more.yaml:1:1: not a Kubernetes object"),
        (
            "kind: Pod\nmetadata: {}\n",
            "more.yaml:1:1: not a Kubernetes object: apiVersion and metadata.name must",
        ),
        (
            "{apiVersion: v1, kind: Pod, metadata: {name: a}}\n---\n"
            "{apiVersion: v1, kind: Pod, metadata: {name: a}}",
            "more.yaml:3:1: Pod a is already in",
        ),
        (
            "apiVersion: v1\nkind: Service\nmetadata: {name: httpbin, namespace: default}\n",
            "more.yaml:1:1: Service httpbin is already in the lab itself",
        ),
        (
            "apiVersion: v1\nkind: Pod\nkind: Job\nmetadata: {name: a}",
            "more.yaml:3:1: duplicate key “kind”",
        ),
        (b"a: \xff", "more.yaml:1:4: byte 0xff is not UTF-8"),
    ],
)
def test_a_wrong_manifest_is_refused_by_line(tmp_path: Path, text: str | bytes, said: str) -> None:
    with pytest.raises(LabFileError) as caught:
        workload_manifests(lab_with(tmp_path, text))
    assert len(caught.value.errors) == 1
    assert said in caught.value.errors[0]
