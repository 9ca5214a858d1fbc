"""The language model's arithmetic on tiny random weights: positions, labels, guide, table."""

import random

import pytest
import torch

from engine.backends.finch import language_model as lm
from engine.backends.finch.layers import FiniteScalarQuantiser
from engine.backends.finch.pretrain.sampling import Request, generate
from engine.backends.finch.weights import Sampling

CONFIG = lm.LanguageModelConfig(layers=3, width=32, heads=2, feed_forward=48, speakers=4, tokens=60)
WORDS = lm.Vocabulary((2.0, 1.5, 3.0, 4.0), CONFIG.speakers, CONFIG.tokens)
ITEMS = [
    lm.Item(1, (0, 1, 2, 3), (5, 6, 7, 8, 9, 10), 1.0, (0.0, 0.08, 0.14, 0.24)),
    lm.Item(0, (2, 3), (1, 2), 0.8, (0.0, 0.06)),
]


def model() -> lm.Qwen2ForCausalLM:
    torch.manual_seed(0)
    return lm.build(CONFIG, WORDS).eval()


def test_ids_do_not_overlap() -> None:
    assert (WORDS.first_speaker, WORDS.bos, WORDS.eos, WORDS.pad) == (4, 8, 9, 10)
    assert WORDS.size == 11 + 60


def test_phonemes_stand_where_they_are_expected_to_be_spoken() -> None:
    assert WORDS.prefix_positions((0, 2, 3), 1.0) == [0, 2, 5, 8, 0]
    assert WORDS.prefix_positions((0, 2, 3), 2.0) == [0, 3, 8, 15, 0]


def test_the_clock_is_tokens_over_expected_tokens_without_the_closing_pause() -> None:
    assert WORDS.expected_tokens((0, 2, 3)) == pytest.approx(5.0)
    assert WORDS.clock_of((0, 2, 3), 10) == pytest.approx(2.0)


def test_a_batch_labels_tokens_and_eos_alone() -> None:
    batch = lm.collate(ITEMS, WORDS)
    labelled = batch.labels[0] != lm.IGNORED
    assert int(labelled.sum()) == 7
    assert int(batch.ids[0, 12]) == WORDS.eos
    assert torch.equal(batch.labels[0][labelled], batch.ids[0, 6:13])
    assert batch.positions[0, 5:13].tolist() == list(range(8))
    assert batch.attention_mask[1].sum() == len(ITEMS[1])


def test_the_loss_is_that_of_predicting_the_next_id() -> None:
    net, batch = model(), lm.collate(ITEMS[:1], WORDS)
    with torch.no_grad():
        logits = net(input_ids=batch.ids, position_ids=batch.positions, attention_mask=batch.attention_mask).logits[0]
    wanted = torch.nn.functional.cross_entropy(logits[5:-1], batch.ids[0, 6:])
    assert float(lm.loss(net, batch)["tokens"].detach()) == pytest.approx(float(wanted), rel=1e-4)


def test_padding_changes_nothing() -> None:
    net = model()
    each = [lm.loss(net, lm.collate([item], WORDS))["tokens"] for item in ITEMS]
    together = lm.loss(net, lm.collate(ITEMS, WORDS))["tokens"]
    assert float(together.detach()) == pytest.approx(float((each[0] * 7 + each[1] * 3).detach() / 10), rel=1e-4)


def test_guided_attention_is_the_attention_mass_on_the_spoken_phonemes() -> None:
    net = model()
    net.set_attn_implementation("eager")
    guide, batch = lm.GuidedAttention(net, (1,)), lm.collate(ITEMS[:1], WORDS)
    parts = lm.loss(net, batch, guide)
    attention = net(
        input_ids=batch.ids, position_ids=batch.positions, attention_mask=batch.attention_mask,
        output_attentions=True,
    ).attentions[1][0, 0]  # fmt: skip
    mass = [attention[q, batch.lowest_key[0, q] : batch.highest_key[0, q] + 1].sum().log() for q in range(5, 12)]
    assert batch.is_query[0].nonzero().squeeze(1).tolist() == list(range(5, 12))
    assert float(parts["guide"].detach()) == pytest.approx(-float(sum(mass).detach()) / 7, rel=1e-3)


def test_a_folded_table_gives_the_same_loss() -> None:
    net, batch = model(), lm.collate(ITEMS, WORDS)
    digits = FiniteScalarQuantiser((5, 4, 3)).digits(torch.arange(60))
    table = lm.FactorisedTable(net, WORDS, digits)
    before = float(lm.loss(net, batch, table=table.folded())["tokens"].detach())
    with torch.no_grad():
        net.model.embed_tokens.weight.copy_(table.folded())
    assert float(lm.loss(net, batch)["tokens"].detach()) == pytest.approx(before, rel=1e-5)


def test_jitter_moves_phonemes_and_never_tokens() -> None:
    plain = lm.collate(ITEMS, WORDS)
    moved = lm.collate(ITEMS, WORDS, random.Random(0), 0.5)
    assert not torch.equal(plain.positions[0, :5], moved.positions[0, :5])
    assert torch.equal(plain.positions[0, 5:], moved.positions[0, 5:])


def test_a_sampled_row_is_the_same_alone_and_in_a_batch() -> None:
    requests = [Request((0, 1, 2, 3), 1, 1.0, 3), Request((2, 3), 0, 0.8, 4)]
    settings = Sampling(temperature=1.0, top_k=10)
    together = generate(model(), WORDS, requests, settings)
    for request, row in zip(requests, together, strict=True):
        alone = generate(model(), WORDS, [request], settings)[0]
        assert torch.equal(alone.tokens, row.tokens)
        assert alone.finished == row.finished


def test_teacher_forcing_over_greedy_tokens_predicts_them() -> None:
    net = model()
    made = generate(net, WORDS, [Request((0, 1, 2, 3), 1, 1.0, 0)], Sampling(temperature=0.0))[0]
    item = lm.Item(1, (0, 1, 2, 3), tuple(made.tokens.tolist()), 1.0)
    batch = lm.collate([item], WORDS)
    logits = net(input_ids=batch.ids, position_ids=batch.positions, attention_mask=batch.attention_mask).logits[0]
    logits[:, : WORDS.eos], logits[:, WORDS.pad] = -torch.inf, -torch.inf
    start = len(item.phonemes) + 2
    predicted = logits.argmax(-1)[start - 1 : start - 1 + len(item.tokens)] - WORDS.first_token
    assert predicted.tolist() == list(item.tokens)
