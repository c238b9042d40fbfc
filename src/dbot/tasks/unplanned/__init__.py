"""What `dbot measure` measures: any network on any data set, outside of plans and receipts."""
