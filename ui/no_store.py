"""The headers of answers that no browser keeps: what is behind a token or a draft may be another thing next time."""

from __future__ import annotations

NO_STORE = {"Cache-Control": "no-store", "X-Content-Type-Options": "nosniff"}
