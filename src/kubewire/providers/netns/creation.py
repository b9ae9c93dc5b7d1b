"""Create a sandbox from outside: start its monitor and wait until every component runs."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import time
from pathlib import Path
from typing import TYPE_CHECKING

from kubewire.cluster.kubeconfig import kubeconfig
from kubewire.core import monitor, paths, rpc
from kubewire.core.errors import HostError, LabError
from kubewire.core.files import last_lines, write_atomically
from kubewire.core.proc import await_end, boot_id
from kubewire.core.progress import emit
from kubewire.core.timeouts import scaled
from kubewire.providers.base import NodeRecord
from kubewire.providers.netns import control, linux, plan_builder, state, topology
from kubewire.providers.netns.control_plane import cluster_dns_ip, issue_credentials
from kubewire.providers.netns.monitor import Order

if TYPE_CHECKING:
    from kubewire.binaries.supply import Binaries
    from kubewire.lab.schema import Lab

DEADLINE = 240.0
_POLL = 0.05
_STEP = "cluster"
MODULE = "kubewire.providers.netns.monitor"


def make(lab: Lab, binaries: Binaries) -> None:
    """Create the lab's sandbox and wait until its nodes are Ready; on any error nothing of it stays.

    Raises HostError (the port is taken) and LabError with the end of the failed component's log.
    """
    directory = paths.lab_dir(lab.name)
    directory.mkdir(mode=0o700, parents=True, exist_ok=True)
    started: subprocess.Popen[bytes] | None = None
    try:
        started = _start_monitor(lab, binaries, directory)
        wait(lab.name, directory, started)
        _wait_for_nodes(lab, directory)
        control.call(directory, control.Request("made"), control.Done)
    except BaseException:
        if not end(directory) and started is not None:
            started.kill()
        if started is not None:
            started.wait()
        state.remove(directory)
        raise


def end(directory: Path) -> bool:
    """End a lab's sandbox and wait until its monitor has cleaned up; False if there was none.

    LabError, and nothing is changed, if its processes can't be seen from here.
    """
    state.require_here(directory)
    recorded = state.read_state(directory)
    if recorded is None or recorded.boot != boot_id():  # an id of an earlier boot may be another process's
        return False
    pidfd = recorded.monitor.open()
    if pidfd is None:
        return False
    target = (recorded.init or recorded.monitor).open()
    if target is not None:
        signal.pidfd_send_signal(target, signal.SIGKILL)
        os.close(target)
    await_end(pidfd, 30.0)
    os.close(pidfd)
    return True


def _start_monitor(lab: Lab, binaries: Binaries, directory: Path) -> subprocess.Popen[bytes]:
    rootful = linux.may_make_namespaces()
    nodes = topology.nodes(lab)
    credentials = issue_credentials(lab, nodes)
    tools = plan_builder.Tools(binaries, binaries.cni_dir, binaries.coredns, binaries.version)
    with _kubectl_port(lab) as kubectl, rpc.listen(directory / state.SOCKET) as command:
        server = f"https://127.0.0.1:{kubectl.getsockname()[1]}"
        write_atomically(
            directory / state.KUBECONFIG,
            kubeconfig(f"kubewire-{lab.name}", server, credentials.authority, credentials.admin),
        )
        descriptors = kubectl.fileno(), command.fileno()
        order = Order(
            plan_builder.make_plan(lab, credentials, tools, rootful=rootful),
            binaries.version,
            lab.model_dump(mode="json"),
            tuple(NodeRecord(node.name, node.role, tuple(node.ips)) for node in nodes),
            *descriptors,
        )
        return monitor.start(MODULE, lab.name, order, directory / state.MONITOR_LOG, descriptors)


def _kubectl_port(lab: Lab) -> socket.socket:
    listener = socket.socket(socket.AF_INET, socket.SOCK_STREAM)
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        listener.bind(("127.0.0.1", lab.api_server_port))
    except OSError as error:
        listener.close()
        raise HostError(
            f"port {lab.api_server_port} of 127.0.0.1 is not free for the apiserver: {error.strerror}",
            where=f"lab {lab.name}, apiServerPort",
            hint="end what listens there (see ss -ltnp), or leave apiServerPort out to take any free port",
        ) from error
    listener.listen(128)
    return listener


def wait(name: str, directory: Path, started: subprocess.Popen[bytes] | None = None) -> None:
    """Wait until every component runs; LabError as soon as one has finally failed."""
    deadline = time.monotonic() + scaled(DEADLINE)
    shown = -1
    while True:
        found = _components(directory)
        if started is not None and started.poll() is not None:
            raise _died(name)
        for component, unit in found.items():
            if unit.state == "failed":
                raise component_failed(name, directory, component, unit.reason)
        running = [component for component, unit in found.items() if unit.state == "running"]
        if len(running) != shown:
            shown = len(running)
            missing = [component for component in found if component not in running]
            emit(_STEP, _waiting_for(missing), shown, len(found) or None)
        if found and len(running) == len(found):
            return
        if time.monotonic() > deadline:
            slow = next(component for component in found or ("",) if component not in running)
            raise LabError(
                f"{slow or 'the sandbox'} was not ready within {scaled(DEADLINE):.0f} s",
                where=f"lab {name}",
                hint=component_log(directory, slow) if slow else "is the machine overloaded?",
            )
        time.sleep(scaled(_POLL))


def _components(directory: Path) -> dict[str, control.Unit]:
    try:
        return control.call(
            directory, control.Request("status"), control.SandboxStatus, timeout=2.0
        ).components
    except OSError:
        return {}


def _waiting_for(missing: list[str]) -> str:
    return f"waiting for {', '.join(missing[:3])}{' …' if len(missing) > 3 else ''}" if missing else ""


def component_failed(name: str, directory: Path, component: str, reason: str) -> LabError:
    """The error of a component that the supervisor no longer restarts, with the end of its log."""
    return LabError(
        f"{component} {reason}",
        where=f"lab {name}",
        hint=_last_words(component_log(directory, component)),
    )


def component_log(directory: Path, component: str, lines: int = 12) -> str:
    """The end of a component's log, or why it can't be read."""
    try:
        return control.call(directory, control.Request("logs", component, lines=lines), control.Log).log
    except (OSError, ValueError) as error:
        return f"(no log: {error})"


def _died(name: str) -> LabError:
    log = state.post_mortem(name) / state.MONITOR_LOG
    words = "\n".join(last_lines(log, 12))
    return LabError(
        "the lab's sandbox ended while it was being created",
        where=f"lab {name}",
        hint=f"the end of its log ({log.parent}):\n{words}" if words else "",
    )


def _last_words(log: str) -> str:
    """The end of a component's log; a fix if it shows a limit of the machine."""
    words = f"the end of its log:\n{log}"
    if "inotify" in log or "fsnotify" in log:
        words += (
            "\n  this machine allows too few inotify instances for all that runs on it:"
            " sysctl -w fs.inotify.max_user_instances=1024"
        )
    return words


def _wait_for_nodes(lab: Lab, directory: Path) -> None:
    """Wait until every node is registered, has its pod CIDR and accepts pods; then for DNS, if set."""
    from kubewire.cluster.api import Api, ApiError
    from kubewire.cluster.readiness import takes_pods

    deadline = time.monotonic() + scaled(DEADLINE)
    wanted = {node.name for node in topology.nodes(lab)}
    with Api(directory / state.KUBECONFIG) as api:
        while True:
            try:
                listed, trouble = api.get("/api/v1/nodes")["items"], ""
            except ApiError as error:
                listed, trouble = [], f"; {error}"
            usable = [node for node in listed if takes_pods(node) and node["spec"].get("podCIDR")]
            ready = {node["metadata"]["name"] for node in usable}
            if ready >= wanted:
                break
            if time.monotonic() > deadline:
                missing = ", ".join(sorted(wanted - ready))
                raise LabError(
                    f"not Ready within {scaled(DEADLINE):.0f} s: {missing}{trouble}",
                    where=f"lab {lab.name}",
                    hint=f"the end of the node agent's log:\n{component_log(directory, 'node-agent')}",
                )
            time.sleep(scaled(_POLL))
        if lab.dns:
            from kubewire.providers.netns.dns import coredns_manifests

            for manifest in coredns_manifests(cluster_dns_ip(lab)):
                api.apply(manifest)
