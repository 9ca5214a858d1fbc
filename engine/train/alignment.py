"""The gate before the first step: a base that knows no more than one without its weights is not trained.

Knows the losses of the untouched base on the run's own rows, and that a person may answer for them by name. What such
losses mean, `monitors` says; whether they can be trusted, the backend; weights whose names do not fit were refused
before, while it loaded them.
"""

from __future__ import annotations

from engine import backends, monitors
from engine.train import steps
from engine.train.session import Session
from engine.train.steps import Losses
from engine.types import Refused


def must_be_loaded(session: Session, validated: Losses | None) -> None:
    """Raises Refused where the base starts as a model without its weights would, unless the run says who accepts it.

    `validated` is the base's validation; where no row is held out, some of those to train on are looked at instead.
    """
    if not backends.info(session.config.backend, session.config.base_model).refuses_unloaded:
        return  # what such a loss means for it is not sure: the curve is marked, and the run goes on
    doubt = monitors.unloaded(session.unloaded_loss, (validated or steps.first_look(session)).parts)
    if doubt is None:
        return
    if not session.config.weights_accepted_by:
        raise Refused(
            f"{doubt} Nothing was trained. Should it be so, start the run with your name under Weights accepted by."
        )
    session.journal.say("note", text=f"{doubt} {session.config.weights_accepted_by} accepted that.")
