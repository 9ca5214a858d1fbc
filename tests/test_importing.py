"""Bringing in: what fits becomes a checkpoint byte for byte, what does not is named and leaves nothing behind."""

from __future__ import annotations

import json
import shutil
import zipfile
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from safetensors.torch import save_file
from torch import Tensor

from engine import checkpoints, importing, runs
from engine.adapter_files import load_adapter
from engine.adapters import AdapterHost
from engine.types import Adapter, BadInput, EngineError, NotFound, Refused, RunState
from tests.adapter_factory import TARGETS, TwoPartModel, make_adapter, row

MODEL = TwoPartModel()


@pytest.fixture(name="adapter")
def _adapter(tmp_path: Path) -> Adapter:
    """What somebody else trained: PEFT's two files a part, nothing of ours."""
    made = make_adapter(tmp_path / "foreign", MODEL, seed=1)
    (tmp_path / "foreign" / "adapter.json").unlink()
    return made


def bring_in(source: Path, tmp_path: Path, **others: str) -> checkpoints.Checkpoint:
    asked = {"voice": "v", "name": "guest"} | others
    return importing.bring_in(source, model=MODEL, runs_root=tmp_path / "runs", now=1.0, **asked)  # type: ignore[arg-type]


def nothing_is_left(tmp_path: Path) -> bool:
    return not (tmp_path / "runs").exists() or list((tmp_path / "runs").iterdir()) == []


def test_a_foreign_adapter_is_a_checkpoint_that_speaks(adapter: Adapter, tmp_path: Path) -> None:
    """Its run is complete, its files have the same bytes, and the host speaks with it as with the original."""
    made = bring_in(adapter.path, tmp_path)
    (run,) = runs.listing(tmp_path / "runs")
    assert (run.state, run.config.parts, run.config.rank) == (RunState.COMPLETED, ("lm", "decoder"), 4)
    assert checkpoints.listing(run.path) == [made]
    checkpoints.verify(made.path)
    for part in ("lm", "decoder"):
        for name in ("adapter_config.json", "adapter_model.safetensors"):
            assert (made.path / part / name).read_bytes() == (adapter.path / part / name).read_bytes()
    host = AdapterHost(TwoPartModel())
    host.add(made.adapter)
    spoken = host.speak([row("hello", made.adapter, 0.5), row("hello")])
    assert (spoken[0].samples != spoken[1].samples).any()


def test_a_single_part_finds_its_place(adapter: Adapter, tmp_path: Path) -> None:
    """A plain PEFT folder is of the one part that it fits, or of the one that is named."""
    made = bring_in(adapter.path / "decoder", tmp_path)
    assert made.adapter.parts == ("decoder",)
    assert bring_in(adapter.path / "lm", tmp_path, part="lm").adapter.parts == ("lm",)


def test_an_archive_is_brought_in(adapter: Adapter, tmp_path: Path) -> None:
    """A zip of the folder is the same adapter."""
    packed = Path(shutil.make_archive(str(tmp_path / "guest"), "zip", adapter.path.parent, adapter.path.name))
    assert bring_in(packed, tmp_path, name="").adapter.sha256 == bring_in(adapter.path, tmp_path).adapter.sha256
    assert {run.id.rsplit("-", 2)[0] for run in runs.listing(tmp_path / "runs")} == {"imported-guest", "guest"}


def test_our_own_keeps_its_identity(tmp_path: Path) -> None:
    """A checkpoint or an export knows its voice and its settings, and has the same hash here."""
    ours = make_adapter(tmp_path / "ours", MODEL, seed=2)
    made = bring_in(ours.path, tmp_path, voice="")
    assert replace(made.adapter, path=ours.path) == load_adapter(ours.path)


def full_folder(folder: Path, **changes: Tensor) -> Path:
    """Full weights of one part as somebody else's trainer has them, with nothing that describes them."""
    (folder / "decoder").mkdir(parents=True)
    weights = {name: tensor + 0.1 for name, tensor in MODEL.decoder.state_dict().items()} | changes
    save_file(weights, folder / "decoder" / "full.safetensors")
    return folder


def test_full_weights_from_elsewhere_are_a_checkpoint_that_speaks(tmp_path: Path) -> None:
    """Written by the part's own names, they come in byte for byte and are laid over the base; one tensor too many is
    another model's.
    """
    source = full_folder(tmp_path / "tuned")
    made = bring_in(source, tmp_path)
    assert (made.adapter.kind, made.adapter.parts, made.adapter.rank) == ("full", ("decoder",), 0)
    assert (made.path / "decoder/full.safetensors").read_bytes() == (source / "decoder/full.safetensors").read_bytes()
    assert runs.listing(tmp_path / "runs")[0].config.method == "full"
    host = AdapterHost(TwoPartModel())
    host.add(made.adapter)
    spoken = host.speak([row("hello", made.adapter, 1.0), row("hello")])
    assert (spoken[0].samples != spoken[1].samples).any()
    with pytest.raises(Refused, match="belongs to another model"):
        bring_in(full_folder(tmp_path / "strange", other=torch.zeros(1)), tmp_path)


@pytest.mark.parametrize("name", ["model_step14000.pth", "last.CKPT", "pytorch_model.bin", "gpt.pt"])
def test_a_pickled_model_is_refused_with_the_way_to_convert_it(tmp_path: Path, name: str) -> None:
    """Alone or in a folder, torch's own files are never opened; the sentence says what to write instead."""
    (tmp_path / "theirs").mkdir()
    torch.save({"model": MODEL.decoder.state_dict()}, tmp_path / "theirs" / name)
    for source in (tmp_path / "theirs" / name, tmp_path / "theirs"):
        with pytest.raises(BadInput, match=f"{name} is a pickle.*weights_only=True.*NEW_FOLDER/PART/full.safetensors"):
            bring_in(source, tmp_path)
    assert nothing_is_left(tmp_path)


def rewritten(adapter: Adapter, part: str, **changes: object) -> None:
    path = adapter.path / part / "adapter_config.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | changes))


def pickled(adapter: Adapter) -> None:
    (adapter.path / "lm" / "adapter_model.safetensors").rename(adapter.path / "lm" / "adapter_model.bin")


HARMS: dict[str, tuple[Callable[[Adapter], object], type[EngineError], str]] = {
    "dora": (lambda a: rewritten(a, "lm", use_dora=True), Refused, "use_dora"),
    "unknown target": (lambda a: rewritten(a, "lm", target_modules=["nothing"]), Refused, "targets nothing"),
    "another rank": (lambda a: rewritten(a, "lm", r=8), Refused, "shape"),
    "rank pattern": (lambda a: rewritten(a, "lm", rank_pattern={TARGETS["lm"][0]: 2}), Refused, "shape"),
    "no weights": (lambda a: (a.path / "lm" / "adapter_model.safetensors").unlink(), BadInput, "is missing"),
    "pickle": (pickled, BadInput, "is a pickle"),
    "disguised": (
        lambda a: (a.path / "lm" / "adapter_model.safetensors").write_bytes(b"\x80\x04 pickle"),
        BadInput,
        "is damaged",
    ),
    "not lora": (lambda a: rewritten(a, "lm", peft_type="LOHA"), Refused, "LOHA|only LoRA"),
    "no json": (lambda a: (a.path / "lm" / "adapter_config.json").write_text("{"), BadInput, "not a PEFT config"),
}


@pytest.mark.parametrize("harm", HARMS)
def test_what_does_not_fit_is_named(adapter: Adapter, tmp_path: Path, harm: str) -> None:
    """DoRA, other modules, other ranks, pickles, damage: a sentence each, and no run."""
    change, error, told = HARMS[harm]
    change(adapter)
    with pytest.raises(error, match=told):
        bring_in(adapter.path, tmp_path)
    assert nothing_is_left(tmp_path)


def test_another_base_is_refused(tmp_path: Path) -> None:
    """An adapter that says what it was trained on is not put on something else."""
    ours = make_adapter(tmp_path / "ours", MODEL, seed=2)
    told = json.loads((ours.path / "adapter.json").read_text())
    (ours.path / "adapter.json").write_text(json.dumps(told | {"base_sha256": "c" * 64}))
    with pytest.raises(Refused, match="was trained on"):
        bring_in(ours.path, tmp_path)
    assert nothing_is_left(tmp_path)


def test_a_name_that_climbs_out_of_an_archive_is_refused(adapter: Adapter, tmp_path: Path) -> None:
    """An archive cannot write where it likes."""
    with zipfile.ZipFile(tmp_path / "evil.zip", "w") as packed:
        packed.writestr("../evil/adapter_config.json", "{}")
    with pytest.raises(BadInput, match="evil"):
        bring_in(tmp_path / "evil.zip", tmp_path)
    assert nothing_is_left(tmp_path)
    assert not (tmp_path / "evil").exists()


@pytest.mark.parametrize(
    ("asked", "error", "told"),
    [
        ({"voice": "nobody"}, BadInput, "choose one of"),
        ({"voice": ""}, BadInput, "does not say"),
        ({"part": "flow"}, BadInput, "no part 'flow'"),
    ],
)
def test_a_wrong_wish_is_answered(
    adapter: Adapter, tmp_path: Path, asked: dict[str, str], error: type[EngineError], told: str
) -> None:
    """Voices and parts are those of the model."""
    with pytest.raises(error, match=told):
        bring_in(adapter.path, tmp_path, **asked)


def test_nothing_is_not_an_adapter(tmp_path: Path) -> None:
    """A path that does not exist and an empty folder say so."""
    (tmp_path / "empty").mkdir()
    for source, told in ((tmp_path / "gone", "does not exist"), (tmp_path / "empty", "no adapter")):
        with pytest.raises(NotFound, match=told):
            bring_in(source, tmp_path)
