"""Verbs about numbers that people bring: rank candidates, agreement of raters, whether to stop.

They need no workspace: a file in, an answer out.
"""

from __future__ import annotations

from argparse import ArgumentParser, Namespace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from engine import judgement_tables
from engine.cli.output import table
from engine.cli.verb import Answer, Verb
from engine.statistics import agreement, paired_model, stopping
from engine.statistics.agreement import MeasurementLevel
from engine.statistics.paired_model import Model

if TYPE_CHECKING:
    from engine.statistics.paired_model import Effect, PairedFit
    from engine.studio import Studio


# ----------------------------------------------------------------------------------------------------------------- rank
def _rank_arguments(parser: ArgumentParser) -> None:
    parser.add_argument("csv", type=Path, metavar="CSV", help="columns a,b,outcome (a, b or tie), optional rater,line")
    parser.add_argument("--model", choices=[m.value for m in Model], default=Model.DAVIDSON.value, help="(%(default)s)")
    parser.add_argument("--order-effect", action="store_true", help="estimate the advantage of a, played first")
    parser.add_argument(
        "--reference", default=paired_model.CENTRED, metavar="NAME", help="whose logit is 0 (default: centred)"
    )
    parser.add_argument(
        "--regularise",
        type=float,
        default=0.0,
        metavar="X",
        help="precision of a normal prior on each logit; 0 (default) is plain maximum likelihood",
    )


def _rank(studio: Studio, args: Namespace) -> Answer:
    found = paired_model.fit(
        judgement_tables.comparisons(args.csv),
        model=args.model,
        order_effect=args.order_effect,
        reference=args.reference,
        regularise=args.regularise,
    )
    return Answer(data=_rank_data(found), text=_rank_told(found))


def _rank_data(found: PairedFit) -> dict[str, Any]:
    fit = found.deviance
    is_plain = found.model is Model.BRADLEY_TERRY
    return {
        "estimates": {name: effect.estimate for name, effect in found.strengths.items()},
        "se": {name: effect.se for name, effect in found.strengths.items()},
        "intervals": {name: effect.interval for name, effect in found.strengths.items()},
        "tie_parameter": found.tie_parameter,
        "order_effect": _effect(found.order_effect),
        "deviance": fit.residual if is_plain else fit.minus_two_log_likelihood,
        "reference": found.reference,
        "model": found.model,
        "judgments": found.judgments,
        "ranking": found.ranking(),
        "se_plain": dict(found.plain_errors),
        "se_clustered_by": list(found.clustered_by),
        "minus_two_log_likelihood": fit.minus_two_log_likelihood,
        "residual_deviance": fit.residual,
        "residual_df": fit.residual_df,
        "null_deviance": fit.null,
        "null_df": fit.null_df,
        "aic": fit.aic,
        "separated": found.separated,
        "warnings": list(found.warnings),
    }


def _effect(effect: Effect | None) -> dict[str, object] | None:
    return None if effect is None else {"estimate": effect.estimate, "se": effect.se, "interval": effect.interval}


def _rank_told(found: PairedFit) -> str:
    rows = [
        (name, round(e.estimate, 3), round(e.se, 3), f"{e.interval.low:.2f} to {e.interval.high:.2f}")
        for name in found.ranking()
        for e in [found.strengths[name]]
    ]
    lines = [table(("candidate", "logit", "s.e.", "95 % interval"), rows, empty=""), ""]
    against = "their mean" if found.reference == paired_model.CENTRED else found.reference
    how = f", clustered by {' and '.join(found.clustered_by)}" if found.clustered_by else ""
    lines.append(
        f"{found.judgments} judgments; logits against {against}; {found.model} model; errors{how or ' plain'}."
    )
    if found.order_effect is not None:
        order = found.order_effect
        low, high = order.interval
        lines.append(f"Played first: {order.estimate:+.3f} logits, s.e. {order.se:.3f} ({low:.2f} to {high:.2f}).")
    if found.tie_parameter is not None:
        lines.append(f"Tie parameter {found.tie_parameter:.3f}.")
    fit = found.deviance
    lines.append(
        f"Residual deviance {fit.residual:.2f} on {fit.residual_df} degrees of freedom, null {fit.null:.2f} on "
        f"{fit.null_df}; -2 log likelihood {fit.minus_two_log_likelihood:.2f}."
    )
    return "\n".join([*lines, *(f"Note: {warning}" for warning in found.warnings)])


# ------------------------------------------------------------------------------------------------------------ agreement
def _agreement_arguments(parser: ArgumentParser) -> None:
    parser.add_argument("csv", type=Path, metavar="CSV", help="a row a rater, a column an item, empty where missing")
    parser.add_argument(
        "--level",
        choices=[level.value for level in MeasurementLevel],
        default=MeasurementLevel.NOMINAL.value,
        help="what differences of ratings mean (%(default)s)",
    )


def _agreement(studio: Studio, args: Namespace) -> Answer:
    level = MeasurementLevel(args.level)
    ratings = judgement_tables.ratings(args.csv, level)
    units = ratings.units()
    alpha = agreement.alpha(units, level)
    pairable = sum(len(unit) > 1 for unit in units)
    why = "" if alpha is not None else "no item has two ratings" if not pairable else "all ratings are alike"
    data = {
        "alpha": alpha,
        "level": level,
        "raters": len(ratings.raters),
        "items": len(ratings.items),
        "items_with_two_ratings": pairable,
        "warnings": [f"Agreement cannot be said: {why}."] if why else [],
    }
    counted = f"{len(ratings.raters)} raters, {len(ratings.items)} items, {pairable} of them rated by two or more"
    told = f"Krippendorff's alpha ({level}): {alpha:.4f}" if alpha is not None else f"No alpha: {why}"
    return Answer(data=data, text=f"{told}; {counted}.")


# ----------------------------------------------------------------------------------------------------------------- stop
def _stop_arguments(parser: ArgumentParser) -> None:
    parser.add_argument("--wins", type=int, required=True, metavar="K", help="how often the champion was preferred")
    parser.add_argument("--trials", type=int, required=True, metavar="N", help="of so many decided trials (no ties)")
    parser.add_argument("--method", choices=list(stopping.METHODS), default="evalue", help="(%(default)s)")
    parser.add_argument(
        "--p1", type=float, default=stopping.P1, help="the rate that the SPRT tells from one half (%(default)s)"
    )


def _stop(studio: Studio, args: Namespace) -> Answer:
    more = {"p1": args.p1} if args.method == "sprt" else {}
    state = stopping.METHODS[args.method](args.wins, args.trials, **more)
    data = {
        "stop": state.stop,
        "decision": state.decision,
        "statistic": state.statistic,
        "threshold": state.threshold,
        **state.more,
        "method": args.method,
        "explanation": state.explanation,
    }
    return Answer(data=data, text=f"{'Stop' if state.stop else 'Go on'}: {state.decision}. {state.explanation}")


VERBS = (
    Verb(
        name="rank",
        help="strengths of candidates from a CSV of A/B answers",
        description=(
            "Fit Bradley-Terry (ties are half wins) or Davidson (ties are answers). Estimates are logits; a was played "
            "first. Errors are clustered by rater and line where the file has these columns. In JSON, deviance is the "
            "residual deviance for bt and -2 log likelihood for davidson, as published tables print them; both are "
            "there under their own names."
        ),
        arguments=_rank_arguments,
        run=_rank,
        needs_home=lambda args: False,
    ),
    Verb(
        name="agreement",
        help="Krippendorff's alpha from a CSV of ratings",
        arguments=_agreement_arguments,
        run=_agreement,
        needs_home=lambda args: False,
    ),
    Verb(
        name="stop",
        help="whether so many wins are enough to stop: e-value, SPRT or exact test",
        description=(
            "An e-value may be looked at after every answer; it stops at 20. The SPRT tells the rate p1 from one half "
            "with both errors 5 %. The exact test is one-sided, for a number of trials that was fixed beforehand."
        ),
        arguments=_stop_arguments,
        run=_stop,
        needs_home=lambda args: False,
    ),
)
