"""How the Data page names checks and severities, and how it says counts and shares.

Pure: knows words and numbers alone.
"""

from __future__ import annotations

from engine.types import Action, Severity
from ui import view
from ui.data_rows import REPAIRS, DeskRow, RowState

SHAPES = {Severity.ERROR: "fail", Severity.WARNING: "wait", Severity.INFO: "none"}
WORDS = {Severity.ERROR: "error", Severity.WARNING: "warning", Severity.INFO: "note"}
CHECK_NAMES = {
    "empty_text": "empty text",
    "boilerplate": "boilerplate",
    "tags": "tags in the text",
    "text_too_long": "text too long for the audio",
    "text_too_short": "text too short for the audio",
    "no_speech": "no speech",
    "sample_rate": "sample rate",
    "channels": "channels",
    "clipping": "clipping",
    "noise": "noise",
    "silence": "silence",
    "duration": "duration",
    "duplicate": "duplicate audio",
    "overlap": "overlapping audio",
    "transcript_mismatch": "another text is spoken",
    "speaker": "another speaker",
    "unreadable": "unreadable file",
    "missing": "missing file",
    "encoding": "encoding",
    "repeated_text": "repeated text",
    "unpronounceable": "cannot be pronounced",
    "little_speech": "little speech",
}
STATE_SHAPES = {
    RowState.CLEAN: "none",
    RowState.OPEN: "wait",
    RowState.MENDED: "pass",
    RowState.REPAIR: "pass",
    RowState.UNMENDED: "fail",
    RowState.KEEP: "pass",
    RowState.DROP: "fail",
    RowState.LOST: "fail",
}
STATE_WORDS = {
    RowState.CLEAN: "as it is",
    RowState.OPEN: "undecided",
    RowState.MENDED: "mended by preparing",
    RowState.REPAIR: "repaired",
    RowState.UNMENDED: "still left out",
    RowState.KEEP: "kept",
    RowState.DROP: "dropped",
    RowState.LOST: "unreadable",
}
ACTION_WORDS = {
    Action.KEEP: "keep as it is",
    Action.DROP: "drop",
    Action.STRIP_TAGS: "strip tags",
    Action.SET_TEXT: "set the text",
    Action.TRIM: "trim silence",
    Action.RESAMPLE: "resample",
    Action.MONO: "make mono",
}
DONE_WORDS = {
    Action.KEEP: "kept",
    Action.DROP: "dropped",
    Action.STRIP_TAGS: "tags stripped",
    Action.SET_TEXT: "text written",
    Action.TRIM: "silence trimmed",
    Action.RESAMPLE: "resampled",
    Action.MONO: "made mono",
}
EXPORT_NAMES = {
    "qwen3_tts": "Qwen3-TTS",
    "voxcpm": "VoxCPM",
    "cosyvoice": "CosyVoice",
    "indextts2": "IndexTTS2",
    "ljspeech": "LJSpeech",
    "earmark": "Earmark",
}
EXPORT_FOLDERS = frozenset(("cosyvoice", "ljspeech"))  # the others are one file a split
ROWS_A_STEP = 8


def check_name(check: str) -> str:
    """How a page names a check."""
    return CHECK_NAMES.get(check, check.replace("_", " "))


def count(number: int) -> str:
    """'10,000'."""
    return f"{number:,}"


def counted(number: int, word: str) -> str:
    """'1 row', '10,000 rows'."""
    return f"{number:,} {word}{'' if number == 1 else 's'}"


def percent(share: float) -> str:
    """'4.4 %', '57 %'; a share that is not nothing is never shown as 0."""
    value = 100 * share
    if 0 < value < 0.1:
        return "under 0.1 %"
    return f"{value:.0f} %" if value >= 10 or value == 0 else f"{value:.1f} %"


def state(row: DeskRow) -> str:
    """What becomes of a row."""
    return view.state(STATE_SHAPES[row.state], _state_word(row))


def _state_word(row: DeskRow) -> str:
    if row.state is RowState.REPAIR:
        done = [DONE_WORDS[d.action] for d in row.decisions if d.action in REPAIRS]
        return done[0] if len(done) == 1 else f"{len(done)} repairs"
    if row.state is RowState.KEEP:
        by = next((d.by for d in row.decisions if d.action is Action.KEEP), "")
        return f"kept by {by}" if by else "kept"
    return STATE_WORDS[row.state]
