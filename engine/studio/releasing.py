"""Use cases about voices: promote a candidate that passed, go back, try it, export it, verify what was exported."""

from __future__ import annotations

import io
import json
import shutil
import zipfile
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from functools import partial
from pathlib import Path

from engine import dataset, environments, importing, monitors, promotion, runs
from engine.bundle import checking, record, writing
from engine.bundle.record import Evidence, Preference, Sample, Variants
from engine.gate import counts, decide
from engine.promotion import Manner
from engine.runs import record as run_record
from engine.studio.answers import manner_of, reference_of
from engine.studio.deciding import PreferenceRow
from engine.studio.keeping import Keeping
from engine.types import (
    BadInput,
    Bundle,
    Candidate,
    Checkpoint,
    EngineError,
    Gate,
    NotFound,
    Outcome,
    Promotion,
    Speech,
    Tier,
    Verdict,
)


class Releasing(Keeping):
    """What the Voices page does."""

    def promote(
        self,
        candidate: Candidate,
        *,
        alias: str,
        by: str,
        reason: str = "",
        settings: Mapping[str, float] | None = None,
        reference: str | None = None,
        gate: str = "",
    ) -> Promotion:
        """Point an alias at a candidate. Raises Refused unless its latest verdict, under `gate` or any, is a pass.

        It will speak as it was judged: with the generation settings of the clips that passed, unless others are given,
        and after their reference. `reference` (a hash, "" for none) says which, where several passed.
        """
        about = [v for v in self.store.verdicts() if v.candidate == candidate and gate in ("", v.gate)]
        verdict = about[-1] if about else None
        judged = self._judged_manner(candidate, verdict, reference)
        checkpoint = self.checkpoint(candidate.checkpoint_id) if candidate.checkpoint_id else None
        made = promotion.promote(
            candidate,
            adapter=checkpoint.adapter if checkpoint else None,
            verdict=verdict,
            alias=alias,
            settings=judged.settings if settings is None else self.settings_in_force(settings, candidate.backend),
            reference_sha256=judged.reference_sha256,
            by=by,
            reason=reason,
            now=self._clock(),
            holder=self.store.promotion(alias),
            trainer_version=self._trainer_version(checkpoint.run_id) if checkpoint else "",
        )
        self.store.add_promotion(made)
        return made

    def roll_back(self, alias: str, *, by: str, reason: str) -> Promotion:
        """Point an alias at what it pointed at before, with the settings it had then. It must still pass."""
        earlier = promotion.before(alias, self.store.promotion_history())
        return self.promote(
            earlier.candidate,
            alias=alias,
            by=by,
            reason=reason,
            settings=earlier.settings.flat,
            reference=earlier.reference_sha256 or None,
        )

    def manners(self, candidate: Candidate, gate: str = "") -> list[Manner]:
        """In which manners a candidate passes a gate by itself, the one that was answered about last at the end."""
        return self._passing_manners(candidate, self.gate(gate))

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

    def promotion_history(self, alias: str) -> list[Promotion]:
        """Everything that an alias ever pointed at, newest first."""
        return [p for p in self.store.promotion_history() if p.alias == alias][::-1]

    def previous_holder(self, alias: str) -> Promotion | None:
        """What an alias pointed at before; None when it never pointed at anything else."""
        try:
            return promotion.before(alias, self.store.promotion_history())
        except (NotFound, IndexError):
            return None

    # ------------------------------------------------------------------------------------------------------- speaking
    def speak_alias(self, text: str, *, alias: str, seed: int = 42) -> Speech:
        """Speak any text as the promoted voice: its scale and its settings."""
        made = self.promotion(alias)
        after = self.reference(made.reference_sha256) if made.reference_sha256 else None
        return self.speak(text, candidate=made.candidate, seed=seed, settings=made.settings.flat, reference=after)

    def speak_lines(self, alias: str, lines: Sequence[str], *, seed: int = 42) -> bytes:
        """A zip of one WAV a line, with a manifest that says how each was made. Raises BadInput without any line."""
        import soundfile

        wanted = [line.strip() for line in lines if line.strip()]
        if not wanted:
            raise BadInput("Write at least one line to be spoken, one a row.")
        made = self.promotion(alias)
        packed, told = io.BytesIO(), []
        with zipfile.ZipFile(packed, "w") as archive:
            for number, text in enumerate(wanted, start=1):
                speech = self.speak_alias(text, alias=alias, seed=seed)
                name, sound = f"{number:04d}.wav", io.BytesIO()
                soundfile.write(sound, speech.samples, speech.sample_rate, format="WAV", subtype="PCM_16")
                archive.writestr(name, sound.getvalue())
                told.append({"audio": name, "text": text, "seed": seed, "stop": speech.stop.value})
            archive.writestr("manifest.jsonl", "".join(json.dumps(row, ensure_ascii=False) + "\n" for row in told))
            voice = {"alias": alias, "candidate": made.candidate.id, "settings": asdict(made.settings)}
            archive.writestr("voice.json", json.dumps(voice, indent=1))
        return packed.getvalue()

    # ------------------------------------------------------------------------------------------------------ exporting
    def export(
        self,
        alias: str,
        *,
        out: Path | None = None,
        forms: Sequence[str] = (),
        consent: str = "",
        licence: str = "",
        listen: bool = True,
    ) -> Bundle:
        """Write the promoted voice with its scale, settings, evidence, model card and checksums; spoken and verified.

        `forms` names what is written beside the adapter: "baked", "merged". Without `listen` nothing is spoken, for a
        machine without the base weights. `out` must not exist or be empty; without it the bundle lies in the
        workspace, and one that is there is verified and returned.
        """
        made = self.promotion(alias)
        checkpoint = self.checkpoint(made.candidate.checkpoint_id or "")
        wanted = _variants(forms)
        written = writing.export(
            made,
            adapter=checkpoint.adapter,
            evidence=self._evidence_of(made, checkpoint.run_id, consent, licence),
            target=_target(out) if out else self.workspace.exports / _folder_name(made, wanted),
            now=self._clock(),
            wanted=wanted,
            speak=(lambda text, seed: self.speak_alias(text, alias=alias, seed=seed)) if listen else None,
            reference=self.reference(made.reference_sha256) if made.reference_sha256 else None,
            interpreter=environments.interpreter(self.workspace, made.candidate.backend),
        )
        told = {"checkpoint": checkpoint.id, "path": str(written.path), "sha256": written.sha256}
        self.store.add_act("export", made.promoted_by, told, at=self._clock())
        return written

    def export_zip(self, alias: str) -> Path:
        """The export as one file to download."""
        return self.zipped(self.export(alias))

    def zipped(self, written: Bundle) -> Path:
        """A bundle as one file, beside it."""
        return Path(shutil.make_archive(str(written.path), "zip", written.path.parent, written.path.name))

    def import_adapter(
        self, source: Path, *, backend: str = "finch", voice: str = "", part: str = "", name: str = "", by: str = ""
    ) -> Checkpoint:
        """Bring in a PEFT adapter or an exported voice, a folder or an archive, as a checkpoint to sweep and judge."""
        with self.host(backend, wait_sec=30) as host:
            made = importing.bring_in(
                source,
                model=host.model,
                runs_root=self.workspace.runs,
                name=name,
                now=self._clock(),
                voice=voice,
                part=part,
            )
        told = {"checkpoint": made.id, "from": source.name, "sha256": made.adapter.sha256}
        self.store.add_act("import", by, told, at=self._clock())
        return made

    def verify(self, path: Path, *, listen: bool = True) -> Bundle:
        """Check an exported folder against its checksums, and speak its check line through plain PEFT.

        Raises with the first file that differs.
        """
        interpreters = partial(environments.interpreter, self.workspace)
        return checking.listen(path, interpreters=interpreters) if listen else checking.verify(path)

    # --------------------------------------------------------------------------------------------------------- inside
    def _judged_manner(self, candidate: Candidate, verdict: Verdict | None, reference: str | None) -> Manner:
        """The manner of speaking that a verdict is about."""
        if verdict is None or verdict.outcome is not Outcome.PASS:  # refused by `promotion`, which says why
            return Manner(reference_sha256=reference or "", settings=self.settings_in_force({}, candidate.backend))
        names = {each.reference.sha256: each.name for each in self.references()}
        return promotion.manner(self._passing_manners(candidate, self.gate_of(verdict)), reference, names)

    def _passing_manners(self, candidate: Candidate, rules: Gate) -> list[Manner]:
        """In which manners the rules pass a candidate by the answers about clips of that manner alone."""
        record = self._record()
        judged = [each for each in record.judged.get(candidate, []) if counts(rules, each)]
        flagged = record.flagged.get(candidate, [])
        spoken: dict[str, Manner] = {}
        for answer in sorted(judged, key=lambda each: record.answered_at(each.clip_id)):
            spoken[answer.clip_id] = manner_of(record.clip(answer.clip_id))
        found = list(dict.fromkeys(reversed(spoken.values())))[::-1]
        if len(found) < 2:
            return found
        return [
            manner
            for manner in found
            if decide(
                rules,
                candidate,
                [each for each in judged if spoken[each.clip_id] == manner],
                [each for each in flagged if spoken.get(each.flag.clip_id) == manner],
            )[0]
            is Outcome.PASS
        ]

    def _trainer_version(self, run_id: str) -> str:
        """The commit of the code that trained a run; empty when its record does not say."""
        try:
            code = run_record.read(self.workspace.runs / run_id).get("code", {})
        except EngineError:
            return ""
        return str(code.get("commit", ""))

    def _marked_at_first(self, run_id: str) -> tuple[str, str]:
        """What was marked of the base that a run began with, and who accepted it; empty where nothing was."""
        try:
            run = runs.get(self.workspace.runs / run_id)
        except EngineError:
            return "", ""
        found = [one.text for one in runs.series(run.path).alerts if one.monitor == monitors.UNLOADED]
        return (found[0], run.config.weights_accepted_by) if found else ("", "")

    def _evidence_of(self, made: Promotion, run_id: str, consent: str, licence: str) -> Evidence:
        own = [v for v in self.store.verdict_history() if v.id == made.verdict_id]
        others = [
            v
            for v in self.store.verdicts()
            if v.candidate.checkpoint_id == made.candidate.checkpoint_id and v.id != made.verdict_id
        ]
        return Evidence(
            verdicts=(*own, *others),
            preferences=tuple(
                each for row in self.preferences() if (each := _preference(row, made.candidate)) is not None
            ),
            samples=self._samples(made),
            data=self._data_statement(run_id),
            consent=consent.strip() or record.NO_CONSENT,
            licence=licence.strip() or record.DEFAULT_LICENCE,
        )

    def _samples(self, made: Promotion) -> tuple[Sample, ...]:
        """The candidate's last clip of each tier after the promoted reference, with what screeners said of it."""
        own = [clip for clip in self.clips([made.candidate]) if reference_of(clip) == made.reference_sha256]
        latest = {clip.tier: clip for clip in own if clip.path.is_file()}
        scores = self.scores([clip.id for clip in latest.values()])
        return tuple(
            Sample(clip=latest[tier], scores=tuple(scores.get(latest[tier].id, ()))) for tier in Tier if tier in latest
        )

    def _data_statement(self, run_id: str) -> dict[str, str]:
        """What is known of the recordings that the voice learned from."""
        try:
            told = run_record.read(self.workspace.runs / run_id)["dataset"]
            found = dataset.load((self.workspace.runs / run_id / told["path"]).resolve())
        except (EngineError, KeyError, TypeError):
            return {}
        marked, accepted_by = self._marked_at_first(run_id)
        answered = f" Accepted by {accepted_by}." if accepted_by else ""
        doubt = {"Base weights": marked + answered} if marked else {}
        return {
            **doubt,
            "Dataset": found.id,
            "Lines to train on": str(found.train_count),
            "Minutes": f"{found.train_sec / 60:.1f}",
            "Held-out lines": str(found.validation_count),
            "Left out by the audit": str(found.excluded_count),
            "Manifest sha256": found.manifest_sha256,
        }


def _target(out: Path) -> Path:
    """`out`, when nothing would be written over. An empty folder makes room for the bundle of that name."""
    if out.is_dir() and not any(out.iterdir()):
        out.rmdir()
    return out


def _variants(forms: Sequence[str]) -> Variants:
    if unknown := sorted(set(forms) - {record.BAKED, record.MERGED}):
        raise BadInput(f"There is no form {unknown[0]!r} of an export; there are {record.BAKED} and {record.MERGED}.")
    return Variants(baked=record.BAKED in forms, merged=record.MERGED in forms)


def _folder_name(made: Promotion, wanted: Variants) -> str:
    return "-".join((made.alias.replace("/", "-"), made.id, *wanted.names))


def _preference(row: PreferenceRow, candidate: Candidate) -> Preference | None:
    """A row of A/B answers from the promoted candidate's side; None when it is not about it."""
    if candidate not in (row.first, row.second):
        return None
    is_first, counted = row.first == candidate, row.summary
    low, high = counted.interval.low, counted.interval.high
    return Preference(
        against=row.second_label if is_first else row.first_label,
        wins=counted.wins if is_first else counted.losses,
        losses=counted.losses if is_first else counted.wins,
        ties=counted.ties,
        low=low if is_first else 1 - high,
        high=high if is_first else 1 - low,
        simulated=row.simulated,
    )
