"""IndexTTS2 (bilibili): text and a reference to codes by a GPT-2, codes to a spectrogram by a flow, and a vocoder.

The classes are those of upstream's repository, which people bring, with its weights, and want an environment of their
own. Upstream publishes no training code: the training step here is Earmark's.
"""
