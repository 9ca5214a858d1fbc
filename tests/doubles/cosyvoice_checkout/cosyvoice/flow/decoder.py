"""A stand-in, for tests: the estimators of the first two versions."""

from cosyvoice.flow.DiT.dit import DiT


class CausalConditionalDecoder(DiT):
    def __init__(self, in_channels, out_channels, channels, attention_head_dim, num_mid_blocks, num_heads, **_):
        super().__init__(
            dim=channels[0],
            depth=num_mid_blocks,
            heads=num_heads,
            dim_head=attention_head_dim,
            mel_dim=out_channels,
            mu_dim=out_channels,
            spk_dim=out_channels,
        )


class ConditionalDecoder(CausalConditionalDecoder):
    """The first version's: it sees what follows."""
