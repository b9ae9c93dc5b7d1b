"""The kind provider: the lab's nodes are containers of a real kind cluster.

Only light modules are imported here, since `kubewire exec` passes through; the others when they are needed.
"""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any

from kubewire.core import paths
from kubewire.core.errors import HostError, KubewireError, LabError
from kubewire.providers.base import Change, Entry, Finding, NodeHandle, Provider, Status
from kubewire.providers.kind import node, state

if TYPE_CHECKING:
    from kubewire.core.leftovers import Leftover
    from kubewire.core.progress import Progress
    from kubewire.dataplane.node_network import NodeNetwork
    from kubewire.lab.schema import Lab

PACKAGES = {"docker": "docker.io", "curl": "curl"}
"""What is called on this machine: by kind the docker command, by traffic checks curl."""


class KindProvider(Provider):
    name = "kind"
    rank = 10
    why = "a Docker engine answers"
    installs_tools = True
    shares_names = True
    builds_images = True

    def why_not_here(self) -> str:
        from kubewire.providers.kind.engine import why_silent

        return why_silent()

    def lacks_for(self, mode: str) -> str:
        from kubewire.providers.netns.preflight import lacks_for

        return lacks_for(mode)

    def missing_packages(self, modes: Iterable[str], tools: Iterable[str]) -> list[str]:  # noqa: ARG002
        """Tools are the nodes' own."""
        from kubewire.core import os_packages

        return os_packages.missing_packages(PACKAGES)

    def explained(self, why: str, lab: Lab) -> str:
        from kubewire.providers.kind.preflight import explained

        return explained(why, lab)

    def lab_problems(self, data: Mapping[str, Any]) -> Iterator[tuple[str, str]]:
        if data.get("controlPlane") is not None:
            yield (
                "controlPlane is for provider netns: a node image of kind holds one version of all",
                "controlPlane",
            )

    def rendered(self, lab: Lab) -> str:
        from kubewire.providers.kind.config import render_kind

        return render_kind(lab)

    def build_image(
        self, version: str, *, overlay: Path | None, output: Path | None, fresh: bool, progress: Progress
    ) -> str:
        from kubewire.providers.kind.node_image import make

        made = make(version, overlay=overlay, output=output, fresh=fresh, progress=progress)
        where = f"in {output}" if output else "in the Docker engine"
        return f"{made.node} and {made.httpbin} are {where} ({made.how})"

    def prefetch(self, lab: Lab, progress: Progress) -> list[str]:
        from kubewire.providers.kind.pull import prefetch

        return prefetch(lab, progress)

    def findings(self) -> Iterator[Finding]:
        yield Finding(f"provider {self.name}", "note", self.why_not_here() or self.why)

    def preflight(self, lab: Lab) -> None:
        from kubewire.providers.kind import preflight
        from kubewire.providers.kind.engine import engine

        with engine() as docker:
            preflight.require(lab, docker)

    def up(self, lab: Lab, *, check: bool = False, keep: bool = False) -> list[Change]:
        from kubewire.providers.kind import cluster
        from kubewire.providers.kind.engine import engine

        with engine() as docker:
            return cluster.up(lab, docker, check=check, keep=keep)

    def commit(self, name: str) -> None:
        """Wait until nodes, kube-proxy and DNS are really ready; from then on the cluster is kept."""
        recorded = state.read(name)
        if recorded is None or recorded.ready:
            return
        from kubewire.core.progress import emit
        from kubewire.lab.schema import Lab
        from kubewire.providers.kind.ready import pod_network, wait_until_ready

        wait_until_ready(Lab.model_validate(recorded.definition), self.kubeconfig(name), emit)
        state.mark_ready(name, pod_network(self.kubeconfig(name)))

    def abandon(self, name: str) -> None:
        """Remove a lab that never became ready; where the engine no longer answers that is left to `gc`."""
        recorded = state.read(name)
        if recorded and not recorded.ready and not recorded.kept:
            with suppress(KubewireError):
                self.down(name)
                shutil.rmtree(paths.lab_dir(name), ignore_errors=True)

    def down(self, name: str) -> bool:
        from kubewire.providers.kind import cluster
        from kubewire.providers.kind.engine import answers, engine

        if not state.exists(name):
            return False
        if not answers():
            raise HostError(
                f"lab {name} is on kind, and no Docker engine answers that could remove it",
                hint=f"start Docker, then: kubewire down {name}",
            )
        with engine() as docker:
            return cluster.remove(name, docker)

    def garbage(self) -> list[Leftover]:
        from kubewire.providers.kind import garbage
        from kubewire.providers.kind.engine import answers, engine

        if not answers():
            return []
        with engine() as docker:
            return garbage.find(docker)

    def left_alone(self) -> list[str]:
        from kubewire.providers.kind import engine, garbage

        labs = sorted(garbage.recorded())
        why = engine.why_silent() if labs else ""
        return [f"lab {name}: {why}, so its kind cluster can't be seen" for name in labs] if why else []

    def status(self, name: str) -> Status:
        recorded = state.read(name)
        if recorded is None:
            return Status(name, "absent")
        from kubewire.providers.kind.engine import engine

        with engine() as docker:
            states = {each.name: each.state for each in docker.nodes(name)}
        known = (name, self.name, recorded.kubernetes)
        if not recorded.ready:
            return Status(name, "starting" if recorded.nodes else "dead", *known[1:], "it never became ready")
        if not states:
            return Status(name, "dead", *known[1:], "its node containers are gone")
        wanted = [each.name for each in recorded.nodes]
        broken = [f"{each} is {states.get(each, 'gone')}" for each in wanted if states.get(each) != "running"]
        return Status(name, "failed" if broken else "ready", *known[1:], "; ".join(broken), states)

    def nodes(self, name: str) -> tuple[NodeHandle, ...]:
        return tuple(
            NodeHandle(
                each.name,
                "control-plane" if each.role == "control-plane" else "worker",
                node.prefix(each.name),
                each.ips,
            )
            for each in _living(name).nodes
        )

    def entry(self, node: NodeHandle, command: Sequence[str], prompt: str = "") -> Entry:
        """The node's own commands and environment, and a terminal where this process has one."""
        *docker, container = node.prefix
        terminal = ["-t"] if os.isatty(0) and os.isatty(1) else []
        variables = ["-e", f"PS1={prompt} \\w # "] if prompt else []
        return Entry([*docker, *terminal, *variables, container, *command], dict(os.environ))

    def install_tools(self, node: str, tools: Sequence[str]) -> None:
        from kubewire.providers.kind.tools import install

        install(node, tools)

    def restart_kube_proxy(self, name: str, node: str) -> None:
        from kubewire.providers.kind import repair

        repair.restart_kube_proxy(self.kubeconfig(name), node)

    def repair_network(self, name: str, node: str, *, check: bool = False) -> list[Change]:
        from kubewire.lab.schema import Lab
        from kubewire.providers.kind import node_network, repair
        from kubewire.providers.kind.engine import engine

        recorded = _living(name)
        with engine() as docker:
            here = [each for each in docker.nodes(name) if each.name == node]
            lab = Lab.model_validate(recorded.definition)
            changes = node_network.hint(lab, recorded, docker, here, check=check)
        routes = repair.repair_network(self.kubeconfig(name), node, check=check)
        return changes + [Change(node, what) for what in routes]

    def node_networks(self, lab: Lab) -> dict[str, NodeNetwork]:
        from kubewire.providers.kind import node_network
        from kubewire.providers.kind.engine import engine

        with engine() as docker:
            return node_network.declared(lab, _living(lab.name), docker.nodes(lab.name))

    def pod_prefix(self, name: str, namespace: str, pod: str) -> tuple[str, ...]:
        from kubewire.cluster.api import Api

        with Api(self.kubeconfig(name)) as api:
            found = api.get(f"/api/v1/namespaces/{namespace}/pods/{pod}")
        host = str(found["spec"].get("nodeName", ""))
        addresses = [str(each["ip"]) for each in found.get("status", {}).get("podIPs", ())]
        if not host or not addresses:
            raise LabError(f"pod {namespace}/{pod} has no address yet", where=f"lab {name}")
        if found["spec"].get("hostNetwork"):
            return node.prefix(host)
        space = node.pod_namespace(host, addresses)
        return (*node.prefix(host), "ip", "netns", "exec", space)

    def external_prefix(self, name: str) -> tuple[str, ...]:
        """This machine itself where the engine is its own; else a container in kind's network."""
        from kubewire.providers.kind.engine import connect
        from kubewire.providers.kind.records import NETWORK

        recorded, docker = _living(name), connect()
        try:
            if docker.local:
                return ()
        finally:
            docker.close()
        return ("docker", "run", "--rm", "-i", "--network", NETWORK, "--entrypoint", "", recorded.image)

    def kubeconfig(self, name: str) -> Path:
        _living(name)
        return paths.lab_dir(name) / state.KUBECONFIG


def _living(name: str) -> state.ClusterState:
    recorded = state.read(name)
    if recorded is None or not recorded.nodes:
        from kubewire.lab.lookup import not_up

        raise not_up(name)
    return recorded
