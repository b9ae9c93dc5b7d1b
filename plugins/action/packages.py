"""Action `kubewire.lab.packages`; documented in plugins/modules/packages.py."""

from __future__ import annotations

from typing import Any, ClassVar

from ..plugin_utils.step import DEFINITION, Step


class ActionModule(Step):
    STEP = "packages"
    ARGUMENTS: ClassVar[dict[str, Any]] = DEFINITION | {
        "install": {"type": "bool", "default": True},
        "become": {"type": "bool", "default": False},
    }
