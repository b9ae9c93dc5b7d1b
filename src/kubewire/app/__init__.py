"""The use cases (up, verify, down, list, gc, doctor, …) as functions for the CLI and the playbooks."""

from collections.abc import Iterable, Mapping
from typing import Any

from kubewire.core.provider_rules import hand_over


def _provider_problems(data: Mapping[str, Any]) -> Iterable[tuple[str, tuple[str, ...]]]:
    from kubewire.providers.registry import lab_problems

    return lab_problems(data)


hand_over(_provider_problems)
