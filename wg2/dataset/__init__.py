"""The data set: its schema, the ledger that commits it, the plan of batches and the loader."""
