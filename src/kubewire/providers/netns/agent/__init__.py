"""The node agent: stands in for kubelet and kindnet on every node of a lab, in one process."""
