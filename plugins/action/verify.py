"""Action `kubewire.lab.verify`; documented in plugins/modules/verify.py."""

from __future__ import annotations

from typing import Any, ClassVar

from kubewire.steps.outcome import Outcome
from kubewire.steps.verify import verify_lab

from ..plugin_utils.step import LAB, Step


class ActionModule(Step):
    ARGUMENTS: ClassVar[dict[str, Any]] = LAB | {"report": {"type": "path"}}

    def step(self, arguments: dict[str, Any]) -> Outcome:
        return verify_lab(**arguments)
