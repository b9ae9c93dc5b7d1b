"""Action `kubewire.lab.remove`; documented in plugins/modules/remove.py."""

from __future__ import annotations

from ..plugin_utils.step import Step


class ActionModule(Step):
    STEP = "remove"
