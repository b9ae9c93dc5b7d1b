"""Action `kubewire.lab.binaries`; documented in plugins/modules/binaries.py."""

from __future__ import annotations

from typing import Any, ClassVar

from kubewire.app.steps.outcome import Outcome
from kubewire.app.steps.send_binaries import ship_binaries

from ..plugin_utils.step import LAB, Step


class ActionModule(Step):
    ARGUMENTS: ClassVar[dict[str, Any]] = LAB | {"overrides": {"type": "dict", "default": {}}}

    def perform(self, arguments: dict[str, Any]) -> dict[str, Any]:
        if not self.is_away:
            return Outcome().result()
        return ship_binaries(self.on_host, self.place(arguments), **arguments, check=self.check)
