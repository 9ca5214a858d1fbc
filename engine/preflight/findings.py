"""How preflight puts a finding: what is fine, what is refused, the one setting that would mend it, sizes in words."""

from __future__ import annotations

from engine.types import Change, Level, PreflightItem, RunConfig

OVERRIDE = "accepted_by"  # the setting by which a person takes on what preflight refuses


def refused(config: RunConfig, setting: str, new: object, text: str) -> PreflightItem:
    """A setting that cannot be run here, with the value that can."""
    return PreflightItem(
        check=setting, level=Level.REFUSE, text=text, changes=(change(config, setting, new, "can be run here"),)
    )


def ok(check: str, text: str) -> PreflightItem:
    """Something that was looked at and is fine."""
    return PreflightItem(check=check, level=Level.OK, text=text)


def change(config: RunConfig, setting: str, new: object, effect: str) -> Change:
    """One setting changed from what it is, and what that brings."""
    return Change(setting=setting, old=getattr(config, setting), new=new, effect=effect)


def size(count: float) -> str:
    """Bytes in MB or GB, for a sentence."""
    return f"{count / 1e6:.0f} MB" if count < 1e9 else f"{count / 1e9:.1f} GB"  # decimal, as on the pages
