"""Action `kubewire.lab.workload`; documented in plugins/modules/workload.py."""

from __future__ import annotations

from typing import Any, ClassVar

from kubewire.steps.outcome import Outcome
from kubewire.steps.workload import bring_workload

from ..plugin_utils.step import LAB, Step


class ActionModule(Step):
    ARGUMENTS: ClassVar[dict[str, Any]] = LAB | {"timeout": {"type": "int", "default": 90}}

    def step(self, arguments: dict[str, Any]) -> Outcome:
        return bring_workload(**arguments, check=self.check)
