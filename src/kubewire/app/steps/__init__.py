"""The steps of the playbooks as plain functions; the collection's plugins only call these."""
