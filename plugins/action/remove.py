"""Action `kubewire.lab.remove`; documented in plugins/modules/remove.py."""

from __future__ import annotations

from typing import Any

from ansible_collections.kubewire.lab.plugins.plugin_utils.step import Step

from kubewire.steps.outcome import Outcome
from kubewire.steps.remove import remove_lab


class ActionModule(Step):
    def step(self, arguments: dict[str, Any]) -> Outcome:
        return remove_lab(**arguments, check=self.check)
