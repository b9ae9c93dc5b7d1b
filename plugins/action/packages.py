"""Action `kubewire.lab.packages`; documented in plugins/modules/packages.py."""

from __future__ import annotations

from typing import Any, ClassVar

from kubewire.steps.outcome import Outcome
from kubewire.steps.packages import find_missing

from ..plugin_utils.step import DEFINITION, Step


class ActionModule(Step):
    ARGUMENTS: ClassVar[dict[str, Any]] = DEFINITION | {
        "install": {"type": "bool", "default": True},
        "become": {"type": "bool", "default": False},
    }

    def step(self, arguments: dict[str, Any]) -> Outcome:
        return find_missing(**arguments)
