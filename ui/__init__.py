"""The pages of Earmark: one file a page, each `build(studio)`; what they show is made in `view` and `figures`.

A handler reads its form, makes one call on the studio and shows the result. Pages never import one another, and
nothing here does an engine's work.
"""
