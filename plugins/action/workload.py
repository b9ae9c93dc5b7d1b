"""Action `kubewire.lab.workload`; documented in plugins/modules/workload.py."""

from __future__ import annotations

from typing import Any, ClassVar

from ..plugin_utils.step import LAB, Step


class ActionModule(Step):
    STEP = "workload"
    ARGUMENTS: ClassVar[dict[str, Any]] = LAB | {
        "timeout": {"type": "int", "default": 90},
        "overrides": {"type": "dict"},
        "anew": {"type": "bool", "default": False},
    }
