"""What the playbooks do, step by step, as plain functions; the collection's plugins only call these."""
