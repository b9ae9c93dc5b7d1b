"""The node agent: replaces kubelet and kindnet on every node of a lab, in one process."""
