"""What proves the work: receipts, the executions that they came from, the judge of what is current, provenance."""
