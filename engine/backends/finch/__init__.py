"""Finch: the small built-in voice, trained from scratch on synthetic speech.

A teaching and test voice. Text becomes phonemes (`phonemes`), a causal language model turns
phonemes into 25 Hz speech tokens (`language_model`), a decoder with a speaker embedding turns
tokens into cepstra, F0 and voicing (`codec`), and a source-filter vocoder turns those into a
waveform (`vocoder`). A phoneme recogniser (`ear`) listens to the result.
"""
