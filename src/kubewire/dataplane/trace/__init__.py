"""Following a packet through a node's observed dataplane."""

from kubewire.dataplane.trace.tracing import Start, Trace, network_of, trace, trace_from
from kubewire.dataplane.trace.walk import Outcome, Path, Step

__all__ = ["Outcome", "Path", "Start", "Step", "Trace", "network_of", "trace", "trace_from"]
