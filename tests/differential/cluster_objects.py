"""The generated Services and EndpointSlices in the real API."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from testbed import Testbed

from kubewire.cluster.api import ApiError

Object = dict[str, Any]
Key = tuple[str, str, str]
REFUSED = (400, 422)


class Refused(Exception):  # noqa: N818
    """The API does not take an object."""


class Cluster:
    """The cluster's Services and EndpointSlices, brought from one state to the next by the fewest calls."""

    def __init__(self, bed: Testbed) -> None:
        self.bed = bed
        self._there: dict[Key, Object] = {}
        self._namespaces = {"default", "kube-system"}

    def become(self, objects: Iterable[Object]) -> None:
        """Have exactly these objects; the API decides what may be changed and what must be made anew."""
        wanted = {(o["kind"], o["metadata"]["namespace"], o["metadata"]["name"]): o for o in objects}
        for namespace in {key[1] for key in wanted} - self._namespaces:
            self.bed.api.post("/api/v1/namespaces", {"metadata": {"name": namespace}})
            self._namespaces.add(namespace)
        gone = [key for key in self._there if key not in wanted]
        changed = [key for key, item in wanted.items() if self._there.get(key) != item]
        self.bed.map(self._delete, gone)
        refusals = self.bed.map(lambda key: self._write(key, wanted[key]), changed)
        if refused := [text for text in refusals if text]:
            raise Refused(refused[0])

    def _delete(self, key: Key) -> None:
        self.bed.api.delete(_path(key))
        del self._there[key]

    def _write(self, key: Key, item: Object) -> str:
        """Why the API refused the object; "" when it is there now."""
        path = _path(key)
        try:
            if key in self._there and not self._update(path, item):
                self._delete(key)
            if key not in self._there:
                self.bed.api.post(path.rpartition("/")[0], item)
            self._there[key] = {}
            if "status" in item:
                self.bed.api.patch(f"{path}/status", {"status": item["status"]})
        except ApiError as error:
            if error.status not in REFUSED:
                raise
            return error.what
        self._there[key] = item
        return ""

    def _update(self, path: str, item: Object) -> bool:
        there = self.bed.api.get(path)
        meta = {**item["metadata"], "resourceVersion": there["metadata"]["resourceVersion"]}
        try:
            self.bed.api.put(path, {**item, "metadata": meta})
        except ApiError as error:
            if error.status not in REFUSED:
                raise
            return False
        return True


def _path(key: Key) -> str:
    kind, namespace, name = key
    if kind == "Service":
        return f"/api/v1/namespaces/{namespace}/services/{name}"
    return f"/apis/discovery.k8s.io/v1/namespaces/{namespace}/endpointslices/{name}"
