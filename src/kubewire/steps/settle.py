"""Every node's dataplane as it must be, mended where it stays different."""

from __future__ import annotations

from kubewire.providers import get_provider
from kubewire.steps.outcome import Outcome
from kubewire.steps.target import required_record
from kubewire.verify.settle import settle


def settle_dataplane(lab: str, *, check: bool = False) -> Outcome:
    """Wait for the nodes to agree with the API objects; each mend is a change that names its node.

    Not so with `check`: what a node lacks now may be only what the workload's drift has left open.
    """
    if check:
        return Outcome(message="the nodes aren't looked at in check mode")
    record = required_record(lab)
    return Outcome(settle(get_provider(record.provider), record))
