"""How sure the answers make us: intervals, exact tests, preference strengths, agreement, stopping rules, screening.

Knows counts, names and numbers; no I/O, no torch, and scipy only when a function that needs it is called. One noun a
file. Each function names its source, and its test the published or exact number it must give.
"""
