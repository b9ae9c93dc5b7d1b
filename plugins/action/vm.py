"""Action `kubewire.lab.vm`; documented in plugins/modules/vm.py."""

from __future__ import annotations

from typing import Any, ClassVar

from ..plugin_utils.step import LAB, Step


class ActionModule(Step):
    STEP = "vm"
    ARGUMENTS: ClassVar[dict[str, Any]] = LAB | {"overrides": {"type": "dict", "default": {}}}
