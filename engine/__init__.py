"""The engine of Earmark: everything but the pages.

Import rules (kept by `tests/test_architecture.py`): `app -> ui -> engine.studio -> the other modules ->
engine.backends -> engine.types`. Nothing here imports gradio, matplotlib or `ui`; importing `engine` alone imports no
torch.
"""
