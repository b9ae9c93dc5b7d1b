"""`python -m kubewire.providers.netns.agent --config FILE`: run the agent until it gets SIGTERM."""

from __future__ import annotations

import argparse
import logging
import os
import signal
import sys
import threading
import time
from functools import partial
from pathlib import Path

from kubewire.cluster.api import Api, ApiError
from kubewire.core import console
from kubewire.core.errors import KubewireError
from kubewire.core.timeouts import scaled
from kubewire.providers.netns import agent_control
from kubewire.providers.netns.agent import kubelet, nodes, repair
from kubewire.providers.netns.agent.context import Machine
from kubewire.providers.netns.agent.namespaces import set_sysctls
from kubewire.providers.netns.agent.pods import Pods, clear_predecessor
from kubewire.providers.netns.agent_config import Config, load

log = logging.getLogger("kubewire.providers.netns.agent")
REQUEST_SECONDS = 10.0


def main() -> int:
    parser = argparse.ArgumentParser(prog="kubewire.providers.netns.agent", description=__doc__)
    parser.add_argument("--config", type=Path, required=True)
    arguments = parser.parse_args()
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(levelname)s %(message)s", stream=sys.stderr)
    logging.getLogger("httpx").setLevel(logging.WARNING)
    signal.signal(signal.SIGTERM, lambda *_: os._exit(0))  # the pods die with their threads
    threading.stack_size(512 * 1024)
    try:
        config = load(arguments.config)
        run(config)
    except KubewireError as error:
        console.err(str(error))
        return error.exit_code
    return 0


def run(config: Config) -> None:
    """Register the nodes, set up their network, then follow the pods; returns only by an exception."""
    config.run_dir.mkdir(parents=True, exist_ok=True)
    config.run_dir.chmod(0o700)  # it holds pods' volumes, with Secrets among them
    api = Api(config.kubeconfig, timeout=REQUEST_SECONDS)
    machine = Machine(config, api)
    _wait_until_ready(api)
    for node in config.nodes:
        machine.cidrs[node.name] = nodes.register(api, config, node)
        log.info("node %s has %s", node.name, ", ".join(machine.cidrs[node.name]))
    clear_predecessor(machine)
    for node in config.nodes:
        if machine.ipv6:
            set_sysctls(node.netns, {"ipv6/conf/default/accept_dad": "0"})
        repair.program(machine, node)
    pods = Pods(machine)
    kubelet.serve(config, pods)
    agent_control.serve(config.run_dir / agent_control.SOCKET, partial(_repair, machine, pods))
    stop = threading.Event()
    threading.Thread(target=nodes.beat, args=(api, config, stop), name="heartbeat", daemon=True).start()
    pods.follow()


def _repair(machine: Machine, pods: Pods, request: agent_control.Repair) -> agent_control.Repaired:
    node = machine.config.node(request.node)
    if node is None:
        known = ", ".join(node.name for node in machine.config.nodes)
        raise ValueError(f"no node {request.node!r}; there are {known}")
    return agent_control.Repaired(repair.repair(machine, node, pods.workers(), check=request.check))


def _wait_until_ready(api: Api) -> None:
    """Wait for the apiserver; each reason is logged once."""
    told = ""
    while True:
        try:
            api.get("/readyz")
        except ApiError as error:
            if error.status in (401, 403):
                raise
            if error.what != told:
                told = error.what
                log.info("waiting for the apiserver: %s", told)
            time.sleep(scaled(0.05))
        else:
            return


if __name__ == "__main__":
    sys.exit(main())
