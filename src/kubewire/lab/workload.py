"""The Kubernetes objects of a lab: httpbin, and the lab's manifests."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

from kubewire.core.errors import DefinitionError
from kubewire.lab.loading import LabFileError, display_path
from kubewire.lab.schema import Httpbin, IpFamily, Lab
from kubewire.lab.yaml_positions import Document, Mark, read_documents, read_text

Manifest = dict[str, Any]
NAME = "httpbin"
LABELS = {"app": NAME}
IMAGE = "docker.io/kubewire/httpbin:1"
"""PyPI's httpbin, with the pod's name in X-Served-By; the tag is the version of the image's build."""

IMAGE_PORT = 80


def workload_manifests(lab: Lab) -> list[Manifest]:
    """All objects to apply, in order: httpbin's, then those of the lab's manifests.

    Raises LabFileError with all errors in the manifests, each with file, line and column.
    """
    objects = [*httpbin_manifests(lab)]
    seen = {_identity(each): "the lab itself" for each in objects}
    errors: list[str] = []
    for path in lab.manifests:
        for where, each, error in _manifest_objects(path):
            if error:
                errors.append(f"{where}: {error}")
            elif first := seen.get(_identity(each)):
                errors.append(f"{where}: {each['kind']} {each['metadata']['name']} is already in {first}")
            else:
                seen[_identity(each)] = where
                objects.append(each)
    if errors:
        raise LabFileError(errors)
    return objects


def httpbin_manifests(lab: Lab) -> list[Manifest]:
    """httpbin's Namespace (unless it is `default`), Service and Deployment.

    The Service has one port, default/httpbin:http, so its chain names are always the same.
    """
    httpbin = lab.httpbin
    namespace = {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": httpbin.namespace}}
    return [
        *([namespace] if httpbin.namespace != "default" else []),
        {
            "apiVersion": "v1",
            "kind": "Service",
            "metadata": _metadata(httpbin),
            "spec": _service_spec(httpbin, dual=lab.ip_family is IpFamily.DUAL),
        },
        {
            "apiVersion": "apps/v1",
            "kind": "Deployment",
            "metadata": _metadata(httpbin),
            "spec": _deployment_spec(httpbin),
        },
    ]


def _metadata(httpbin: Httpbin) -> Manifest:
    return {"name": NAME, "namespace": httpbin.namespace, "labels": dict(LABELS)}


def _service_spec(httpbin: Httpbin, *, dual: bool) -> Manifest:
    port = {
        "name": httpbin.port_name,
        "protocol": "TCP",
        "port": httpbin.port,
        "targetPort": httpbin.target_port,
        **({"nodePort": httpbin.node_port} if httpbin.node_port else {}),
    }
    external = httpbin.external_traffic_policy
    seconds = httpbin.session_affinity_seconds
    return {
        "type": httpbin.type,
        "selector": dict(LABELS),
        "ports": [port],
        "internalTrafficPolicy": httpbin.internal_traffic_policy,
        **({"externalTrafficPolicy": external} if external else {}),
        "sessionAffinity": httpbin.session_affinity,
        **({"sessionAffinityConfig": {"clientIP": {"timeoutSeconds": seconds}}} if seconds else {}),
        **({"ipFamilyPolicy": "RequireDualStack"} if dual else {}),
    }


def _deployment_spec(httpbin: Httpbin) -> Manifest:
    container: Manifest = {
        "name": NAME,
        "image": httpbin.image or IMAGE,
        "ports": [{"containerPort": httpbin.target_port}],
    }
    if httpbin.target_port != IMAGE_PORT and not httpbin.image:
        container["env"] = [{"name": "PORT", "value": str(httpbin.target_port)}]
    return {
        "replicas": httpbin.replicas,
        "selector": {"matchLabels": dict(LABELS)},
        "template": {
            "metadata": {"labels": dict(LABELS)},
            "spec": {
                "automountServiceAccountToken": False,
                "enableServiceLinks": False,
                "containers": [container],
            },
        },
    }


def _manifest_objects(path: Path) -> Iterator[tuple[str, Manifest, str]]:
    """(place, object, error or "") for each object of a file, and of its v1 Lists."""
    shown = display_path(path)
    try:
        documents = read_documents(read_text(path, shown))
    except DefinitionError as error:
        yield error.where or shown, {}, error.what
        return
    for document in documents:
        for mark, message in document.errors:
            yield _at(shown, mark), {}, message
        if not document.errors and document.data is not None:
            yield from _objects(shown, document)


def _objects(shown: str, document: Document) -> Iterator[tuple[str, Manifest, str]]:
    data = document.data
    if isinstance(data, dict) and data.get("kind") == "List" and isinstance(data.get("items"), list):
        for index, item in enumerate(data["items"]):
            yield _at(shown, document.values["items", index]), item, _wrong_object(item)
    else:
        yield _at(shown, document.values[()]), data, _wrong_object(data)


def _wrong_object(data: Any) -> str:
    if not isinstance(data, dict):
        return "not a Kubernetes object: it must have apiVersion, kind and metadata.name"
    metadata = data.get("metadata")
    required = {
        "apiVersion": data.get("apiVersion"),
        "kind": data.get("kind"),
        "metadata.name": metadata.get("name") if isinstance(metadata, dict) else None,
    }
    missing = [key for key, value in required.items() if not isinstance(value, str) or not value]
    return f"not a Kubernetes object: {' and '.join(missing)} must be set, as text" if missing else ""


def _identity(manifest: Manifest) -> tuple[str, str, str, str]:
    """API group, kind, namespace (`default` if unset) and name."""
    group = manifest["apiVersion"].rpartition("/")[0]
    metadata = manifest["metadata"]
    return group, manifest["kind"], metadata.get("namespace") or "default", metadata["name"]


def _at(shown: str, mark: Mark) -> str:
    return f"{shown}:{mark.line}:{mark.column}"
