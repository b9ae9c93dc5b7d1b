"""Action `kubewire.lab.cluster`; documented in plugins/modules/cluster.py."""

from __future__ import annotations

from typing import Any, ClassVar

from ..plugin_utils.step import DEFINITION, Step


class ActionModule(Step):
    STEP = "cluster"
    ARGUMENTS: ClassVar[dict[str, Any]] = DEFINITION | {
        "recreate": {"type": "bool", "default": False},
        "keep": {"type": "bool", "default": False},
    }
