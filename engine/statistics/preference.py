"""One pair of candidates: what its A/B answers show, in numbers and in a sentence.

Knows three counts: won, lost, tied. For answers that hang together there is `paired_model`. Pure.
"""

from __future__ import annotations

from dataclasses import dataclass

from engine.statistics.binomial import Interval, clopper_pearson, sign_test


@dataclass(frozen=True, kw_only=True)
class PreferenceSummary:
    """A against B. `share` is of A among answers that chose a side, None without any; `p_value` is of `sign_test`."""

    wins: int
    losses: int
    ties: int
    share: float | None
    interval: Interval
    p_value: float
    sentence: str


def preference_summary(wins: int, losses: int, ties: int, confidence: float = 0.95) -> PreferenceSummary:
    """What A/B answers show, with the exact interval of A's share and a sentence for the page."""
    decided = wins + losses
    interval = clopper_pearson(wins, decided, confidence)
    p_value = sign_test(wins, losses)
    if not decided:
        sentence = f"{ties} ties and no preference." if ties else "No answers yet."
    else:
        shown = "a preference" if p_value <= 1.0 - confidence else "no preference shown"
        sentence = (
            f"A preferred {wins} of {decided} times ({interval.low:.0%} to {interval.high:.0%} with {confidence:.0%} "
            f"confidence), {ties} ties: {shown} (p = {p_value:.3f})."
        )
    return PreferenceSummary(
        wins=wins,
        losses=losses,
        ties=ties,
        share=wins / decided if decided else None,
        interval=interval,
        p_value=p_value,
        sentence=sentence,
    )
