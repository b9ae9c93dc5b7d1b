"""Run a command on a node in place of this process. Light imports only, so that it starts fast."""

from __future__ import annotations

import os
import shutil
from collections.abc import Sequence
from typing import NoReturn

from kubewire.core.errors import LabError
from kubewire.providers.base import find_node
from kubewire.providers.registry import recorded_provider


def enter(name: str, node: str, command: Sequence[str], *, prompt: str = "") -> NoReturn:
    """Replace this process by the command on that node.

    Raises LabError (exit 4) for a lab that isn't up and DefinitionError (exit 2) for an unknown node or
    command.
    """
    provider = recorded_provider(name)
    handle = find_node(name, node, provider.nodes(name))
    argv, environment = provider.entry(handle, command, prompt)
    try:
        os.execvpe(argv[0], argv, environment)  # noqa: S606 - without a shell on purpose
    except OSError as error:
        raise LabError(f"{argv[0]}: {error.strerror}", where=handle.name) from error


def shell(name: str, node: str) -> NoReturn:
    """As `enter`, with a shell; its prompt has the lab and the node."""
    enter(name, node, [shutil.which("bash") or "/bin/sh"], prompt=f"{name}/{node}")
