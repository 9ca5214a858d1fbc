"""A stand-in, for tests: conditional flow matching, with noise that is drawn or, later, fixed in speaking, and guidance
by doubling the batch.
"""

import torch
from torch import nn


class ConditionalCFM(nn.Module):
    def __init__(self, in_channels, cfm_params, n_spks, spk_emb_dim, estimator):
        super().__init__()
        self.sigma_min, self.training_cfg_rate = cfm_params.sigma_min, cfm_params.training_cfg_rate
        self.inference_cfg_rate = cfm_params.inference_cfg_rate
        self.estimator = estimator

    def noise(self, mu):
        return torch.randn_like(mu)

    def forward(self, mu, mask, n_timesteps, temperature=1.0, spks=None, cond=None, streaming=False):
        x = self.noise(mu) * temperature
        for step in range(n_timesteps):
            time = torch.full((2,), step / n_timesteps, device=mu.device)
            doubled = [torch.cat([one, torch.zeros_like(one)]) for one in (mu, spks, cond)]
            both = self.estimator(torch.cat([x, x]), torch.cat([mask, mask]), doubled[0], time, *doubled[1:])
            with_it, without = both.chunk(2)
            velocity = (1 + self.inference_cfg_rate) * with_it - self.inference_cfg_rate * without
            x = x + velocity / n_timesteps
        return x.float(), None

    def compute_loss(self, x1, mask, mu, spks=None, cond=None, streaming=False):
        t = torch.rand(len(mu), 1, 1, device=mu.device)
        z = torch.randn_like(x1)
        if self.training_cfg_rate > 0:
            kept = (torch.rand(len(x1), device=x1.device) > self.training_cfg_rate).float()
            mu, cond, spks = mu * kept[:, None, None], cond * kept[:, None, None], spks * kept[:, None]
        y = (1 - (1 - self.sigma_min) * t) * z + t * x1
        wanted = x1 - (1 - self.sigma_min) * z
        found = self.estimator(y, mask, mu, t.flatten(), spks, cond, streaming=streaming)
        return ((found - wanted) * mask).square().sum() / (mask.sum() * x1.shape[1]), y


class CausalConditionalCFM(ConditionalCFM):
    def __init__(self, in_channels, cfm_params, n_spks, spk_emb_dim, estimator):
        super().__init__(in_channels, cfm_params, n_spks, spk_emb_dim, estimator)
        torch.manual_seed(0)
        self.rand_noise = torch.randn([1, 80, 50 * 300])

    def noise(self, mu):
        return self.rand_noise[:, :, : mu.shape[2]].to(mu)
