"""Action `kubewire.lab.verify`; documented in plugins/modules/verify.py."""

from __future__ import annotations

from typing import Any, ClassVar

from ansible_collections.kubewire.lab.plugins.plugin_utils.step import LAB, Step

from kubewire.steps.outcome import Outcome
from kubewire.steps.verify import verify_lab


class ActionModule(Step):
    ARGUMENTS: ClassVar[dict[str, Any]] = LAB | {"report": {"type": "path"}}

    def step(self, arguments: dict[str, Any]) -> Outcome:
        return verify_lab(**arguments)
