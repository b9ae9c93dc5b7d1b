"""Become a command on a node. No Ansible, and only light imports: it starts in a blink."""

from __future__ import annotations

import os
import shutil
from collections.abc import Sequence
from typing import NoReturn

from kubewire.core.errors import DefinitionError, LabError
from kubewire.lab.lookup import lab_name
from kubewire.providers.base import find_node
from kubewire.providers.registry import recorded_provider

SYSTEM_PATH = "/usr/local/sbin:/usr/sbin:/sbin"


def enter(lab: str, node: str, command: Sequence[str], *, prompt: str = "") -> NoReturn:
    """Replace this process by the command on that node.

    Raises LabError (exit 4) for a lab that isn't up and DefinitionError (exit 2) for an unknown node or
    command.
    """
    name = lab_name(lab)
    handle = find_node(name, node, recorded_provider(name).nodes(name))
    if handle.prefix[:2] == ("docker", "exec"):
        _enter_container(handle.prefix, handle.name, command, prompt)
    path = os.pathsep.join([os.environ.get("PATH", os.defpath), SYSTEM_PATH])
    if not shutil.which(command[0], path=path):
        raise DefinitionError(f"there is no command {command[0]!r} on {handle.name}")
    environment = os.environ | {"PATH": path} | ({"PS1": f"{prompt} \\w # "} if prompt else {})
    _become([*handle.prefix, *command], environment, handle.name)


def _enter_container(prefix: Sequence[str], node: str, command: Sequence[str], prompt: str) -> NoReturn:
    """The node's own commands and environment, and a terminal where this process has one."""
    *docker, container = prefix
    terminal = ["-t"] if os.isatty(0) and os.isatty(1) else []
    variables = ["-e", f"PS1={prompt} \\w # "] if prompt else []
    _become([*docker, *terminal, *variables, container, *command], dict(os.environ), node)


def _become(argv: list[str], environment: dict[str, str], node: str) -> NoReturn:
    try:
        os.execvpe(argv[0], argv, environment)  # noqa: S606 - the point: no shell
    except OSError as error:
        raise LabError(f"{argv[0]}: {error.strerror}", where=node) from error
