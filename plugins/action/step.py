"""The action of every module of this collection; meta/runtime.yml routes their names here."""

from __future__ import annotations

import shlex
from functools import cached_property
from typing import TYPE_CHECKING, Any

from ansible.plugins.action import ActionBase
from ansible.plugins.loader import fragment_loader, module_loader
from ansible.utils.plugin_docs import get_plugin_docs

from kubewire.app.steps.outcome import Outcome
from kubewire.app.steps.registry import failure, perform
from kubewire.core.errors import KubewireError
from kubewire.core.printable import printable_values

if TYPE_CHECKING:
    from ..plugin_utils.remote_host import RemoteHost


class ActionModule(ActionBase):  # type: ignore[misc]
    """Runs the step that the module is named after: in this process, or by kubewire on the play's host.

    The module's DOCUMENTATION says which arguments it takes. Changes set `changed`; a KubewireError
    fails the task with its message and `kubewire_exit_code`.
    """

    def run(self, tmp: str | None = None, task_vars: dict[str, Any] | None = None) -> dict[str, Any]:
        result: dict[str, Any] = super().run(tmp, task_vars)
        self._task_vars = task_vars or {}
        module = self._load_name = str(self._task.resolved_action)
        documentation = get_plugin_docs(module, "module", module_loader, fragment_loader, verbose=False)[0]
        _, arguments = self.validate_argument_spec(argument_spec=documentation["options"])
        try:
            found = self._perform(module.rpartition(".")[2], arguments)
            if not self._task.diff:
                found.pop("diff", None)
        except KubewireError as error:
            found = failure(error)
        return result | {key: printable_values(value) for key, value in found.items()}

    def _perform(self, step: str, arguments: dict[str, Any]) -> dict[str, Any]:
        """The task result of the step."""
        check = bool(self._task.check_mode)
        is_here = str(self._connection.transport).rpartition(".")[2] == "local"
        match step:
            case "node_tools":
                from kubewire.app.steps.node_tools import tell_tools

                node = self._task_vars["inventory_hostname"]
                return tell_tools(arguments["lab"], node, self._on_node, check=check).result(check=check)
            case "install":
                from ..plugin_utils.remote_host import install

                run = self._here if is_here else self._host.run
                return install(run, str(self._task_vars["inventory_hostname"]), **arguments, check=check)
            case "binaries" | "provision" if is_here:
                return Outcome().result()
        if is_here:
            return perform(step, arguments, check=check)
        return self._host.perform(step, arguments, check=check)

    @cached_property
    def _host(self) -> RemoteHost:
        from ..plugin_utils.remote_host import RemoteHost

        return RemoteHost(self._connection, self._task_vars)

    def _here(self, command: str, _data: bytes) -> tuple[int, str, str]:
        answer = self._low_level_execute_command(shlex.join(["sh", "-c", command]))
        return int(answer["rc"]), str(answer["stdout"]), str(answer["stderr"])

    def _on_node(self, command: str) -> str:
        return str(self._low_level_execute_command(command, sudoable=False)["stdout"])
