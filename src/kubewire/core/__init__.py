"""What everything else stands on: files, processes, and text that is safe to print."""
