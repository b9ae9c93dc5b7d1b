"""Action `kubewire.lab.commit`; documented in plugins/modules/commit.py."""

from __future__ import annotations

from ..plugin_utils.step import Step


class ActionModule(Step):
    STEP = "commit"
