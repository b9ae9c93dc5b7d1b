"""kube-proxy in ipvs mode: expected objects, parsing of ipset and ipvsadm, comparison."""
