"""Measurements of what Earmark promises to be fast at: `python -m benchmarks`.

Every figure that is compared comes from one run on one machine, measured in turns, so read the ratios; the seconds are
this machine's. Results are kept in `benchmarks/results/`.
"""
