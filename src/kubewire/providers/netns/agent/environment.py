"""A container's environment: variables from its image, its spec, and kubelet."""

from __future__ import annotations

import base64
import re
from collections.abc import Mapping
from typing import Any

from kubewire.cluster.api import Api
from kubewire.providers.netns.agent.volumes import field

BASE = {"PATH": "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin", "HOME": "/tmp"}  # noqa: S108
_REFERENCE = re.compile(r"\$(\$|\(([^()]+)\))")


def service_variables(address: str, port: int) -> dict[str, str]:
    """The variables of the Service default/kubernetes, by which a pod finds the apiserver."""
    host = f"[{address}]" if ":" in address else address
    return {
        "KUBERNETES_SERVICE_HOST": address,
        "KUBERNETES_SERVICE_PORT": str(port),
        "KUBERNETES_SERVICE_PORT_HTTPS": str(port),
        "KUBERNETES_PORT": f"tcp://{host}:{port}",
        "KUBERNETES_PORT_443_TCP": f"tcp://{host}:{port}",
        "KUBERNETES_PORT_443_TCP_ADDR": address,
        "KUBERNETES_PORT_443_TCP_PORT": str(port),
        "KUBERNETES_PORT_443_TCP_PROTO": "tcp",
    }


def variables(api: Api, pod: Mapping[str, Any], container: Mapping[str, Any]) -> dict[str, str]:
    """`envFrom` and `env` of a container, references like $(NAME) replaced; keys missing are left out."""
    found: dict[str, str] = {}
    for source in container.get("envFrom", []):
        prefix = source.get("prefix", "")
        found |= {prefix + key: text for key, text in _data(api, pod, source).items()}
    for entry in container.get("env", []):
        if "valueFrom" not in entry:
            found[entry["name"]] = expand(entry.get("value", ""), found)
        elif (text := _referred(api, pod, entry["valueFrom"])) is not None:
            found[entry["name"]] = text
    return found


def expand(text: str, known: Mapping[str, str]) -> str:
    """Replace $(NAME) for known names, keep unknown ones, and read $$ as one $."""

    def replaced(match: re.Match[str]) -> str:
        return "$" if match.group(1) == "$" else known.get(match.group(2), match.group(0))

    return _REFERENCE.sub(replaced, text)


def _referred(api: Api, pod: Mapping[str, Any], source: Mapping[str, Any]) -> str | None:
    if "fieldRef" in source:
        return field(pod, source["fieldRef"]["fieldPath"])
    for kind in ("configMap", "secret"):
        if reference := source.get(f"{kind}KeyRef"):
            return _data(api, pod, {f"{kind}Ref": reference}).get(reference["key"])
    return None


def _data(api: Api, pod: Mapping[str, Any], source: Mapping[str, Any]) -> dict[str, str]:
    base = f"/api/v1/namespaces/{pod['metadata']['namespace']}"
    if reference := source.get("configMapRef"):
        return (api.find(f"{base}/configmaps/{reference['name']}") or {}).get("data") or {}
    if reference := source.get("secretRef"):
        held = (api.find(f"{base}/secrets/{reference['name']}") or {}).get("data") or {}
        return {key: base64.b64decode(text).decode(errors="replace") for key, text in held.items()}
    return {}
