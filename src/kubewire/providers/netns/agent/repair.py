"""Restore what the agent programmed on a node. This runs only on request, never on a timer."""

from __future__ import annotations

import json
from collections.abc import Iterable

from kubewire.dataplane import host_ports
from kubewire.dataplane.core.findings import FAMILIES
from kubewire.dataplane.core.pods import read_pod
from kubewire.dataplane.iptables import names
from kubewire.dataplane.node_network import nat_lines, pod_addresses
from kubewire.providers import masquerade
from kubewire.providers.netns.agent import routes
from kubewire.providers.netns.agent.commands import run
from kubewire.providers.netns.agent.context import Machine
from kubewire.providers.netns.agent.pod import PodWorker
from kubewire.providers.netns.agent.routes import Route, within
from kubewire.providers.netns.agent.sandbox import Sandbox
from kubewire.providers.netns.agent_config import POD_NETWORK, Node


def program(machine: Machine, node: Node) -> list[str]:
    """Restore the node's routes to the other nodes' pods, and masquerade; descriptions of the changes."""
    expected = routes.cidr_routes(node, machine.others(node))
    own = machine.cidrs[node.name]
    seen = [r for r in _observed(machine, node) if not any(within(r.destination, cidr) for cidr in own)]
    calls = routes.mends(expected, seen)
    routes.apply(node, (call.argv for call in calls))
    return [call.text for call in calls] + ensure_masquerade(node, machine.config.pod_subnets)


def repair(machine: Machine, node: Node, workers: Iterable[PodWorker], *, check: bool = False) -> list[str]:
    """As `program`, and restore the connection to each pod on the node; descriptions of the repairs.

    With `check` nothing is changed, and the descriptions say what would be.
    """
    with machine.networks[node.name]:
        return _repair(machine, node, workers, check=check)


def _repair(machine: Machine, node: Node, workers: Iterable[PodWorker], *, check: bool) -> list[str]:
    mended: list[str] = []
    here = [worker for worker in workers if worker.node == node and worker.sandbox is not None]
    links = _links(node)
    expected = routes.cidr_routes(node, machine.others(node))
    for worker in here:
        box = worker.sandbox
        if box is None or box.attachment is None:
            continue
        if box.attachment.veth not in links:
            if not check:
                box.reattach()
            mended.append(f"a new veth {box.attachment.veth} for pod {worker.key}")
        else:
            mended += _mend_link(
                node, box.attachment.veth, box.attachment.gateways, links, worker.key, check=check
            )
        mended += _mend_host_ports(machine, node, box, check=check)
        expected += [routes.pod_route(ip, box.attachment.veth) for ip in box.attachment.ips]
    calls = routes.mends(expected, _observed(machine, node))
    if not check:
        routes.apply(node, (call.argv for call in calls))
    mended += [call.text for call in calls]
    return mended + ensure_masquerade(node, machine.config.pod_subnets, check=check)


def ensure_masquerade(node: Node, pod_subnets: Iterable[str], *, check: bool = False) -> list[str]:
    """Repair the node's masquerade rules; descriptions of the repairs, with `check` only planned."""
    done: list[str] = []
    for wanted in masquerade.declared(pod_subnets):
        tool = names.tool(wanted.family)
        saved = run([*node.enter(), f"{tool}-save", "-t", "nat"])
        text, mended = masquerade.restore_input(wanted, saved)
        if text and not check:
            run([*node.enter(), f"{tool}-restore", "--wait", "5", "--noflush"], stdin=text)
        done += [f"{tool}: {what}" for what in mended]
    return done


def _mend_link(
    node: Node,
    veth: str,
    gateways: Iterable[str],
    links: dict[str, tuple[bool, set[str]]],
    pod: str,
    *,
    check: bool,
) -> list[str]:
    """Set a pod's veth up again and restore the gateway's address on it."""
    up, addresses = links[veth]
    mended, calls = [], []
    if not up:
        calls.append(["link", "set", veth, "up"])
        mended.append(f"veth {veth} of pod {pod} set up again")
    for gateway in gateways:
        if gateway not in addresses:
            prefix = 128 if ":" in gateway else 32
            calls.append(["address", "replace", f"{gateway}/{prefix}", "dev", veth])
            mended.append(f"address {gateway} of veth {veth} put back")
    if not check:
        routes.apply(node, calls)
    return mended


def _mend_host_ports(machine: Machine, node: Node, box: Sandbox, *, check: bool) -> list[str]:
    """Restore portmap's rules of a pod that has host ports."""
    pod, lost = read_pod({**box.pod, "status": {"podIPs": [{"ip": ip} for ip in box.ips]}}), False
    for ip, cidr in pod_addresses(pod, machine.cidrs[node.name]) if pod.host_ports else ():
        wanted = host_ports.rules(POD_NETWORK, pod, ip, cidr)
        saved = run([*node.enter(), f"{names.tool(FAMILIES[ip.version == 6])}-save", "-t", "nat"])
        lost = lost or (bool(wanted) and host_ports.found(wanted, nat_lines(saved)) != wanted)
    if lost and not check:
        box.map_ports()
    return [f"rules for the host ports of pod {pod.name} put back"] if lost else []


def _links(node: Node) -> dict[str, tuple[bool, set[str]]]:
    """Link name → whether it is up, and its addresses."""
    entries = json.loads(run([*node.enter(), "ip", "-j", "address", "show"]) or "[]")
    return {
        entry["ifname"]: ("UP" in entry["flags"], {a["local"] for a in entry["addr_info"] if "local" in a})
        for entry in entries
        if "ifname" in entry
    }


def _observed(machine: Machine, node: Node) -> list[Route]:
    return routes.observed(routes.table(node), machine.config.pod_subnets)
