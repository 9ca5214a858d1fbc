"""The texts that Finch is trained on, and the held-out ones that it is judged by.

Training texts are public-domain sentences (the transcripts of LJ Speech) mixed with sentences from
small templates, in paragraphs of one to six sentences. The Harvard sentences and the paragraphs
made of them are for reported figures alone: nothing is trained or tuned on them.
"""

from __future__ import annotations

import gzip
import random
import re
from dataclasses import dataclass
from pathlib import Path

MAX_CHARACTERS = 330
_HELD_OUT_EVERY = 40

_NOUNS = (
    "baker basket window river garden teacher doctor village winter summer mountain forest engine "
    "letter bridge kitchen table candle market soldier painter singer farmer captain island harbor "
    "weather morning evening station ticket journey story picture mirror pocket button thunder "
    "shadow feather hammer ladder barrel castle dragon knight princess flower orange lemon cherry "
    "apple butter pepper sugar coffee water bottle silver copper iron paper pencil school student "
    "lesson question answer language country city capital museum theatre concert music violin "
    "guitar trumpet drum piano dance jacket trousers shirt collar shoulder finger elbow stomach "
    "muscle hospital nurse patient medicine ambulance vehicle bicycle airplane rocket planet "
    "telescope galaxy universe measure treasure pleasure vision decision machine computer keyboard "
    "network signal battery voltage current motor pressure temperature ocean voyage judge lawyer "
    "witness prison treaty battle army general empire history century year month week day hour "
    "minute child woman man neighbor cousin uncle aunt brother sister mother father grandmother "
    "friend stranger customer manager worker office factory building tower church temple beach "
    "valley desert jungle animal horse cow sheep goat chicken duck goose rabbit squirrel fox wolf "
    "bear lion tiger elephant monkey parrot eagle sparrow spider beetle ant bee whale shark "
    "thought youth oath path cloth moth boat plank rope nail shelf brick road train bus car wheel "
    "lamp chair bed door wall roof floor stove pan cup plate spoon fork knife soup bread cheese "
    "egg cake pie bean corn rice field hill lake pond stream cloud rain snow wind storm sun moon "
    "star sky stone sand mud dust smoke fire ash coal wood leaf branch root seed grass hay wool "
    "silk thread coat hat shoe sock glove ring watch clock bell book page map flag"
).split()
_VERBS = (
    "carried watched followed found built painted cleaned repaired measured ignored remembered "
    "forgot visited described discovered examined chased caught threw pushed pulled opened closed "
    "locked lifted dropped washed folded cooked baked tasted smelled heard touched counted ordered "
    "bought sold borrowed returned stole hid protected attacked defended admired hated loved feared "
    "trusted questioned answered praised judged helped joined changed destroyed designed invented "
    "studied explained finished started delayed avoided crossed reached passed entered left tied "
    "broke shook swept burned drew held kept lost made met moved need saw sent showed took used"
).split()
_INTRANSITIVE = (
    "walked ran slept waited laughed cried shouted whispered smiled vanished arrived departed "
    "returned jumped danced sang worked rested travelled wandered listened argued agreed fell "
    "appeared stood sat lay flew swam stayed grew turned stopped slipped"
).split()
_ADJECTIVES = (
    "old young small large quiet loud bright dark warm cold heavy light gentle fierce clever "
    "foolish brave nervous happy gloomy ancient modern broken golden wooden rusty narrow wide empty "
    "crowded distant familiar strange curious lazy busy early late hungry thirsty tired angry calm "
    "rough smooth soft hard sharp dull cheap valuable useful dangerous peaceful beautiful ugly "
    "yellow green purple red blue white black grey enormous tiny ordinary southern northern thin "
    "thick long short tall deep flat round wet dry clean sweet sour fresh stale loose tight"
).split()
_PLACES = (
    "near the|behind the|under the|beside the|across the|inside the|outside the|above the|"
    "beyond the|around the|through the|toward the|from the|without the|before the|after the|"
    "in the|on the|by the|over the|into the|down the|up the|off the|at the|of the|with the|for a"
).split("|")
_ADVERBS = (
    "slowly quickly suddenly quietly carefully usually often never always sometimes rarely almost "
    "finally already eventually just still soon then"
).split()
_NAMES = (
    "Alice Robert Margaret Thomas Joyce George Patricia Henry Elizabeth Charles Victoria Samuel "
    "Jonathan Zoe Hugh Beth Chuck Vivian Isabel Oliver Matthew Agatha"
).split()
_NUMBERS = (
    "two|three|four|five|six|seven|eight|nine|ten|eleven|twelve|thirteen|twenty|thirty|forty|"
    "fifty|sixty|a hundred|a thousand|12|40|365"
).split("|")
_COMMANDS = (
    "bring take give hold keep make see use read write move leave ask show choose measure join "
    "push wash teach put place cut tie lift open close press pull raise throw wipe pour fill"
).split()
_DETERMINERS = "the the the a a his her their our this that my your every another each some".split()

HARVARD = (
    "The birch canoe slid on the smooth planks.",
    "Glue the sheet to the dark blue background.",
    "It's easy to tell the depth of a well.",
    "These days a chicken leg is a rare dish.",
    "Rice is often served in round bowls.",
    "The juice of lemons makes fine punch.",
    "The box was thrown beside the parked truck.",
    "The hogs were fed chopped corn and garbage.",
    "Four hours of steady work faced us.",
    "A large size in stockings is hard to sell.",
    "The boy was there when the sun rose.",
    "A rod is used to catch pink salmon.",
    "The source of the huge river is the clear spring.",
    "Kick the ball straight and follow through.",
    "Help the woman get back to her feet.",
    "A pot of tea helps to pass the evening.",
    "Smoky fires lack flame and heat.",
    "The soft cushion broke the man's fall.",
    "The salt breeze came across from the sea.",
    "The girl at the booth sold fifty bonds.",
    "The small pup gnawed a hole in the sock.",
    "The fish twisted and turned on the bent hook.",
    "Press the pants and sew a button on the vest.",
    "The swan dive was far short of perfect.",
    "The beauty of the view stunned the young boy.",
    "Two blue fish swam in the tank.",
    "Her purse was full of useless trash.",
    "The colt reared and threw the tall rider.",
    "It snowed, rained, and hailed the same morning.",
    "Read verse out loud for pleasure.",
    "Hoist the load to your left shoulder.",
    "Take the winding path to reach the lake.",
    "Note closely the size of the gas tank.",
    "Wipe the grease off his dirty face.",
    "Mend the coat before you go out.",
    "The wrist was badly strained and hung limp.",
    "The stray cat gave birth to kittens.",
    "The young girl gave no clear response.",
    "The meal was cooked before the bell rang.",
    "What joy there is in living.",
)
"""Harvard sentences (IEEE 1969, lists 1 to 4): the reported test text, never trained on."""


def test_pairs() -> list[str]:
    """The short tier: pairs of Harvard sentences, about five seconds each."""
    return [f"{a} {b}" for a, b in zip(HARVARD[::2], HARVARD[1::2], strict=True)]


def test_paragraphs(sentences: int) -> list[str]:
    """Paragraphs of so many Harvard sentences: six are about 15 seconds, fourteen about 35."""
    starts = range(0, len(HARVARD) - sentences + 1, sentences)
    return [" ".join(HARVARD[start : start + sentences]) for start in starts]


@dataclass(frozen=True)
class Corpus:
    """Public-domain sentences, split into training and development text, and their words."""

    training: tuple[str, ...]
    development: tuple[str, ...]
    words: tuple[str, ...]

    @staticmethod
    def load(path: Path) -> Corpus:
        """From a gzip of one sentence a line; Harvard sentences are filtered out, to be sure."""
        lines = gzip.decompress(path.read_bytes()).decode("utf-8").splitlines()
        banned = {_key(sentence) for sentence in HARVARD}
        sentences = [line.strip() for line in lines if 15 <= len(line.strip()) <= MAX_CHARACTERS]
        kept = [s for s in sentences if s.isascii() and not any(b in _key(s) for b in banned)]
        random.Random(11).shuffle(kept)
        words = sorted({w for s in kept for w in re.findall(r"\b[a-z]{3,10}\b", s)})
        development = tuple(kept[::_HELD_OUT_EVERY])
        training = tuple(s for i, s in enumerate(kept) if i % _HELD_OUT_EVERY)
        return Corpus(training, development, tuple(words))

    def paragraph(self, draw: random.Random) -> str:
        """One training text of one to six sentences, at most 330 characters."""
        for _ in range(20):
            count = draw.choices(range(1, 7), [34, 26, 14, 10, 9, 7])[0]
            text = " ".join(self.sentence(draw, count) for _ in range(count))
            if len(text) <= MAX_CHARACTERS and _key(text) not in {_key(h) for h in HARVARD}:
                return text
        return draw.choice(self.training)

    def sentence(self, draw: random.Random, siblings: int) -> str:
        """A sentence for a paragraph of `siblings` sentences: shorter where there are many."""
        if draw.random() < (0.45 if siblings < 3 else 0.2):
            line = draw.choice(self.training)
            if siblings < 3 or len(line) < 90:
                return line
        return Template(draw, self.words).sentence(short=siblings > 1 or draw.random() < 0.5)


class Template:
    """Draws sentences from small grammars; a third of the nouns are any corpus word."""

    def __init__(self, draw: random.Random, words: tuple[str, ...]) -> None:
        self._draw = draw
        self._words = words

    def sentence(self, short: bool) -> str:
        """One sentence with a capital letter and its final mark."""
        pick = self._draw.random()
        text = self._clause() if pick < (0.55 if short else 0.3) else self._variant(short)
        mark = self._draw.choices([".", "!"], [95, 5])[0]
        if self._draw.random() < 0.07:
            text, mark = self._question(), "?"
        return text[0].upper() + text[1:] + mark

    def _variant(self, short: bool) -> str:
        choose, pick = self._draw.choice, self._draw.random()
        if pick < 0.35 and not short:
            joint = choose([", and ", ", but ", " because ", " while ", ", so ", " when "])
            return self._clause() + joint + self._clause()
        if pick < 0.45:
            opening = choose(["In the", "On the", "At the", "During the", "Without the", "After a"])
            return f"{opening} {self._noun()}, {self._clause()}"
        if pick < 0.75:
            start = choose(["", "", "", "Please ", "Do not ", "You should ", "I will ", "We can "])
            place = f" {choose(_PLACES)} {self._noun()}" if self._draw.random() < 0.7 else ""
            return f"{start}{choose(_COMMANDS)} {self._phrase()}{place}"
        if pick < 0.85:
            items = f"{self._noun()}, {self._noun()}, and {self._noun()}"
            return f"{self._phrase()} {choose(_VERBS)} {choose(['the', 'some', 'a'])} {items}"
        return " ".join(choose(self._words) for _ in range(self._draw.randint(2, 7)))

    def _question(self) -> str:
        choose = self._draw.choice
        start = choose(["did", "why did", "when did", "where did", "can", "will", "could"])
        return f"{start} {self._phrase()} {choose(_COMMANDS)} {self._phrase()}"

    def _clause(self) -> str:
        choose, pick = self._draw.choice, self._draw.random()
        adverb = f"{choose(_ADVERBS)} " if self._draw.random() < 0.2 else ""
        if pick < 0.5:
            text = f"{self._phrase()} {adverb}{choose(_VERBS)} {self._phrase()}"
        elif pick < 0.75:
            text = f"{self._phrase()} {adverb}{choose(_INTRANSITIVE)} {choose(_PLACES)} {self._noun()}"
        elif pick < 0.9:
            verb = choose(["was", "is", "are", "were", "seemed", "will be"])
            text = f"{self._phrase()} {verb} {adverb}{choose(_ADJECTIVES)}"
            text += f" and {choose(_ADJECTIVES)}" if self._draw.random() < 0.5 else ""
        else:
            text = f"{self._phrase()} {choose(_VERBS)} {choose(_NUMBERS)} {self._noun()}s"
        if self._draw.random() < 0.35:
            text += f" {choose(_PLACES)} {self._noun()}"
        return text

    def _phrase(self) -> str:
        choose, pick = self._draw.choice, self._draw.random()
        if pick < 0.1:
            return choose(_NAMES)
        if pick < 0.2:
            return choose(["he", "she", "they", "we", "it", "nobody", "everyone", "I", "you"])
        adjective = f"{choose(_ADJECTIVES)} " if self._draw.random() < 0.5 else ""
        return f"{choose(_DETERMINERS)} {adjective}{self._noun()}"

    def _noun(self) -> str:
        return self._draw.choice(self._words if self._draw.random() < 0.33 else _NOUNS)


def _key(text: str) -> str:
    return re.sub(r"[^a-z ]", "", text.lower())
