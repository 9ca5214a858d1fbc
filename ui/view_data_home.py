"""What the Data page shows before a draft is open: the way in, what is on the desk, what is prepared.

Pure like `view`: records in, HTML out.
"""

from __future__ import annotations

from collections.abc import Sequence
from html import escape
from typing import TYPE_CHECKING
from urllib.parse import urlencode

from engine.types import Dataset, Draft
from ui import controls, view
from ui import view_data_words as words

if TYPE_CHECKING:
    from engine.needs import Needs


def home(targets: Sequence[Needs], drafts: Sequence[Draft], found: Sequence[Dataset], formats: Sequence[str]) -> str:
    """The page without a draft: open recordings, go on with a draft, use a dataset."""
    shelves = ""
    if drafts:
        shelves += f'<section class="em-card">{view.heading("On the desk", _drafts(drafts))}</section>'
    if found:
        shelves += f'<section class="em-card">{view.heading("Prepared datasets", datasets(found, formats))}</section>'
    return f'<div class="em-stack">{_title()}{_open_form(targets)}{shelves}</div>'


def _title() -> str:
    return (
        '<div class="em-row em-between em-desktitle"><h1>Data</h1>'
        '<button type="button" data-act="demo">Make the demo voice</button></div>'
    )


def _open_form(targets: Sequence[Needs]) -> str:
    path = controls.text("Path", "path", placeholder="/data/robin", help_text=PATH_HELP)
    backend = controls.choice("For", "backend", _targets(targets), help_text="The model whose needs are checked.")
    name = controls.text("Name", "name", placeholder="robin", help_text="Of what you open; empty takes the source’s.")
    shortest = controls.number("Shortest, s", "min_sec", 3, (0.5, 60, 0.5))
    longest = controls.number("Longest, s", "max_sec", 12, (1, 60, 0.5))
    return (
        '<section class="em-card"><form data-form="open" class="em-stack" novalidate><h2>Open recordings</h2>'
        '<fieldset class="em-segments"><legend class="em-visually-hidden">Where the recordings are</legend>'
        '<label><input type="radio" name="source" value="path" checked><span>This machine</span></label>'
        '<label><input type="radio" name="source" value="upload"><span>Upload</span></label></fieldset>'
        f'<div data-source="path">{path}</div><div data-source="upload" hidden>{_upload()}</div>'
        f'<div class="em-fields">{backend}{name}</div>'
        f"{controls.check('One long recording: cut it at pauses', 'slice', False, help_text=SLICE_HELP)}"
        f'<div class="em-fields" data-slicing hidden>{shortest}{longest}</div>'
        '<div class="em-row em-between"><p class="em-quiet em-grow" data-told role="status"></p>'
        '<button class="em-primary">Open</button></div></form></section>'
    )


PATH_HELP = (
    "A folder (001.wav beside 001.txt, LJSpeech, Kaldi, a Hugging Face audio folder), or a JSONL or CSV manifest. "
    "Nothing of it is ever changed."
)
SLICE_HELP = "It becomes rows whose texts are recognised, typed or pasted afterwards."


def _upload() -> str:
    return (
        '<div class="em-drop" data-drop><p><b>Drop files or a folder here</b></p>'
        '<p class="em-quiet">Recordings with their texts, a manifest with its audio, or one zip or tar archive.</p>'
        '<div class="em-row"><label class="em-button"><input type="file" name="files" multiple class="em-filepick">'
        'Choose files</label><label class="em-button"><input type="file" name="folder" webkitdirectory '
        'class="em-filepick">Choose a folder</label></div><p data-picked class="em-quiet" role="status"></p></div>'
    )


def _targets(targets: Sequence[Needs]) -> str:
    def options(wanted: Sequence[Needs]) -> str:
        return "".join(f'<option value="{escape(t.name)}">{escape(t.title or t.name)}</option>' for t in wanted)

    here, elsewhere = [t for t in targets if t.trainable_here], [t for t in targets if not t.trainable_here]
    groups = f'<optgroup label="Trained here">{options(here)}</optgroup>' if here else ""
    groups += f'<optgroup label="Cleaned here, trained elsewhere">{options(elsewhere)}</optgroup>' if elsewhere else ""
    return groups


def _drafts(drafts: Sequence[Draft]) -> str:
    items = "".join(
        f'<li><div><a href="?{urlencode({"draft": d.id})}" data-go>{escape(d.name or d.id)}</a>'
        f"<small>{words.counted(d.row_count, 'row')} for {escape(d.backend)} · opened {view.when(d.created_at)} · "
        f"{escape(str(d.source))}</small></div>"
        f"{view.state('pass', 'audited') if d.audited else view.state('none', 'not audited')}"
        f'<button type="button" data-act="discard" data-draft="{escape(d.id)}" '
        f'aria-label="Discard {escape(d.name or d.id)}">Discard</button></li>'
        for d in drafts
    )
    return f'<ul class="em-shelf">{items}</ul>'


def datasets(found: Sequence[Dataset], formats: Sequence[str]) -> str:
    """The prepared datasets, with the next steps."""
    items = "".join(
        f"<li><div><b>{escape(d.id)}</b><small>{_split(d)} · {d.train_sec / 60:.1f} min to train on · for "
        f"{escape(d.backend)} · {view.when(d.created_at)}"
        f"{f' · {d.excluded_count:,} left out' if d.excluded_count else ''}</small></div>{_soundness(d)}"
        f'<div class="em-row em-next">{exports(d, formats)}'
        f'<a class="em-button" href="/runs?{urlencode({"dataset": d.id})}">Train on it</a></div></li>'
        for d in found
    )
    return f'<ul class="em-shelf">{items}</ul>'


def _split(made: Dataset) -> str:
    parts = [(made.train_count, "train"), (made.validation_count, "validation"), (made.test_count, "test")]
    return ", ".join(f"{n:,} {word}" for n, word in parts if n or word == "train")


def _soundness(made: Dataset) -> str:
    if made.unresolved:
        return view.state("fail", f"{words.counted(made.unresolved, 'error')} kept")
    return view.state("pass", "no errors")


def exports(made: Dataset, formats: Sequence[str]) -> str:
    """Links that download the rows as other trainers read them."""
    if not formats:
        return ""
    links = "".join(
        f'<a href="/desk/datasets/{escape(made.id)}/export?{urlencode({"format": f})}" download>'
        f"{escape(words.EXPORT_NAMES.get(f, f))}</a>"
        for f in formats
    )
    return f'<details class="em-menu"><summary class="em-button">Export</summary><div>{links}</div></details>'


def dataset_ready(made: Dataset, formats: Sequence[str] = ()) -> str:
    """What was prepared, what its preparation had to decide, and the next step."""
    told = f"{made.id} is ready: {words.counted(made.train_count, 'line')} to train on"
    told += f", {made.validation_count:,} to validate"
    told += f", {made.test_count:,} to test." if made.test_count else "."
    notes = "".join(f"<p><small>{escape(note)}</small></p>" for note in made.notes)
    unresolved = ""
    if made.unresolved:
        unresolved = (
            f"<p>{view.state('fail', words.counted(made.unresolved, 'unresolved error'))} A run on it is refused until "
            "somebody accepts them by name in the run form; the name is kept with the run.</p>"
        )
    return (
        f'<div class="em-notice em-stack" role="status"><p>{escape(told)}</p>{unresolved}{notes}'
        f'<div class="em-row"><a class="em-button em-primary" href="/runs?{urlencode({"dataset": made.id})}">'
        f"Start a run</a>{exports(made, formats)}</div></div>"
    )


def faults_to_find(manifest: str, backend: str) -> str:
    """The demo's second manifest, for trying the audit."""
    return (
        '<p class="em-quiet">The demo has a second manifest with planted faults. '
        f'<button type="button" class="em-link" data-act="open-path" data-path="{escape(manifest)}" '
        f'data-backend="{escape(backend)}">Open it</button> '
        "to see what an audit finds.</p>"
    )
