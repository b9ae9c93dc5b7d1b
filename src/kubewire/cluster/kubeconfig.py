"""kubeconfig files, certificates embedded; written as JSON, which is YAML too."""

from __future__ import annotations

import base64
import json
from dataclasses import dataclass


@dataclass(frozen=True)
class KeyPair:
    """A certificate and its key, PEM."""

    certificate: str
    key: str


def kubeconfig(context: str, server: str, authority: str, client: KeyPair) -> str:
    """A kubeconfig with one context. `authority` and `client` are PEM."""
    document = {
        "apiVersion": "v1",
        "kind": "Config",
        "clusters": [
            {"name": context, "cluster": {"server": server, "certificate-authority-data": _base64(authority)}}
        ],
        "users": [
            {
                "name": context,
                "user": {
                    "client-certificate-data": _base64(client.certificate),
                    "client-key-data": _base64(client.key),
                },
            }
        ],
        "contexts": [{"name": context, "context": {"cluster": context, "user": context}}],
        "current-context": context,
    }
    return json.dumps(document, indent=2) + "\n"


def _base64(text: str) -> str:
    return base64.b64encode(text.encode()).decode()
