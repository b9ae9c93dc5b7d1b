"""Events for `kubectl describe` and `kubectl get events`, sent by a thread of their own."""

from __future__ import annotations

import logging
import queue
import threading
import time
from collections.abc import Mapping
from typing import Any, Literal

from kubewire.cluster.api import Api, ApiError
from kubewire.providers.netns.agent.status import timestamp

log = logging.getLogger(__name__)


def event(
    pod: Mapping[str, Any], kind: Literal["Normal", "Warning"], reason: str, message: str, now: float
) -> dict[str, Any]:
    """The Event object about a pod."""
    metadata = pod["metadata"]
    return {
        "apiVersion": "v1",
        "kind": "Event",
        "metadata": {"name": f"{metadata['name']}.{time.time_ns():x}", "namespace": metadata["namespace"]},
        "involvedObject": {
            "apiVersion": "v1",
            "kind": "Pod",
            "name": metadata["name"],
            "namespace": metadata["namespace"],
            "uid": metadata["uid"],
        },
        "type": kind,
        "reason": reason,
        "message": message[:1024],
        "count": 1,
        "firstTimestamp": timestamp(now),
        "lastTimestamp": timestamp(now),
        "source": {"component": "kubewire", "host": pod["spec"].get("nodeName", "")},
    }


class Events:
    """A queue of events and the thread that sends them."""

    def __init__(self, api: Api) -> None:
        self._api = api
        self._queue: queue.SimpleQueue[dict[str, Any]] = queue.SimpleQueue()
        threading.Thread(target=self._send, name="events", daemon=True).start()

    def emit(
        self, pod: Mapping[str, Any], kind: Literal["Normal", "Warning"], reason: str, message: str
    ) -> None:
        self._queue.put(event(pod, kind, reason, message, time.time()))

    def _send(self) -> None:
        while True:
            one = self._queue.get()
            try:
                self._api.post(f"/api/v1/namespaces/{one['metadata']['namespace']}/events", one)
            except ApiError as error:
                log.debug("event %s is lost: %s", one["reason"], error)
