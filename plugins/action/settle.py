"""Action `kubewire.lab.settle`; documented in plugins/modules/settle.py."""

from __future__ import annotations

from ..plugin_utils.step import Step


class ActionModule(Step):
    STEP = "settle"
