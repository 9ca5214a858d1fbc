"""Makes Finch from scratch: data, ear, vocoder, tokenizer and decoder, language model, figures.

Run as `python -m engine.backends.finch.pretrain STAGE --work DIR`; the product never imports it.
"""
