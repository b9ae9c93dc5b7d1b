"""Action `kubewire.lab.commit`; documented in plugins/modules/commit.py."""

from __future__ import annotations

from typing import Any

from ansible_collections.kubewire.lab.plugins.plugin_utils.step import Step

from kubewire.steps.cluster import commit_cluster
from kubewire.steps.outcome import Outcome


class ActionModule(Step):
    def step(self, arguments: dict[str, Any]) -> Outcome:
        return commit_cluster(**arguments, check=self.check)
