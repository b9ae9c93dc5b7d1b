"""The argv prefixes that enter a sandbox from the host; light to import."""

from __future__ import annotations

import json
import os
from pathlib import Path

from kubewire.core.errors import LabError
from kubewire.core.processes import search_path
from kubewire.providers.netns.plan import AGENT, node_entry
from kubewire.providers.netns.state import SandboxState

PODS = f"{AGENT}/pods.json"
AGENT_SOCKET = f"{AGENT}/control.sock"


def sandbox_prefix(state: SandboxState) -> tuple[str, ...]:
    """Enter the sandbox's own namespaces: the bridge's side, outside the cluster."""
    return (*_common(state), "--mount", "--net", "--uts", "--", *_search_path())


def node_prefix(state: SandboxState, node: str) -> tuple[str, ...]:
    """Enter a node's namespaces: they are pinned, so no process needs to run in them."""
    return (*_common(state), *node_entry(node, root(state)), "--", *_search_path())


def pod_prefix(state: SandboxState, namespace: str, pod: str) -> tuple[str, ...]:
    """Enter a pod's network namespace, with the sandbox's files and tools. LabError for an unknown pod."""
    try:
        pods = json.loads(Path(f"{root(state)}{PODS}").read_text())
        path = pods[f"{namespace}/{pod}"]["netns"]
    except (OSError, ValueError, KeyError) as error:
        raise LabError(
            f"pod {namespace}/{pod} has no network namespace in this lab",
            where=state.lab,
            hint="see which pods run: kubectl get pods -A -o wide",
        ) from error
    return (*_common(state), "--mount", "--uts", f"--net={root(state)}{path}", "--", *_search_path())


def root(state: SandboxState) -> str:
    """The path of the sandbox's file system on the host. LabError while there is no PID 1."""
    return f"/proc/{_init_pid(state)}/root"


def _common(state: SandboxState) -> tuple[str, ...]:
    user = () if state.rootful else ("--user", "--preserve-credentials")
    return ("nsenter", f"--target={_init_pid(state)}", *user, "--pid", "--ipc")


def _search_path() -> tuple[str, ...]:
    path = search_path()
    return ("env", f"PATH={path}") if path != os.environ.get("PATH") else ()


def _init_pid(state: SandboxState) -> int:
    if state.init is None:
        raise LabError("the lab is still being created", where=state.lab, hint="try again in a moment")
    return state.init.pid
