"""Volumes as plain folders: emptyDir, configMap, secret, downward API names, and projections of them.

Source: the Kubernetes volume types; a ServiceAccount token comes from the TokenRequest API, as with kubelet.
"""

from __future__ import annotations

import base64
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from kubewire.cluster.api import Api
from kubewire.core.errors import LabError
from kubewire.providers.netns.agent.rootfs import Mount

TOKEN_SECONDS = 365 * 24 * 3600


def prepare(api: Api, pod: Mapping[str, Any], folder: Path) -> dict[str, Path]:
    """Fill a folder for each volume below `folder`; volume name → its folder."""
    prepared = {}
    for volume in pod["spec"].get("volumes", []):
        target = folder / volume["name"]
        target.mkdir(parents=True, exist_ok=True)
        if "emptyDir" in volume:
            target.chmod(0o1777)
        else:
            for name, data in _files(api, pod, volume).items():
                _write(target, name, data)
        prepared[volume["name"]] = target
    return prepared


def mounts(container: Mapping[str, Any], volumes: Mapping[str, Path]) -> list[Mount]:
    """The container's mounts; the launcher itself resolves a `subPath` in the volume."""
    return [
        Mount(
            volumes[entry["name"]],
            entry["mountPath"],
            writable=not entry.get("readOnly"),
            below=entry.get("subPath", ""),
        )
        for entry in container.get("volumeMounts", [])
    ]


def _files(api: Api, pod: Mapping[str, Any], volume: Mapping[str, Any]) -> dict[str, bytes]:
    if "projected" in volume:
        found: dict[str, bytes] = {}
        for source in volume["projected"].get("sources", []):
            found |= _source(api, pod, source)
        return found
    return _source(api, pod, volume)


def _source(api: Api, pod: Mapping[str, Any], source: Mapping[str, Any]) -> dict[str, bytes]:
    namespace = pod["metadata"]["namespace"]
    if "configMap" in source:
        wanted = source["configMap"]
        held = _fetch(api, f"/api/v1/namespaces/{namespace}/configmaps/{wanted['name']}", wanted)
        data = {name: text.encode() for name, text in held.get("data", {}).items()}
        data |= {name: base64.b64decode(text) for name, text in held.get("binaryData", {}).items()}
        return _selected(data, wanted.get("items"))
    if "secret" in source:
        wanted = source["secret"]
        name = wanted.get("secretName") or wanted["name"]
        held = _fetch(api, f"/api/v1/namespaces/{namespace}/secrets/{name}", wanted)
        data = {key: base64.b64decode(text) for key, text in held.get("data", {}).items()}
        return _selected(data, wanted.get("items"))
    if "serviceAccountToken" in source:
        return {source["serviceAccountToken"]["path"]: _token(api, pod, source["serviceAccountToken"])}
    if "downwardAPI" in source:
        return {
            item["path"]: field(pod, item["fieldRef"]["fieldPath"]).encode()
            for item in source["downwardAPI"].get("items", [])
            if "fieldRef" in item
        }
    kinds = ", ".join(key for key in source if key != "name")
    raise LabError(
        f"the netns provider has no volumes of kind {kinds}",
        hint="it knows emptyDir, configMap, secret, projected and downwardAPI; or use the kind provider",
    )


def _fetch(api: Api, path: str, wanted: Mapping[str, Any]) -> dict[str, Any]:
    held = api.find(path)
    if held is None and not wanted.get("optional"):
        raise LabError(f"{path.rsplit('/', 2)[-2]} {path.rsplit('/', 1)[-1]!r} not found")
    return held or {}


def _token(api: Api, pod: Mapping[str, Any], wanted: Mapping[str, Any]) -> bytes:
    metadata, account = pod["metadata"], pod["spec"].get("serviceAccountName", "default")
    # The token isn't rotated, so it has to last as long as a lab may.
    request: dict[str, Any] = {
        "expirationSeconds": max(int(wanted.get("expirationSeconds") or 0), TOKEN_SECONDS),
        "boundObjectRef": {
            "apiVersion": "v1",
            "kind": "Pod",
            "name": metadata["name"],
            "uid": metadata["uid"],
        },
    }
    if wanted.get("audience"):
        request["audiences"] = [wanted["audience"]]
    path = f"/api/v1/namespaces/{metadata['namespace']}/serviceaccounts/{account}/token"
    body = {"apiVersion": "authentication.k8s.io/v1", "kind": "TokenRequest", "spec": request}
    token: str = api.post(path, body)["status"]["token"]
    return token.encode()


def field(pod: Mapping[str, Any], path: str) -> str:
    """The value of a downward API fieldPath; empty if the pod has none."""
    if path == "status.podIPs":
        return ",".join(entry["ip"] for entry in pod.get("status", {}).get("podIPs", []))
    section, _, rest = path.partition(".")
    key, _, quoted = rest.partition("['")
    value = pod.get(section, {}).get(key, "")
    if quoted and isinstance(value, Mapping):
        value = value.get(quoted.removesuffix("']"), "")
    if isinstance(value, Mapping):
        return "\n".join(f'{name}="{text}"' for name, text in sorted(value.items()))
    return str(value)


def _selected(data: Mapping[str, bytes], items: Iterable[Mapping[str, Any]] | None) -> dict[str, bytes]:
    if items is None:
        return dict(data)
    return {item["path"]: data[item["key"]] for item in items if item["key"] in data}


def _write(folder: Path, name: str, data: bytes) -> None:
    target = (folder / name).resolve()
    if not target.is_relative_to(folder.resolve()):
        raise LabError(f"volume file {name!r} would lie outside its volume")
    target.parent.mkdir(parents=True, exist_ok=True)
    target.write_bytes(data)
    target.chmod(0o644)
