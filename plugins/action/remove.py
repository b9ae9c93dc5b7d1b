"""Action `kubewire.lab.remove`; documented in plugins/modules/remove.py."""

from __future__ import annotations

from typing import Any

from kubewire.steps.outcome import Outcome
from kubewire.steps.remove import remove_lab

from ..plugin_utils.step import Step


class ActionModule(Step):
    def step(self, arguments: dict[str, Any]) -> Outcome:
        return remove_lab(**arguments, check=self.check)
