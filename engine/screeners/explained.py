"""What the screeners hear, as a page of the user guide: made from what each says of itself.

`python -m engine.screeners.explained` prints it; a test compares it with `docs/user-guide/measures.md`.
"""

from __future__ import annotations

from engine.screeners import SCREENERS

BEFORE = """# What the screeners hear

Screeners measure every clip that a sweep renders, and any file by `python -m engine screen`. They flag, sort and
explain; they never decide. A flag is evidence for a reason that a reviewer may give, and the gate asks the reviewer
about it.

| measure | unit | what it hears | evidence for |
|---|---|---|---|
"""
AFTER = """
**Words** are found by a recogniser. Each word of the text is there, missing, run together with its neighbour, or
said again; what is none of them was added. A word of which too little is heard is judged by the time that is left
for it: without time it is missing, with time it was said unclearly, and such a word is not flagged. By the built-in
ear a word in doubt is heard again, in the clip slowed down and by the other English recogniser, before it is called
missing or run together.

Several recognisers may know a language, and of each clip the first that can follow its voice judges: the backend's
own (Finch has one, which also follows espeak-ng voices), then `hama`, which has learned English from people, then
Whisper where a model folder is given (`--whisper` or `EARMARK_WHISPER`; any language), then the built-in one. Where
too much of what is heard comes out as other sounds (a third by the built-in ear, a fifth by `hama`) or hardly anything
is heard, the answer is **cannot judge this voice**: no value, no pass, never "ok".

**Likeness to the speaker** uses an own small embedding (mel cepstra and pitch, in units of how much they vary
within one reader). It tells another pitch or throat, not two readers who sound alike.

**The leak of the reference** looks for words of the reference's last three seconds in the clip's first two, and for
sounds that go on. Voices without a reference are "not applicable". With clips of the base, and some with a blank
reference text, five gates say whose leak it is, whether the voice leans on that text, whether cutting 0.93 s off
mends it, and whether the sounds, and the speech tokens, go on more often than chance has it
(`engine/screeners/leakage_gates.py`).

**Speech tokens at a beginning** are those that the model drew for each chunk, held against those of the reference's
last second in the same order (longest common subsequence). A leak check also looks for any other second of the
reference, and puts other speech in its place: its other references and what was said in other lines. The same words at
the reference's end and the text's beginning are alike too, and no leak. CosyVoice, Qwen3-TTS, IndexTTS2, Dia and CSM
tell their tokens; of other voices, and of clips that were rendered before tokens were kept, the answer is "not
measured".

**A trend of the speaking rate** over a run's epochs at one scale, with its interval, shows what single clips do
not: speech that gets steadily faster or slower (`engine/screeners/trend.py`).

How often planted faults are found stands in `benchmarks/results/screening.md`.
"""


def page() -> str:
    """The page as Markdown."""
    rows = [f"| {s.title} (`{name}`) | {s.unit} | {s.about} | {', '.join(s.serves)} |" for name, s in SCREENERS.items()]
    return BEFORE + "\n".join(rows) + "\n" + AFTER


if __name__ == "__main__":
    print(page(), end="")
