"""Speech models whose class is part of transformers: it trains, it speaks, and people bring its folder of weights.

families      what tells them apart: parts, Linears, classes, what a layer keeps in memory
info          a folder, before anything is loaded: what it holds, limits, sizes, identity
loading       the folder's classes, checked to the last tensor
prompts       texts through the folder's own chat template and tokenizer
feature_cache what the codec makes of a clip, kept on disk
drawing       each row's own noise
native        what all of them have in common as a `SpeechModel`
pocket_tts    Pocket TTS: continuous latents, a flow head
csm           CSM: codebooks, a backbone and a depth decoder
dia           Dia: a text encoder, a decoder of delayed channels, guidance
speech_model  `load`: which of them a name stands for
*_export      what an exported voice carries
"""
