"""VoxCPM 1.5 and 2 (OpenBMB, Apache 2.0): text and patches of audio latents in one sequence, a diffusion head a patch.

The classes are those of the `voxcpm` package; the weights are in a folder that people bring.
"""
