"""The gate before the first step: a base that knows no more than one without its weights is not trained.

Knows the losses of the untouched base on the run's own rows, and that a person may answer for them by name. What such
losses mean, `monitors` says; weights whose names do not fit were refused before, while the backend loaded them.
"""

from __future__ import annotations

from engine import monitors
from engine.train import steps
from engine.train.session import Session
from engine.train.steps import Losses
from engine.types import Refused


def must_be_loaded(session: Session, validated: Losses | None) -> None:
    """Raises Refused where the base starts as a model without its weights would, unless the run says who accepts it.

    `validated` is the base's validation; where no row is held out, some of those to train on are looked at instead.
    """
    if not session.unloaded_loss:
        return
    doubt = monitors.unloaded(session.unloaded_loss, (validated or steps.first_look(session)).parts)
    if doubt is None:
        return
    if not session.config.weights_accepted_by:
        raise Refused(
            f"{doubt} Nothing was trained. Should it be so, start the run with your name under Weights accepted by."
        )
    session.journal.say("note", text=f"{doubt} {session.config.weights_accepted_by} accepted that.")
