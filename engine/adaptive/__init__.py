"""Which pair to ask about next, and when to stop: exploration of candidates over epoch and `lora_scale`.

Pure: answers and random numbers in, a pair out; nothing is kept here. What these files find is exploration and is
called so: it chose what to ask by what it heard. What it recommends is confirmed by `confirmation`, a small fixed plan
whose answers alone count.
"""
