"""A stand-in, for tests: the folder's tokenizer, with CosyVoice's marks behind its words."""

from transformers import AutoTokenizer

MARKS = ["<|im_start|>", "<|im_end|>", "<|endofprompt|>", "[breath]"]


class _Tokenizer:
    def __init__(self, path):
        self.tokenizer = AutoTokenizer.from_pretrained(path)
        self.tokenizer.add_special_tokens({"additional_special_tokens": MARKS})

    def encode(self, text, **_):
        return self.tokenizer([text])["input_ids"][0]


def get_qwen_tokenizer(token_path, skip_special_tokens, version="cosyvoice2"):
    return _Tokenizer(token_path)
