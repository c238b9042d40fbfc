"""One module a verb: `arguments(parser)` declares its flags, `run(args)` does it."""
