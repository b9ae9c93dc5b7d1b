"""Action `kubewire.lab.node_tools`; documented in plugins/modules/node_tools.py."""

from __future__ import annotations

from typing import Any

from kubewire.app.steps.node_tools import tell_tools

from ..plugin_utils.step import Step


class ActionModule(Step):
    def perform(self, arguments: dict[str, Any]) -> dict[str, Any]:
        node = self._task_vars["inventory_hostname"]
        outcome = tell_tools(arguments["lab"], node, self._on_node, check=self.check)
        return outcome.result(check=self.check)

    def _on_node(self, command: str) -> str:
        answer = self._low_level_execute_command(command, sudoable=False)
        return str(answer["stdout"])
