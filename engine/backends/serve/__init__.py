"""A voice that speaks in a process of its own, with an interpreter of its own, behind the `SpeechModel` protocol.

`engine.serving` is the other end of the pipe.
"""
