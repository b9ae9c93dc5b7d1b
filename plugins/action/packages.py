"""Action `kubewire.lab.packages`; documented in plugins/modules/packages.py."""

from __future__ import annotations

from typing import Any, ClassVar

from ansible_collections.kubewire.lab.plugins.plugin_utils.step import DEFINITION, Step

from kubewire.steps.outcome import Outcome
from kubewire.steps.packages import find_missing


class ActionModule(Step):
    ARGUMENTS: ClassVar[dict[str, Any]] = DEFINITION | {
        "install": {"type": "bool", "default": True},
        "become": {"type": "bool", "default": False},
    }

    def step(self, arguments: dict[str, Any]) -> Outcome:
        return find_missing(**arguments)
