"""Wait for every node's dataplane to match, and repair nodes that stay different."""

from __future__ import annotations

from kubewire.app.steps.cluster import living_record
from kubewire.app.steps.outcome import Outcome
from kubewire.core.errors import LabError
from kubewire.lab.lookup import lab_name, required_record
from kubewire.providers.registry import get_provider
from kubewire.verify.settle import look, settle


def settle_dataplane(lab: str, *, check: bool = False) -> Outcome:
    """Wait for the nodes to match the API objects; each repair is a change that names its node.

    With `check` the nodes are only compared; a lab that isn't up has none.
    """
    if not check:
        record = required_record(lab)
        return Outcome(settle(get_provider(record.provider), record))
    living = living_record(lab_name(lab))
    if living is None:
        return Outcome(message="the lab isn't up: there are no nodes to compare")
    provider = get_provider(living.provider)
    planned = [change for change in provider.up(living.lab, check=True) if not change.reported]
    try:
        return Outcome(look(provider, living, planned))
    except LabError as error:
        if not planned:
            raise
        return Outcome(message=f"the nodes can't be compared before the cluster is repaired: {error.what}")
