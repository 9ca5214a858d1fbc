"""How long an MP3 without a length in its header is: its frames are counted, which is walking over their headers.

Knows MPEG audio layer III frame headers (ISO/IEC 11172-3 and 13818-3) and nothing of decoding. libsndfile takes the
first frame's bit rate for all where no header says the length, and stops reading at the length that follows from it.
"""

from __future__ import annotations

from pathlib import Path

_KBIT = {
    1: (0, 32, 40, 48, 56, 64, 80, 96, 112, 128, 160, 192, 224, 256, 320),
    2: (0, 8, 16, 24, 32, 40, 48, 56, 64, 80, 96, 112, 128, 144, 160),
}
_HZ = {3: (44100, 48000, 32000), 2: (22050, 24000, 16000), 0: (11025, 12000, 8000)}  # MPEG 1, 2 and 2.5
_LENGTH_HEADERS = (b"Xing", b"Info", b"VBRI")
_SEARCHED_BYTES = 65_536  # after a frame that is followed by something else


def counted_samples(path: Path) -> int | None:
    """Samples a channel by counting frames; None where a header of the file says it, or no frame is found."""
    with path.open("rb") as file:
        file.seek(_after_tag(file.read(10)))
        content = file.read(_SEARCHED_BYTES)
        at = _next_frame(content, 0)
        if at is None or any(name in content[at : at + 200] for name in _LENGTH_HEADERS):
            return None
        content += file.read()
    samples = 0
    while at is not None:
        size, count = _frame(content, at)
        if size == 0:
            at = _next_frame(content, at)
            continue
        samples += count
        at += size
        if at + 4 > len(content):
            break
    return samples


def _frame(content: bytes, at: int) -> tuple[int, int]:
    """(bytes, samples) of the frame that begins here; (0, 0) when none does."""
    head = content[at : at + 4]
    if len(head) < 4 or head[0] != 0xFF or head[1] & 0xE0 != 0xE0 or (head[1] >> 1) & 3 != 1:
        return 0, 0
    version, rate, hz = (head[1] >> 3) & 3, head[2] >> 4, (head[2] >> 2) & 3
    if version == 1 or rate in (0, 15) or hz == 3:
        return 0, 0
    first = version == 3
    kbit = _KBIT[1 if first else 2][rate]
    return (144 if first else 72) * kbit * 1000 // _HZ[version][hz] + ((head[2] >> 1) & 1), 1152 if first else 576


def _next_frame(content: bytes, at: int) -> int | None:
    """Where the next frame begins that another one, or the end, follows."""
    end = min(len(content), at + _SEARCHED_BYTES)
    while (at := content.find(b"\xff", at, end)) >= 0:
        size, _ = _frame(content, at)
        if size and (at + size >= len(content) - 3 or _frame(content, at + size)[0]):
            return at
        at += 1
    return None


def _after_tag(content: bytes) -> int:
    """Past an ID3v2 tag, whose size is written in bytes of seven bits."""
    if content[:3] != b"ID3" or len(content) < 10:
        return 0
    a, b, c, d = content[6:10]
    return 10 + ((a & 127) << 21 | (b & 127) << 14 | (c & 127) << 7 | (d & 127))
