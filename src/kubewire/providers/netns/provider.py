"""The embedded provider: the lab's nodes are namespaces of this machine, with a real control plane.

Only light modules are imported here, since `kubewire exec` passes through; the others when they are needed.
"""

from __future__ import annotations

import shutil
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Literal

from kubewire.core import paths
from kubewire.core.errors import DefinitionError, LabError
from kubewire.core.proc import await_end
from kubewire.core.processes import search_path
from kubewire.providers.base import Change, Entry, Finding, NodeHandle, Phase, Provider, Status
from kubewire.providers.netns import entry, state

if TYPE_CHECKING:
    from kubewire.core.leftovers import Leftover
    from kubewire.core.progress import Progress
    from kubewire.dataplane.node_network import NodeNetwork
    from kubewire.lab.schema import Lab
    from kubewire.providers.netns import control


class NetnsProvider(Provider):
    name = "netns"
    rank = 20
    why = "the lab runs embedded on this machine"
    not_real = (
        "provider netns: kubelet, container runtime and kindnet are stand-ins; etcd, apiserver, "
        "controller-manager, scheduler, kube-proxy and the CNI plugins are real"
    )
    lab_bytes = 1200 << 20
    embedded = True
    uses_binaries = True

    def why_in_vm(self, lab: Lab) -> str:
        from kubewire.providers.netns.preflight import kernel_lacks

        lacking = kernel_lacks(lab)
        return f"this kernel has no {', '.join(lacking)}" if lacking else ""

    def lacks_for(self, mode: str) -> str:
        from kubewire.providers.netns.preflight import lacks_for

        return lacks_for(mode)

    def missing_packages(self, modes: Iterable[str], tools: Iterable[str]) -> list[str]:
        from kubewire.providers.netns.preflight import missing_packages

        return missing_packages(modes, tools)

    def require_possible(self, lab: Lab) -> None:
        from kubewire.providers.netns.preflight import require_all_but_packages

        require_all_but_packages(lab)

    def prefetch_plan(self, lab: Lab) -> Iterator[str]:
        from kubewire.binaries import supply

        plan = supply.plan(lab.kubernetes, control_plane=lab.control_plane, dns=lab.dns)
        yield from map(str, plan.steps)

    def prefetch(self, lab: Lab, progress: Progress) -> list[str]:
        from kubewire.binaries import supply

        found = supply.ensure(lab.kubernetes, control_plane=lab.control_plane, dns=lab.dns, progress=progress)
        return [f"Kubernetes {found.version} is in the cache"]

    def findings(self) -> list[Finding]:
        from kubewire.providers.netns.preflight import findings

        return findings()

    def preflight(self, lab: Lab) -> None:
        from kubewire.providers.netns.preflight import require

        require(lab)

    def up(self, lab: Lab, *, check: bool = False, keep: bool = False) -> list[Change]:  # noqa: ARG002
        """`keep` has no effect: a sandbox that isn't ready ends with its owner; its logs stay."""
        from kubewire.providers.netns import reconcile

        return reconcile.up(lab, check=check)

    def commit(self, name: str) -> None:
        _tell(name, "commit")

    def abandon(self, name: str) -> None:
        """Nothing to do: a sandbox that isn't ready ends with its owner."""

    def down(self, name: str) -> bool:
        from kubewire.providers.netns import removal

        return removal.remove_lab(name)

    def garbage(self) -> list[Leftover]:
        from kubewire.providers.netns import removal

        return removal.garbage(self.name)

    def left_alone(self) -> list[str]:
        from kubewire.providers.netns import removal

        return removal.left_alone()

    def status(self, name: str) -> Status:
        from kubewire.providers.netns import control, limits

        directory = paths.lab_dir(name)
        recorded = state.read_state(directory)
        if recorded is None:
            reason = _why_dead(name)
            return Status(name, "dead" if reason else "absent", reason=reason)
        if not recorded.alive():
            return Status(name, "dead", self.name, recorded.kubernetes, "what supervised it was killed")
        try:
            answer = control.call(directory, control.Request("status"), control.SandboxStatus)
        except OSError as error:
            return Status(
                name, "starting", self.name, recorded.kubernetes, f"it does not answer yet: {error}"
            )
        phase, reason = _phase(answer.components)
        components = {name: unit.state for name, unit in answer.components.items()}
        limited = limits.described(answer.limited, rootful=recorded.rootful)
        return Status(name, phase, self.name, recorded.kubernetes, reason, components, limited)

    def wait_until_gone(self, name: str) -> None:
        recorded = state.read_state(paths.lab_dir(name))
        pidfd = recorded.monitor.open() if recorded else None
        if pidfd is not None:
            await_end(pidfd)

    def nodes(self, name: str) -> tuple[NodeHandle, ...]:
        recorded = _living(name)
        return tuple(
            NodeHandle(
                node.name,
                "control-plane" if node.role == "control-plane" else "worker",
                entry.node_prefix(recorded, node.name),
                node.ips,
            )
            for node in recorded.nodes
        )

    def entry(self, node: NodeHandle, command: Sequence[str], prompt: str = "") -> Entry:
        """Nodes have this machine's commands."""
        argv, environment = super().entry(node, command, prompt)
        path = search_path()
        if not shutil.which(command[0], path=path):
            raise DefinitionError(f"there is no command {command[0]!r} on {node.name}")
        return Entry(argv, environment | {"PATH": path})

    def restart_kube_proxy(self, name: str, node: str) -> None:
        _tell(name, "restart", f"kube-proxy@{node}", cleanup=True, timeout=60.0)

    def repair_network(self, name: str, node: str, *, check: bool = False) -> list[Change]:
        from kubewire.core import rpc
        from kubewire.lab.schema import Lab
        from kubewire.providers.netns import agent_control, node_network

        recorded = _living(name)
        lab = Lab.model_validate(recorded.definition)
        changes = node_network.hint(lab, recorded, node, check=check)
        socket = Path(f"{entry.root(recorded)}{entry.AGENT_SOCKET}")
        try:
            answer = rpc.call(socket, agent_control.Repair(node, check), agent_control.Repaired, timeout=30.0)
        except (OSError, ValueError) as error:
            raise LabError(f"the node agent could not repair {node}: {error}", where=f"lab {name}") from error
        return changes + [Change(node, what) for what in answer.mended]

    def node_networks(self, lab: Lab) -> dict[str, NodeNetwork]:
        from kubewire.providers.netns import node_network

        return node_network.declared(lab)

    def pod_prefix(self, name: str, namespace: str, pod: str) -> tuple[str, ...]:
        return entry.pod_prefix(_living(name), namespace, pod)

    def external_prefix(self, name: str) -> tuple[str, ...]:
        return entry.sandbox_prefix(_living(name))

    def kubeconfig(self, name: str) -> Path:
        _living(name)
        return paths.lab_dir(name) / state.KUBECONFIG


def _living(name: str) -> state.SandboxState:
    recorded = state.read_state(paths.lab_dir(name))
    if recorded is None or not recorded.alive():
        from kubewire.lab.lookup import not_up

        raise not_up(name, _why_dead(name))
    return recorded


def _tell(
    name: str,
    command: Literal["commit", "restart"],
    component: str = "",
    *,
    cleanup: bool = False,
    timeout: float = 10.0,
) -> None:
    from kubewire.providers.netns import control

    _living(name)
    request = control.Request(command, component, cleanup=cleanup)
    try:
        control.call(paths.lab_dir(name), request, control.Done, timeout=timeout)
    except (OSError, ValueError) as error:
        raise LabError(f"{command}: {error}", where=f"lab {name}") from error


def _why_dead(name: str) -> str:
    logs = state.post_mortem(name)
    return f"it ended on its own; its last logs: {logs}" if logs.is_dir() else ""


def _phase(units: dict[str, control.Unit]) -> tuple[Phase, str]:
    """The lab's phase and, unless it is ready, the first component at fault."""
    for wanted, phase in (("failed", "failed"), ("stopped", "failed")):
        for name, unit in units.items():
            if unit.state == wanted:
                return phase, f"{name} {unit.reason or wanted}"  # type: ignore[return-value]
    for name, unit in units.items():
        if unit.state != "running":
            return "starting", f"{name} is {unit.state}"
    return "ready", ""
