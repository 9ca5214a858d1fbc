"""A stand-in, for tests: the language models, the later ones over transformers' own class as upstream's are."""

import random

import torch
from torch import nn
from torch.nn import functional
from transformers import Qwen2ForCausalLM

IGNORED = -1


class Qwen2Encoder(nn.Module):
    def __init__(self, pretrain_path):
        super().__init__()
        self.model = Qwen2ForCausalLM.from_pretrained(pretrain_path)

    def forward(self, xs, xs_lens):
        seen = torch.arange(xs.shape[1], device=xs.device)[None] < xs_lens.to(xs.device)[:, None]
        told = self.model(inputs_embeds=xs, attention_mask=seen, output_hidden_states=True)
        return told.hidden_states[-1], seen[:, None]

    def forward_one_step(self, xs, masks, cache=None):
        raise AssertionError("its mask is as long as what is new: the backend has one of its own")


def _measured(logits, targets):
    loss = functional.cross_entropy(logits.flatten(0, 1), targets.flatten(), ignore_index=IGNORED)
    counted = targets != IGNORED
    return {"loss": loss, "acc": (logits.argmax(-1) == targets)[counted].float().mean()}


class _LM(nn.Module):
    def __init__(self, llm_input_size, llm_output_size, speech_token_size, extra, llm, mix_ratio, bias, own_marks):
        super().__init__()
        self.llm_input_size, self.mix_ratio = llm_input_size, mix_ratio
        self.speech_token_size = speech_token_size
        self.stop_token_ids = [speech_token_size + place for place in range(extra)]
        if own_marks:
            self.llm_embedding = nn.Embedding(2, llm_input_size)
        self.llm = llm
        self.llm_decoder = nn.Linear(llm_output_size, speech_token_size + extra, bias=bias)
        self.speech_embedding = nn.Embedding(speech_token_size + extra, llm_input_size)

    def forward(self, batch, device):
        marks = getattr(self, "llm_embedding", self.speech_embedding).weight
        rows, wanted = [], []
        for place in range(len(batch["text_token"])):
            words = batch["text_token"][place, : batch["text_token_len"][place]].to(device)
            if not hasattr(self, "llm_embedding"):
                prompt = batch["instruct_token"][place, : batch["instruct_token_len"][place]].to(device)
                words = torch.cat([prompt, words])
            speech = batch["speech_token"][place, : batch["speech_token_len"][place]].to(device)
            if random.random() < 0.5 and len(speech) / len(words) > self.mix_ratio[1] / self.mix_ratio[0]:
                raise AssertionError("text and speech are mixed, as for streaming")
            embedded = self.llm.model.model.embed_tokens(words)
            rows.append(
                torch.cat([marks[self.sos][None], embedded, marks[self.task_id][None], self.speech_embedding(speech)])
            )
            ending = torch.tensor([self.eos_token], device=device)
            wanted.append(torch.cat([torch.full((1 + len(words),), IGNORED, device=device), speech, ending]))
        lengths = torch.tensor([len(row) for row in rows])
        hidden, _ = self.llm(nn.utils.rnn.pad_sequence(rows, batch_first=True), lengths)
        targets = nn.utils.rnn.pad_sequence(wanted, batch_first=True, padding_value=IGNORED)
        return _measured(self.llm_decoder(hidden), targets)


class TransformerLM(nn.Module):
    """All of it upstream's own: an encoder of texts, a speaker, and layers that see what came before."""

    def __init__(
        self,
        text_encoder_input_size,
        llm_input_size,
        llm_output_size,
        text_token_size,
        speech_token_size,
        text_encoder,
        llm,
        sampling,
        spk_embed_dim,
        **_,
    ):
        super().__init__()
        self.llm_input_size, self.speech_token_size = llm_input_size, speech_token_size
        self.sos, self.task_id, self.eos_token = 0, 1, speech_token_size
        self.text_embedding = nn.Embedding(text_token_size, text_encoder_input_size)
        self.text_encoder, self.llm = text_encoder, llm
        self.text_encoder_affine_layer = nn.Linear(text_encoder.output_size(), llm_input_size)
        self.llm_embedding = nn.Embedding(2, llm_input_size)
        self.llm_decoder = nn.Linear(llm_output_size, speech_token_size + 1)
        self.speech_embedding = nn.Embedding(speech_token_size, llm_input_size)
        self.spk_embed_affine_layer = nn.Linear(spk_embed_dim, llm_input_size)

    def encode(self, text, text_lengths):
        found, there = self.text_encoder(text, text_lengths, decoding_chunk_size=1)
        return self.text_encoder_affine_layer(found), there.squeeze(1).sum(1)

    def forward(self, batch, device):
        texts, lengths = batch["text_token"].to(device), batch["text_token_len"].to(device)
        encoded, _ = self.encode(self.text_embedding(texts), lengths)
        speakers = self.spk_embed_affine_layer(functional.normalize(batch["embedding"].to(device), dim=1))
        marks, rows, wanted = self.llm_embedding.weight, [], []
        for place, length in enumerate(lengths.tolist()):
            speech = batch["speech_token"][place, : batch["speech_token_len"][place]].to(device)
            pieces = [marks[:1], speakers[place : place + 1], encoded[place, :length], marks[1:]]
            rows.append(torch.cat([*pieces, self.speech_embedding(speech)]))
            ending = torch.tensor([self.eos_token], device=device)
            wanted.append(torch.cat([torch.full((2 + length,), IGNORED, device=device), speech, ending]))
        told = torch.tensor([len(row) for row in rows], device=device)
        hidden, _ = self.llm(nn.utils.rnn.pad_sequence(rows, batch_first=True), told)
        targets = nn.utils.rnn.pad_sequence(wanted, batch_first=True, padding_value=IGNORED)
        return _measured(self.llm_decoder(hidden), targets)


class Qwen2LM(_LM):
    def __init__(self, llm_input_size, llm_output_size, speech_token_size, llm, sampling, mix_ratio, **_):
        super().__init__(llm_input_size, llm_output_size, speech_token_size, 3, llm, mix_ratio, True, True)
        self.sos, self.task_id, self.eos_token = 0, 1, speech_token_size


class CosyVoice3LM(_LM):
    def __init__(self, llm_input_size, llm_output_size, speech_token_size, llm, sampling, mix_ratio, **_):
        super().__init__(llm_input_size, llm_output_size, speech_token_size, 200, llm, mix_ratio, False, False)
        self.sos, self.eos_token, self.task_id = (speech_token_size + place for place in range(3))
