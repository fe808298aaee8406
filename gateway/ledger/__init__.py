"""The ledger beyond the store: drained into a database, read as one with the stream, verified."""
