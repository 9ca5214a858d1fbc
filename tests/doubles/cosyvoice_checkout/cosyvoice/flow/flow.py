"""A stand-in, for tests: the flows. One text at a time, so many frames a token (the first version's are stretched to
fit), and in the later ones a streaming flag that is drawn.
"""

import random

import torch
from torch import nn
from torch.nn import functional


class _Flow(nn.Module):
    def __init__(self, input_size, output_size, spk_embed_dim, vocab_size, token_mel_ratio, decoder, before, width):
        super().__init__()
        self.input_embedding = nn.Embedding(vocab_size, input_size)
        self.spk_embed_affine_layer = nn.Linear(spk_embed_dim, output_size)
        self.token_mel_ratio, self.output_size, self.decoder = token_mel_ratio, output_size, decoder
        self.before = before
        self.encoder_proj = nn.Linear(width, output_size)

    def _conditioned(self, token, embedding):
        speaker = self.spk_embed_affine_layer(functional.normalize(embedding, dim=1))
        hidden = self.encoder_proj(getattr(self, self.before)(self.input_embedding(token.clamp(min=0))))
        return hidden.repeat_interleave(self.token_mel_ratio, dim=1), speaker

    def forward(self, batch, device):
        feat, lengths = batch["speech_feat"].to(device), batch["speech_feat_len"].to(device)
        streaming = random.random() < 0.5
        mu, speaker = self._conditioned(batch["speech_token"].to(device), batch["embedding"].to(device))
        cond = torch.zeros_like(feat)
        for place, length in enumerate(lengths.tolist()):
            if random.random() >= 0.5:
                known = random.randint(0, int(0.3 * length))
                cond[place, :known] = feat[place, :known]
        mask = (torch.arange(feat.shape[1], device=device)[None] < lengths[:, None]).float()[:, None]
        turned = [one.transpose(1, 2).contiguous() for one in (feat, mu, cond)]
        loss, _ = self.decoder.compute_loss(turned[0], mask, turned[1], speaker, cond=turned[2], streaming=streaming)
        return {"loss": loss}

    @torch.inference_mode()
    def inference(
        self,
        token,
        token_len,
        prompt_token,
        prompt_token_len,
        prompt_feat,
        prompt_feat_len,
        embedding,
        streaming,
        finalize,
    ):
        assert token.shape[0] == 1
        mu, speaker = self._conditioned(torch.cat([prompt_token, token], dim=1), embedding)
        cond = torch.zeros(1, mu.shape[1], self.output_size, device=mu.device)
        cond[:, : prompt_feat.shape[1]] = prompt_feat
        mask = torch.ones(1, 1, mu.shape[1], device=mu.device)
        feat, _ = self.decoder(
            mu.transpose(1, 2).contiguous(), mask, n_timesteps=4, spks=speaker, cond=cond.transpose(1, 2)
        )
        return feat[:, :, prompt_feat.shape[1] :].float(), None


class CausalMaskedDiffWithDiT(_Flow):
    def __init__(
        self, input_size, output_size, spk_embed_dim, vocab_size, token_mel_ratio, pre_lookahead_layer, decoder, **_
    ):
        super().__init__(
            input_size,
            output_size,
            spk_embed_dim,
            vocab_size,
            token_mel_ratio,
            decoder,
            "pre_lookahead_layer",
            input_size,
        )
        self.pre_lookahead_layer = pre_lookahead_layer


class CausalMaskedDiffWithXvec(_Flow):
    def __init__(self, input_size, output_size, spk_embed_dim, vocab_size, token_mel_ratio, encoder, decoder, **_):
        super().__init__(
            input_size, output_size, spk_embed_dim, vocab_size, token_mel_ratio, decoder, "encoder", encoder.size
        )
        self.encoder = encoder


class MaskedDiffWithXvec(nn.Module):
    def __init__(
        self,
        input_size,
        output_size,
        spk_embed_dim,
        vocab_size,
        input_frame_rate,
        encoder,
        length_regulator,
        decoder,
        **_,
    ):
        super().__init__()
        self.output_size, self.input_frame_rate, self.decoder = output_size, input_frame_rate, decoder
        self.input_embedding = nn.Embedding(vocab_size, input_size)
        self.spk_embed_affine_layer = nn.Linear(spk_embed_dim, output_size)
        self.encoder, self.length_regulator = encoder, length_regulator
        self.encoder_proj = nn.Linear(encoder.output_size(), output_size)

    def _encoded(self, token, lengths, embedding):
        hidden, _ = self.encoder(self.input_embedding(token.clamp(min=0)), lengths)
        return self.encoder_proj(hidden), self.spk_embed_affine_layer(functional.normalize(embedding, dim=1))

    def forward(self, batch, device):
        told = {name: value.to(device) for name, value in batch.items()}
        feat, lengths = told["speech_feat"], told["speech_feat_len"]
        hidden, speaker = self._encoded(told["speech_token"], told["speech_token_len"], told["embedding"])
        mu, _ = self.length_regulator(hidden, lengths)
        cond = torch.zeros_like(feat)
        for place, length in enumerate(lengths.tolist()):
            if random.random() >= 0.5:
                known = random.randint(0, int(0.3 * length))
                cond[place, :known] = feat[place, :known]
        mask = (torch.arange(feat.shape[1], device=device)[None] < lengths[:, None]).float()[:, None]
        turned = [one.transpose(1, 2).contiguous() for one in (feat, mu, cond)]
        loss, _ = self.decoder.compute_loss(turned[0], mask, turned[1], speaker, cond=turned[2])
        return {"loss": loss}

    @torch.inference_mode()
    def inference(
        self, token, token_len, prompt_token, prompt_token_len, prompt_feat, prompt_feat_len, embedding, flow_cache
    ):
        assert token.shape[0] == 1
        assert flow_cache.shape[2] == 0, "something of a piece before is kept"
        hidden, speaker = self._encoded(torch.cat([prompt_token, token], 1), prompt_token_len + token_len, embedding)
        before, after = prompt_feat.shape[1], int(token.shape[1] / self.input_frame_rate * 22050 / 256)
        count = prompt_token.shape[1]
        mu, frames = self.length_regulator.inference(hidden[:, :count], hidden[:, count:], before, after)
        cond = torch.zeros(1, frames, self.output_size, device=mu.device)
        cond[:, :before] = prompt_feat
        mask = torch.ones(1, 1, frames, device=mu.device)
        feat, _ = self.decoder(mu.transpose(1, 2), mask, n_timesteps=4, spks=speaker, cond=cond.transpose(1, 2))
        return feat[:, :, before:].float(), flow_cache
