"""The lineage of results in the words of others: PROV, RO-Crate, Mermaid."""
