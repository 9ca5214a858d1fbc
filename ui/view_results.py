"""What the Results page shows of a test: the conclusion and how sure it is, reviewers, sentences, what would change it.

Pure like `view`: records in, HTML out. Candidates come under the names that the studio gives: letters while blinded.
"""

from __future__ import annotations

from html import escape
from typing import TYPE_CHECKING

from engine.types import TrialKind
from ui import plots, view
from ui.plots import Estimate

if TYPE_CHECKING:
    from engine.analysis.conclusion import Conclusion
    from engine.analysis.influence import Turn
    from engine.statistics.means import MeanEstimate
    from engine.studio import Explorer, Results

KINDS = {
    TrialKind.PREFERENCE: "A/B preference",
    TrialKind.ABX: "ABX",
    TrialKind.CMOS: "CMOS",
    TrialKind.MOS: "MOS",
    TrialKind.MULTI: "sliders",
    TrialKind.GATE: "gate",
}


def head(found: Results) -> str:
    """Title, whether names are shown, the figures, and the sentence that it comes down to."""
    test, whole = found.state.test, found.whole
    status = "ended" if test.closed_at is not None else "running"
    total = min(found.state.total, test.stop.max_judgments) if found.explorer else found.state.total
    told = view.title(test.name, f"{KINDS[test.kind]}, {test.design}, {status}")
    figures = [
        ("judgments", str(whole.judgments)),
        ("answered", f"{found.state.answered} of {total}"),
        ("reviewers", str(len(found.state.sittings))),
    ]
    if found.reliability.alpha is not None:
        figures.append(("agreement (alpha)", f"{found.reliability.alpha:.2f}"))
    notices = [view.notice(_blindness(found))]
    if found.simulated:
        notices.append(view.notice("These reviewers are simulated.", bad=True))
    inside = told + "".join(notices) + view.facts(figures) + f"<p>{escape(_sentence(found))}</p>"
    return f'<div class="em-stack">{inside}</div>'


def _blindness(found: Results) -> str:
    if found.is_blinded:
        return "Blinded: candidates are letters, drawn for this test alone."
    first = found.unblindings[0]
    when = f"{view.when(first.at)}, after {first.answered} answers"
    early = " while the test was running: later answers were given by people who may know" if first.was_open else ""
    return f"Unblinded by {first.by}, {when}{early}."


def _sentence(found: Results) -> str:
    whole = found.whole
    if not whole.leader:
        return whole.problem or "Nothing to compare yet."
    if found.explorer is not None:
        return f"{found.explorer.champion} is the champion so far. An exploration shows nothing yet: confirm it."
    if whole.problem or not whole.runner_up:
        return f"{whole.leader} is ahead. {whole.problem}".strip()
    unit = "logits" if whole.fit is not None else "points"
    gap = f"{whole.gap:.2f} {unit} (95 % interval {whole.low:.2f} to {whole.high:.2f})"
    if whole.shown:
        return f"{whole.leader} is preferred to {whole.runner_up} by {gap}."
    more = f" If it stays so, about {whole.more} more judgments would show it." if whole.more else ""
    return f"{whole.leader} is ahead of {whole.runner_up} by {gap}, which is not shown yet.{more}"


# ------------------------------------------------------------------------------------------------------------ estimates
def estimates(found: Results) -> str:
    """Strengths or means with intervals, and each pair against each other."""
    whole = found.whole
    parts = [_strengths(whole), _means(whole), _cmos(whole), _heard(whole), _pairs(found)]
    notes = "".join(f'<p class="em-quiet">{escape(told)}</p>' for told in (whole.fit.warnings if whole.fit else ()))
    inside = (
        f'<div class="em-figures" style="align-items:flex-start">{"".join(parts)}</div>{notes}' if any(parts) else ""
    )
    return view.heading("Estimates", inside or '<p class="em-quiet">No judgments yet.</p>')


def _strengths(whole: Conclusion) -> str:
    if whole.fit is None:
        return ""
    rows = [
        Estimate(name, e.estimate, *e.interval, f"{e.estimate:+.2f} ± {(e.interval.high - e.estimate):.2f}")
        for name in whole.fit.ranking()
        for e in [whole.fit.strengths[name]]
    ]
    how = " and ".join(whole.fit.clustered_by)
    told = f"Strength in logits against the mean of all, with 95 % intervals{f' clustered by {how}' if how else ''}"
    return _figure(told, plots.forest(rows, title=told))


def _means(whole: Conclusion) -> str:
    rows = [
        _mean(name, m, f"{m.mean:.2f} (n {m.n})")
        for name, m in sorted(whole.ratings.items(), key=lambda item: -item[1].mean)
    ]
    told = "Mean rating with 95 % intervals"
    return _figure(told, plots.forest(rows, title=told, zero=None)) if rows else ""


def _cmos(whole: Conclusion) -> str:
    rows = [_mean(f"{a} against {b}", m, f"{m.mean:+.2f} (n {m.n})") for (a, b), m in whole.cmos.items()]
    told = "Comparative mean: above 0 the first is better"
    return _figure(told, plots.forest(rows, title=told)) if rows else ""


def _mean(name: str, mean: MeanEstimate, told: str) -> Estimate:
    low, high = mean.interval or (None, None)
    return Estimate(name, mean.mean, low, high, told)


def _heard(whole: Conclusion) -> str:
    rows = [
        (escape(f"{a} and {b}"), f"{s.wins} of {s.wins + s.losses}", f"{s.interval.low:.0%} to {s.interval.high:.0%}")
        for (a, b), s in whole.heard.items()
    ]
    head = ("told apart", "right", "95 % interval")
    return view.table(head, rows, caption="How often X was recognised") if rows else ""


def _pairs(found: Results) -> str:
    shares: dict[tuple[str, str], tuple[int, int]] = {}
    for (a, b), s in found.whole.pairs.items():
        decided = s.wins + s.losses
        shares[a, b], shares[b, a] = (s.wins, decided), (s.losses, decided)
    names = found.whole.fit.ranking() if found.whole.fit else list(found.names)
    told = "How often the row was preferred to the column, of decided answers"
    return _figure(told, plots.matrix(names, shares, title=told)) if shares else ""


def _figure(told: str, drawn: str) -> str:
    return f'<div class="em-plotted"><p class="em-quiet">{escape(told)}</p>{drawn}</div>'


# ---------------------------------------------------------------------------------------------------------- exploration
def exploration(found: Results) -> str:
    """How far an adaptive test is; empty for a fixed one."""
    far = found.explorer
    if far is None:
        return ""
    told = (
        f"Exploration, not evidence: pairs were chosen by what was heard. {far.champion} is within 0.25 logits of the "
        f"best with probability {far.within:.2f}; {far.judgments} of {far.most} judgments."
    )
    ended = f" It has stopped: {far.reason}. Confirm the winner with a small fixed test." if far.reason else ""
    return view.heading("Exploration", f"<p>{escape(told + ended)}</p>" + _believed(far))


def _believed(far: Explorer) -> str:
    if any(one.scale is None for one in far.believed):
        rows = [
            Estimate(
                one.name, one.mean, one.mean - one.sd, one.mean + one.sd, f"{one.mean:+.2f}, {one.judgments} heard"
            )
            for one in far.believed
        ]
        told = "Believed strength in logits, with one standard deviation"
        return _figure(told, plots.forest(rows, title=told))
    cells = {
        (one.epoch or 0.0, one.scale or 0.0): (one.mean, f"{one.mean:+.1f} ± {one.sd:.1f}") for one in far.believed
    }
    told = "Believed strength in logits over epoch (down) and lora_scale (across)"
    return _figure(told, plots.surface(cells, title=told))


# ------------------------------------------------------------------------------------- reviewers, sentences, influence
def reviewers(found: Results) -> str:
    """Who passed which checks, the rule, and the result without whom it leaves out."""
    rule = found.state.test.screening
    progress = {each.session.reviewer: each for each in found.state.sittings}
    rows = [
        (
            escape(one.reviewer),
            f"{progress[one.reviewer].answered} of {progress[one.reviewer].total}" if one.reviewer in progress else "",
            f"{one.checks - one.failed} of {one.checks}" if one.checks else "none",
            view.state("pass", "kept") if one.kept else view.state("fail", "left out"),
        )
        for one in found.reliability.reviewers
    ]
    head = ("reviewer", "answered", "checks passed", "rule")
    fixed = (
        f"Fixed before the first answer: more than {rule.max_failed_share:.0%} of at least {rule.min_checks} checks "
        "failed leaves a reviewer out."
    )
    parts = [f'<p class="em-quiet">{fixed}</p>']
    parts.append(
        view.table(head, rows, caption="Reviewers and their checks") if rows else "<p>Nobody answered yet.</p>"
    )
    if found.kept is not None:
        parts.append(f"<p>{escape(_both(found.whole, found.kept))}</p>")
    bias = found.reliability
    if bias.identical_on_a + bias.identical_on_b and bias.side_bias < 0.05:
        told = f"Equal pairs: A {bias.identical_on_a} times, B {bias.identical_on_b} times: a bias to one side."
        parts.append(view.notice(told, bad=True))
    return view.heading("Reviewers", "".join(parts))


def _both(whole: Conclusion, kept: Conclusion) -> str:
    def told(one: Conclusion) -> str:
        shown = "shown" if one.shown else "not shown"
        return f"{one.leader or 'nobody'} ahead by {one.gap:.2f}, {shown}, {one.judgments} judgments"

    return f"With everybody: {told(whole)}. Without whom the rule leaves out: {told(kept)}."


def lines(found: Results) -> str:
    """The leader sentence by sentence."""
    rows = []
    for one in found.lines:
        if one.leader_mean is not None or one.others_mean is not None:
            mine, others = (f"{x:.2f}" if x is not None else "-" for x in (one.leader_mean, one.others_mean))
            said = f"{mine} against {others}"
        else:
            said = f"{one.wins} of {one.decided}" if one.decided else "-"
        line = f'{escape(one.line)}<div class="em-sentence">{escape(one.text)}</div>'
        rows.append((line, str(one.judgments), f'<span class="em-onerow">{said}</span>'))
    leader = found.whole.leader or "the leader"
    what = "right" if found.whole.heard else f"for {leader}"
    shown = view.table(("sentence", "judgments", what), rows, caption="Sentence by sentence")
    return view.heading("Sentence by sentence", shown if rows else '<p class="em-quiet">No judgments yet.</p>')


def change(found: Results) -> str:
    """What would turn the conclusion, and how much more has to be heard."""
    whole = found.whole
    told = [_turn(one) for one in found.turns]
    if not told and whole.leader:
        told.append("No single reviewer and no single sentence turns it.")
    if whole.more and found.explorer is None:
        told.append(f"About {whole.more} more judgments would show the difference, if it stays as large.")
    if found.stop is not None:
        state = f"stop, {found.stop.decision}" if found.stop.stop else "go on"
        told.append(f"Stop rule: {state}. {found.stop.explanation}")
        if found.more_until_stop:
            told.append(f"About {found.more_until_stop} more of that pair until the e-value stops, if shares stay.")
    inside = "".join(f"<p>{escape(one)}</p>" for one in told) or '<p class="em-quiet">No judgments yet.</p>'
    return view.heading("What would change the conclusion", inside)


def _turn(one: Turn) -> str:
    left = one.conclusion
    what = "sentence" if one.what == "line" else one.what
    now = f"{left.leader} would be ahead" if left.leader else "nothing could be said"
    shown = "and shown" if left.shown else "and not shown"
    return f"Without {what} {one.name} ({one.judgments} judgments) {now}, {shown}."
