"""A bundle: a promoted voice as a folder that others can use, check and bring back.

    record      what a bundle says of itself: `voice.json`, `earmark.json`, the evidence behind the release
    writing     the folder, whole or not at all
    variants    the same voice for tools without a scale knob: scale baked in, or merged weights
    speaking    a bundle spoken through plain PEFT, as its own script does it
    checking    checksums, and that it still says what it said
    card        the model card
    plots       small figures as SVG

Knows folders, PEFT's format and checksums. Decides nothing: what may be released is `promotion`'s.
"""
