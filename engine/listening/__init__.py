"""The blind trial: which clip is asked about when, on which side, under which token, and what the reviewer may see of
it.

Knows clips and seeds; does no I/O and keeps nothing. The mapping from token to clip stays in a `Trial`; what leaves is
a `TrialView`. The rule that everything here serves: exchanging which candidate is behind a clip changes nothing
observable. So the order depends on lines and the seed, the trial's id on its position, the tokens on the factory
alone.
"""

from engine.listening.answering import Scale, check_answer, check_heard, choices, is_same_answer, scale
from engine.listening.catches import catch
from engine.listening.order import williams
from engine.listening.planning import check_test, questions, sitting_seed, sitting_trials, treatments
from engine.listening.question import LABELS, MOST_STIMULI, Question, pair, several, single
from engine.listening.sides import SideBalance, side_balance
from engine.listening.trials import added_trial, gate_trials, preference_trials
from engine.listening.view import TrialView, view

# How trials are drawn, sides assigned and answers checked. A change of any is another number, kept with every test.
METHOD = "listening/1"

__all__ = [
    "LABELS",
    "METHOD",
    "MOST_STIMULI",
    "Question",
    "Scale",
    "SideBalance",
    "TrialView",
    "added_trial",
    "catch",
    "check_answer",
    "check_heard",
    "check_test",
    "choices",
    "gate_trials",
    "is_same_answer",
    "pair",
    "preference_trials",
    "questions",
    "scale",
    "several",
    "side_balance",
    "single",
    "sitting_seed",
    "sitting_trials",
    "treatments",
    "view",
    "williams",
]
