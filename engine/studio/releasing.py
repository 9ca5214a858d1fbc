"""Use cases about voices: promote a candidate that passed, export it, verify what was exported."""

from __future__ import annotations

import shutil
from pathlib import Path

from engine import promotion
from engine.studio.deciding import Deciding
from engine.types import Bundle, Candidate, GenerationSettings, NotFound, Promotion


class Releasing(Deciding):
    """What the Voices page does."""

    def promote(
        self,
        candidate: Candidate,
        *,
        alias: str,
        by: str,
        reason: str = "",
        settings: GenerationSettings | None = None,
    ) -> Promotion:
        """Point an alias at a candidate. Raises Refused unless its latest verdict is a pass.

        It will speak with the generation settings of the clips that were judged, unless others are given.
        """
        verdict = next((v for v in self.store.verdicts() if v.candidate == candidate), None)
        adapter = self.checkpoint(candidate.checkpoint_id).adapter if candidate.checkpoint_id else None
        made = promotion.promote(
            candidate,
            adapter=adapter,
            verdict=verdict,
            alias=alias,
            settings=settings or self._judged_settings(candidate),
            by=by,
            reason=reason,
            now=self._clock(),
        )
        self.store.add_promotion(made)
        return made

    def _judged_settings(self, candidate: Candidate) -> GenerationSettings:
        """The settings of the clip that was judged last; the verdict is about how that sounds."""
        rendered = self._one_take(candidate)
        return rendered[-1].settings if rendered else GenerationSettings()

    def promotions(self) -> list[Promotion]:
        """What every alias points at now."""
        return self.store.promotions()

    def promotion(self, alias: str) -> Promotion:
        """What an alias points at now. Raises NotFound with the known aliases."""
        found = self.store.promotion(alias)
        if found is None:
            known = ", ".join(p.alias for p in self.promotions()) or "none yet"
            raise NotFound(f"Nothing is promoted as {alias!r}; promoted are: {known}.")
        return found

    def export(self, alias: str) -> Bundle:
        """Write the promoted adapter in PEFT's format with its scale, settings, model card and checksums; verified."""
        made = self.promotion(alias)
        checkpoint = self.checkpoint(made.candidate.checkpoint_id or "")
        verdict = next((v for v in self.store.verdicts() if v.id == made.verdict_id), None)
        bundle = promotion.export(
            made, adapter=checkpoint.adapter, verdict=verdict, exports=self.workspace.exports, now=self._clock()
        )
        self.store.add_act(
            "export",
            made.promoted_by,
            {"checkpoint": checkpoint.id, "path": str(bundle.path), "sha256": bundle.sha256},
            at=self._clock(),
        )
        return bundle

    def export_zip(self, alias: str) -> Path:
        """The export as one file to download."""
        bundle = self.export(alias)
        return Path(shutil.make_archive(str(bundle.path), "zip", bundle.path.parent, bundle.path.name))

    def verify(self, path: Path) -> Bundle:
        """Check an exported folder against its checksums. Raises with the first file that differs."""
        return promotion.verify(path)
