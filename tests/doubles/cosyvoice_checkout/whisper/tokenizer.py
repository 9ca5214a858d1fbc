"""A stand-in, for tests: bytes, and a language's mark as one id behind them."""

import re

MARKS = {"<|en|>": 256, "<|zh|>": 257}


class Tokenizer:
    def encode(self, text, allowed_special=()):
        assert allowed_special == "all", "marks would be read as words"
        found = []
        for piece in re.split(r"(<\|[a-z]+\|>)", text):
            found += [MARKS[piece]] if piece in MARKS else list(piece.encode())
        return found


def get_tokenizer(multilingual, *, num_languages=99, language=None, task=None):
    return Tokenizer()
