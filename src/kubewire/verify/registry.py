"""The kinds of checks that verify adds to the dataplane's: id and a one-line title."""

from __future__ import annotations

TRAFFIC_KINDS: dict[str, str] = {
    "traffic.service": "The lab's Service is there",
    "traffic.clusterip": "Every request to the cluster IP is answered by a ready replica",
    "traffic.spread": "Requests spread over all ready replicas",
    "traffic.affinity": "With ClientIP affinity or a hashing scheduler a client stays with one replica",
    "traffic.ipvs-stats": "The kernel's count of connections agrees with the requests sent",
    "traffic.source.pod": "A pod's requests keep the pod's address",
    "traffic.source.node": "A node's requests arrive from an address of that node",
    "traffic.source.nodeport": "A node port's requests arrive from the node, or from the client where local",
    "traffic.hairpin": "A pod that reaches itself is masqueraded",
    "traffic.nodeport": "Every request to a node port is answered by a ready replica",
    "traffic.no-endpoints": "A Service without endpoints is refused at once",
    "traffic.local-only": "A Local policy drops what no replica on the node can answer",
}
