"""kubewire: labs that show, and prove, how Kubernetes networking really works on a node."""

__version__ = "0.1.0"
