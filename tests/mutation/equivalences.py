"""Why a mutation need not be found: each reason is the kernel's or kube-proxy's, none is verify's.

They are not taken on trust: probe packets traced through each survivor must end as in the healthy dump.
"""

from __future__ import annotations

REASONS = {
    "counters": "Packet counters say what passed, not what will. `iptables-save` prints them or not.",
    "handles": "The kernel numbers nftables objects by itself, in the order in which they were made.",
    "unreachable": "No packet gets there: no base chain leads to this chain, or no such chain uses this set. "
    "kube-proxy itself leaves chains behind for a while (large clusters, nftables' delayed deletion).",
    "element order": "Sets and maps are looked up by key; the kernel keeps no order in them.",
    "service order": "Rules of different Services in a shared chain match different addresses or ports; "
    "kube-proxy writes them in the order of a Go map, another one at each sync.",
    "jump order": "kube-proxy puts each of its jumps into a built-in chain by itself, in front of what is "
    "there; which comes first depends on what was there already.",
    "affinity entry": "The kernel remembers clients in this set; kube-proxy writes none of its elements.",
    "comment": "A comment decides nothing. Where kube-proxy owns the object, one that it never writes is "
    "found all the same; in large clusters and after a partial sync it may be the old one.",
    "canary": "KUBE-PROXY-CANARY is empty and nothing leads there; its absence makes kube-proxy write anew.",
    "declared empty": "An empty chain returns at once, as does one that is not there and never jumped to.",
    "source ranges": "Rules of a KUBE-FW- chain let different source ranges in; whichever comes first, the "
    "same clients get in.",
    "same verdict": "Two neighbouring rules do the same to what they match; whichever comes first does it.",
    "different protocols": "Two neighbouring rules match different protocols; no packet meets both.",
    "foreign order": "Rules of other owners in built-in chains stand where their owners put them.",
    "twin rule": "The same rule twice in a row: what the first does not decide, the second does not either.",
    "no packet": "Another owner's rule that no packet to a Service meets: in front of DNAT, or behind it.",
    "to the node": "No Service's endpoint is the node itself, so no new connection ends there.",
    "foreign table": "Another table of another owner.",
    "set growth": "The kernel sizes a set's hash by itself, as members come and go.",
    "leaving": "A TCP real server of weight 0 gets no new connection; kube-proxy takes it away when the old "
    "ones end (pkg/proxy/ipvs/graceful_termination.go).",
    "server order": "ipvs looks virtual servers up by address; real servers have no order that counts.",
    "foreign set": "An ipset that no rule of kube-proxy's names.",
    "address order": "Addresses of kube-ipvs0 have no order that counts.",
}
