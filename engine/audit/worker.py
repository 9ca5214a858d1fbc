"""A worker process of the audit: `python -m engine.audit.worker` reads rows from stdin and writes facts to stdout.

Knows the pipe's protocol: what tells unpronounceable texts comes in first, a word that it has begun goes out; then
a pickled `RowFacts` for each pickled utterance, until stdin ends. The parent is
`worker_pool`; nobody else should speak to it, since unpickling trusts the other side.
"""

from __future__ import annotations

import os
import pickle
import sys


def main() -> None:
    """Measure rows until the parent closes the pipe, or is gone."""
    answers = os.fdopen(os.dup(sys.stdout.fileno()), "wb")
    os.dup2(sys.stderr.fileno(), sys.stdout.fileno())  # whatever a library prints must not end up among the answers

    from engine.audit.measuring import measure
    from engine.audit.worker_pool import READY

    unpronounceable = pickle.load(sys.stdin.buffer)
    pickle.dump(READY, answers)
    answers.flush()
    while True:
        try:
            utterance = pickle.load(sys.stdin.buffer)
        except EOFError:
            return
        pickle.dump(measure(utterance, unpronounceable), answers, protocol=pickle.HIGHEST_PROTOCOL)
        answers.flush()


if __name__ == "__main__":
    main()
