"""Qwen3-TTS 0.6B and 1.7B (Alibaba, Apache 2.0): one sequence of text and codes, summed; a small predictor of the codes
within a frame.

The classes are those of the `qwen_tts` package, which wants an environment of its own; the weights are in a folder that
people bring. Nothing here uses upstream's training step, which is wrong in four places (docs/models/qwen3_tts.md).
"""
