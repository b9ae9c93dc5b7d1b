"""Whether a container is ready: its listening ports in the kernel, and its probes."""

from __future__ import annotations

import http.client
import socket
import ssl
import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from kubewire.providers.netns.agent import sockdiag
from kubewire.providers.netns.agent.namespaces import inside

SUPPORTED = ("httpGet", "tcpSocket")


def listening_ports(netns: Path) -> set[int]:
    """The listening TCP ports in a network namespace; empty when it is gone."""
    try:
        with inside(netns):
            return sockdiag.listening_ports()
    except OSError:
        return set()


def attempt(
    probe: Mapping[str, Any], address: str, named_ports: Mapping[str, int], netns: Path
) -> tuple[bool, str]:
    """Run one httpGet or tcpSocket probe from `netns`, as kubelet does from its node; the result and why."""
    timeout = float(probe.get("timeoutSeconds") or 1)
    action = probe.get("httpGet") or probe.get("tcpSocket")
    if not action:
        return False, f"the netns provider runs {' and '.join(SUPPORTED)} probes only"
    host = action.get("host") or address
    port = named_ports.get(str(action["port"]), action["port"])
    try:
        with inside(netns):
            if "tcpSocket" in probe:
                socket.create_connection((host, int(port)), timeout).close()
                return True, ""
            return _http_get(action, host, int(port), timeout)
    except (OSError, ValueError, http.client.HTTPException) as error:
        return False, f"probe of {host}:{port} failed: {error}"


def _http_get(action: Mapping[str, Any], host: str, port: int, timeout: float) -> tuple[bool, str]:
    if action.get("scheme", "HTTP") == "HTTPS":
        context = ssl.create_default_context()
        context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
        connection: http.client.HTTPConnection = http.client.HTTPSConnection(
            host, port, timeout=timeout, context=context
        )
    else:
        connection = http.client.HTTPConnection(host, port, timeout=timeout)
    headers = {"User-Agent": "kube-probe/kubewire", "Connection": "close"}
    headers |= {header["name"]: header["value"] for header in action.get("httpHeaders", [])}
    try:
        connection.request("GET", action.get("path") or "/", headers=headers)
        status = connection.getresponse().status
    finally:
        connection.close()
    return 200 <= status < 400, f"HTTP probe failed with statuscode: {status}"


@dataclass
class Prober:
    """One probe of one container, run when it is due; thresholds count as in kubelet."""

    probe: Mapping[str, Any]
    initial: bool
    started: float = field(default_factory=time.monotonic)
    holds: bool = field(init=False)
    message: str = ""
    _due: float = field(init=False)
    _streak: int = 0

    def __post_init__(self) -> None:
        self.holds = self.initial
        self._due = self.started + float(self.probe.get("initialDelaySeconds") or 0)

    def check(self, address: str, named_ports: Mapping[str, int], netns: Path) -> bool:
        """Probe if it is due; whether the probe succeeds."""
        now = time.monotonic()
        if now < self._due:
            return self.holds
        success, message = attempt(self.probe, address, named_ports, netns)
        self._streak = 0 if success == self.holds else self._streak + 1
        key, default = ("successThreshold", 1) if success else ("failureThreshold", 3)
        threshold = int(self.probe.get(key) or default)
        if self._streak >= threshold:
            self.holds, self._streak = success, 0
        self.message = "" if success else message
        period = float(self.probe.get("periodSeconds") or 10)
        # A pod that isn't ready yet is probed more often, so that a lab is up sooner.
        hasty = not self.initial and not self.holds
        self._due = now + (min(period, 0.25) if hasty else period)
        return self.holds


def named_ports(container: Mapping[str, Any]) -> dict[str, int]:
    """Port name → number of a container."""
    return {port["name"]: port["containerPort"] for port in container.get("ports", []) if port.get("name")}
