"""Action `kubewire.lab.verify`; documented in plugins/modules/verify.py."""

from __future__ import annotations

from typing import Any, ClassVar

from ..plugin_utils.step import LAB, Step


class ActionModule(Step):
    STEP = "verify"
    ARGUMENTS: ClassVar[dict[str, Any]] = LAB | {"report": {"type": "path"}}
