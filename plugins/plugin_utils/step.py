"""The base of this collection's actions: one step of kubewire, its outcome as a task result."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, ClassVar

from ansible.plugins.action import ActionBase

from kubewire.app.steps.registry import failure, perform
from kubewire.core.errors import KubewireError
from kubewire.core.printable import printable_values

if TYPE_CHECKING:
    from kubewire.hosts.ssh_target import Place

LAB: dict[str, Any] = {"lab": {"type": "str", "required": True}}
DEFINITION: dict[str, Any] = LAB | {
    "overrides": {"type": "dict", "default": {}},
    "provider": {"type": "str", "default": "auto"},
}


class Step(ActionBase):  # type: ignore[misc]
    """Runs STEP with the task's arguments: in this process, or by kubewire on the play's host.

    Its outcome's changes make `changed`; a KubewireError is the task's failure with its real message
    and `kubewire_exit_code`.
    """

    STEP: ClassVar[str] = ""
    ARGUMENTS: ClassVar[dict[str, Any]] = LAB

    @property
    def check(self) -> bool:
        return bool(self._task.check_mode)

    @property
    def is_away(self) -> bool:
        return str(self._connection.transport).rpartition(".")[2] != "local"

    def run(self, tmp: str | None = None, task_vars: dict[str, Any] | None = None) -> dict[str, Any]:
        result: dict[str, Any] = super().run(tmp, task_vars)
        self._task_vars = task_vars or {}
        _, arguments = self.validate_argument_spec(argument_spec=self.ARGUMENTS)
        try:
            found = self.perform(arguments)
            if not self._task.diff:
                found.pop("diff", None)
        except KubewireError as error:
            found = failure(error)
        return result | {key: printable_values(value) for key, value in found.items()}

    def perform(self, arguments: dict[str, Any]) -> dict[str, Any]:
        """The task result of the step."""
        if not self.is_away:
            return perform(self.STEP, arguments, check=self.check)
        from kubewire.app.steps.remote import perform_there

        return perform_there(self.on_host, self.place(arguments), self.STEP, arguments, check=self.check)

    def place(self, arguments: dict[str, Any]) -> Place:
        """The play's host, on which kubewire is; LabError where no lab was brought up on it."""
        from kubewire.hosts.records import place_with_python

        from .place import place_of

        return place_with_python(place_of(self._connection, self._task_vars), arguments["lab"])

    def on_host(self, command: str, data: bytes = b"") -> tuple[int, str, str]:
        """Run a shell command on the play's host; HostError where it can't be reached.

        Not through Ansible's own connection, which reads what a host sends without a bound.
        """
        from kubewire.hosts.remote import runner

        from .place import place_of, shared

        place = shared(place_of(self._connection, self._task_vars), self._connection)
        return runner(place)(command, data)
