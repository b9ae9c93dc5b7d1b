"""Action `kubewire.lab.commit`; documented in plugins/modules/commit.py."""

from __future__ import annotations

from typing import Any

from kubewire.steps.cluster import commit_cluster
from kubewire.steps.outcome import Outcome

from ..plugin_utils.step import Step


class ActionModule(Step):
    def step(self, arguments: dict[str, Any]) -> Outcome:
        return commit_cluster(**arguments, check=self.check)
