"""The base of this collection's actions: one call into the Python package, its outcome as a task result."""

from __future__ import annotations

from typing import Any, ClassVar

from ansible.plugins.action import ActionBase

from kubewire.errors import KubewireError, refusal
from kubewire.steps.outcome import Outcome

LAB: dict[str, Any] = {"lab": {"type": "str", "required": True}}
DEFINITION: dict[str, Any] = LAB | {
    "overrides": {"type": "dict", "default": {}},
    "provider": {"type": "str", "default": "auto", "choices": ["auto", "netns", "kind"]},
}


class Step(ActionBase):  # type: ignore[misc]
    """Runs `step(arguments)` on the controller; `check` says that nothing may change.

    Its outcome's changes make `changed`; a KubewireError is the task's failure with its real message
    and `kubewire_exit_code`.
    """

    ARGUMENTS: ClassVar[dict[str, Any]] = LAB
    _requires_connection = False

    @property
    def check(self) -> bool:
        return bool(self._task.check_mode)

    def step(self, arguments: dict[str, Any]) -> Outcome:
        raise NotImplementedError

    def run(self, tmp: str | None = None, task_vars: dict[str, Any] | None = None) -> dict[str, Any]:
        result: dict[str, Any] = super().run(tmp, task_vars)
        self._task_vars = task_vars or {}
        _, arguments = self.validate_argument_spec(argument_spec=self.ARGUMENTS)
        try:
            outcome = self.step(arguments)
        except KubewireError as error:
            return result | failure(error)
        except OSError as error:
            if refused := refusal(error):
                return result | failure(refused)
            raise
        return result | outcome.result()


def failure(error: KubewireError) -> dict[str, Any]:
    """The task result of an error."""
    return {
        "failed": True,
        "msg": str(error),
        "kubewire_error": {"what": error.what, "where": error.where, "mend": error.mend},
        "kubewire_exit_code": error.exit_code,
    }
