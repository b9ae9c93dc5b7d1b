"""A small Kubernetes API client: one kept-open connection, plain dicts, server-side apply.

Paths are those of the API itself (`/api/v1/namespaces/default/pods`). Objects are the
API's JSON. Errors are `ApiError` with the HTTP status and the API's own Status message.
"""

from __future__ import annotations

import base64
import json
import ssl
import tempfile
from collections.abc import Iterator, Mapping
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import httpx

from kubewire.core.bounded_yaml import MAX_BYTES, read_yaml
from kubewire.core.errors import LabError
from kubewire.core.files import read_own
from kubewire.core.timeouts import scaled

FIELD_MANAGER = "kubewire"


class ApiError(LabError):
    """The apiserver refused or could not answer; `status` is 0 when there was no answer at all."""

    def __init__(self, what: str, *, status: int = 0, reason: str = "", where: str = "") -> None:
        super().__init__(what, where=where)
        self.status = status
        self.reason = reason


class Api:
    """A client of the cluster that a kubeconfig's current context names. Use it as a context manager."""

    def __init__(self, kubeconfig: Path, *, timeout: float = 10.0) -> None:
        cluster, user = _current(kubeconfig)
        headers = {"Authorization": f"Bearer {user['token']}"} if "token" in user else {}
        self.server: str = cluster["server"]
        self._resources: dict[str, dict[str, tuple[str, bool]]] = {}
        self._client = httpx.Client(
            base_url=self.server,
            verify=_tls(cluster, user, kubeconfig.parent),
            headers=headers,
            timeout=scaled(timeout),
            trust_env=False,
        )

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        self._client.close()

    def request(
        self,
        method: str,
        path: str,
        *,
        body: Any = None,
        content_type: str = "application/json",
        **params: Any,
    ) -> dict[str, Any]:
        """One call; the answer's JSON object, or ApiError."""
        content = None if body is None else json.dumps(body).encode()
        try:
            answer = self._client.request(
                method, path, content=content, params=params, headers={"Content-Type": content_type}
            )
        except httpx.HTTPError as error:
            raise ApiError(f"the apiserver does not answer: {error}", where=self.server + path) from error
        if answer.is_success:
            parsed: dict[str, Any] = answer.json() if "json" in answer.headers["content-type"] else {}
            return parsed
        raise _api_error(answer.status_code, answer.text, path)

    def get(self, path: str, **params: Any) -> dict[str, Any]:
        return self.request("GET", path, **params)

    def find(self, path: str) -> dict[str, Any] | None:
        """The object at `path`, or None if it doesn't exist."""
        try:
            return self.get(path)
        except ApiError as error:
            if error.status == httpx.codes.NOT_FOUND:
                return None
            raise

    def post(self, path: str, body: Mapping[str, Any]) -> dict[str, Any]:
        return self.request("POST", path, body=body)

    def put(self, path: str, body: Mapping[str, Any]) -> dict[str, Any]:
        return self.request("PUT", path, body=body)

    def patch(
        self, path: str, body: Any, *, content_type: str = "application/merge-patch+json", **params: Any
    ) -> dict[str, Any]:
        return self.request("PATCH", path, body=body, content_type=content_type, **params)

    def delete(self, path: str, body: Mapping[str, Any] | None = None, **params: Any) -> dict[str, Any]:
        return self.request("DELETE", path, body=body, **params)

    def object_path(self, obj: Mapping[str, Any]) -> str:
        """The API path of one object, its plural and scope from the apiserver's discovery."""
        api_version, kind, metadata = obj["apiVersion"], obj["kind"], obj["metadata"]
        prefix = f"{'/apis' if '/' in api_version else '/api'}/{api_version}"
        if api_version not in self._resources:
            found = self.get(prefix).get("resources", [])
            self._resources[api_version] = {
                r["kind"]: (r["name"], r["namespaced"]) for r in found if "/" not in r["name"]
            }
        if kind not in self._resources[api_version]:
            raise ApiError(f"this cluster has no kind {kind} in {api_version}", status=httpx.codes.NOT_FOUND)
        plural, namespaced = self._resources[api_version][kind]
        scope = f"/namespaces/{metadata.get('namespace') or 'default'}" if namespaced else ""
        return f"{prefix}{scope}/{plural}/{metadata['name']}"

    def apply(self, obj: Mapping[str, Any], *, dry_run: bool = False) -> dict[str, Any]:
        """Server-side apply of one object as field manager `kubewire`; returns the new object."""
        params = {"fieldManager": FIELD_MANAGER, "force": "true"}
        if dry_run:
            params["dryRun"] = "All"
        return self.patch(self.object_path(obj), obj, content_type="application/apply-patch+yaml", **params)

    def watch(
        self, path: str, resource_version: str, *, timeout_seconds: int = 300, **params: Any
    ) -> Iterator[dict[str, Any]]:
        """Watch events `{"type", "object"}` after `resource_version`, until the server ends the watch.

        Raises ApiError with status 410 when the version is too old: list again.
        """
        query = {
            "watch": "true",
            "resourceVersion": resource_version,
            "allowWatchBookmarks": "true",
            "timeoutSeconds": timeout_seconds,
            **params,
        }
        read_timeout = httpx.Timeout(scaled(10.0), read=timeout_seconds + 30.0)
        try:
            with self._client.stream("GET", path, params=query, timeout=read_timeout) as answer:
                if not answer.is_success:
                    answer.read()
                    raise _api_error(answer.status_code, answer.text, path)
                for line in answer.iter_lines():
                    event = json.loads(line)
                    if event["type"] == "ERROR":
                        raise _api_error(
                            int(event["object"].get("code", 0)), json.dumps(event["object"]), path
                        )
                    yield event
        except httpx.HTTPError as error:
            raise ApiError(f"the watch broke: {error}", where=self.server + path) from error


def _current(kubeconfig: Path) -> tuple[dict[str, Any], dict[str, Any]]:
    """The cluster and the user of the current context; LabError for a file without one."""
    try:
        config = read_yaml(read_own(kubeconfig, MAX_BYTES).decode())
        contexts = {entry["name"]: entry["context"] for entry in config["contexts"]}
        context = contexts[config["current-context"]]
        cluster = next(c["cluster"] for c in config["clusters"] if c["name"] == context["cluster"])
        user = next(u["user"] for u in config["users"] if u["name"] == context["user"])
        return {"server": cluster["server"], **cluster}, {**user}
    except (ValueError, KeyError, TypeError, StopIteration) as error:
        raise LabError(f"not a kubeconfig with a current context: {error}", where=str(kubeconfig)) from error


def _api_error(status: int, text: str, path: str) -> ApiError:
    try:
        answer = json.loads(text)
    except ValueError:
        return ApiError(text.strip() or f"HTTP {status}", status=status, where=path)
    return ApiError(
        answer.get("message") or f"HTTP {status}",
        status=status,
        reason=answer.get("reason") or "",
        where=path,
    )


def _tls(cluster: Mapping[str, Any], user: Mapping[str, Any], folder: Path) -> ssl.SSLContext:
    """Trust only the cluster's CA; present the user's client certificate if it has one."""
    authority = _material(cluster, "certificate-authority", folder)
    context = ssl.create_default_context(cadata=authority.decode() if authority else None)
    certificate = _material(user, "client-certificate", folder)
    key = _material(user, "client-key", folder)
    if certificate and key:
        with tempfile.NamedTemporaryFile() as chain:
            chain.write(certificate + b"\n" + key)
            chain.flush()
            context.load_cert_chain(chain.name)
    return context


def _material(entry: Mapping[str, Any], name: str, folder: Path) -> bytes | None:
    if f"{name}-data" in entry:
        return base64.b64decode(entry[f"{name}-data"])
    return read_own(folder / str(entry[name]), MAX_BYTES) if name in entry else None
