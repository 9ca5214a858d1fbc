"""How much likelier a stretch of a clip is with a word of the text than without it.

Knows a hearing's posteriors and its words, and CTC's sum over all ways to say them (Graves et al. 2006). The best path
alone (`lattice`) says where a word would lie if it were there; the ratio of both sums says whether it is.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np

from engine.screeners.lattice import BLANK, FLOOR

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from engine.screeners.hearing import Hearing

REACH = 2  # words on either side that are there: what a missing word does to its neighbours' places counts as well
MOST_NATS = 20.0
_IMPOSSIBLE = -1000.0  # nats of a text with more phonemes than the stretch has frames


def gain(hearing: Hearing, word: int) -> float:
    """The log likelihood ratio of the words around with `word` against without it, in nats, within `MOST_NATS`.

    A phoneme that is not heard costs at most `FLOOR` a frame, so that one of them does not rule out all of its word.
    """
    first, last, stretch = _around(hearing, word)
    words = hearing.words[first : last + 1]
    without = [*words[: word - first], *words[word - first + 1 :]]
    said, left_out = _log_likelihoods(stretch, [[p for each in text for p in each] for text in (words, without)])
    return float(np.clip(said - left_out, -MOST_NATS, MOST_NATS))


def _around(hearing: Hearing, word: int) -> tuple[int, int, NDArray[np.float32]]:
    """The first and last word of the stretch, and its frames: from the beginning of one to the end of the other."""
    before = [n for n in range(word - REACH, -1, -1) if hearing.is_there(n)][:1]
    after = [n for n in range(word + REACH, len(hearing.words)) if hearing.is_there(n)][:1]
    start = hearing.visits[before[0]].spikes[0] if before else 0
    end = hearing.visits[after[0]].spikes[-1] + 1 if after else len(hearing.posteriors)
    return (*before, 0)[0], (*after, len(hearing.words) - 1)[0], hearing.posteriors[start:end]


def _log_likelihoods(log_posteriors: NDArray[np.float32], texts: Sequence[Sequence[int]]) -> list[float]:
    """Of each text, summed over all its paths through the frames."""
    import torch

    if not len(log_posteriors):
        return [_IMPOSSIBLE] * len(texts)
    losses = torch.nn.functional.ctc_loss(
        torch.from_numpy(np.maximum(log_posteriors, FLOOR))[:, None].expand(-1, len(texts), -1).contiguous(),
        torch.tensor([phoneme for text in texts for phoneme in text]),
        torch.full((len(texts),), len(log_posteriors)),
        torch.tensor([len(text) for text in texts]),
        blank=BLANK,
        reduction="none",
    )
    return [max(_IMPOSSIBLE, -loss) for loss in losses.tolist()]
