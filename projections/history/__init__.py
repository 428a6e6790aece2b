"""What happened to each client, entry by entry: the audit trail."""
