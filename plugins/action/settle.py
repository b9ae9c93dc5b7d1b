"""Action `kubewire.lab.settle`; documented in plugins/modules/settle.py."""

from __future__ import annotations

from typing import Any

from kubewire.steps.outcome import Outcome
from kubewire.steps.settle import settle_dataplane

from ..plugin_utils.step import Step


class ActionModule(Step):
    def step(self, arguments: dict[str, Any]) -> Outcome:
        return settle_dataplane(**arguments, check=self.check)
