"""A stand-in, for tests: its tokenizer alone is used, and the package is never imported."""

raise AssertionError("the package is not to be imported: upstream's brings a compiler with it")
