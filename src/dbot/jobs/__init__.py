"""One module a kind of job: what it reads, uses and leaves, what it does, and what it costs. Declaring one loads no torch."""
