"""Measures of any network on any data set: what `dbot measure` shows without a plan, and what jobs of a plan record with receipts."""
