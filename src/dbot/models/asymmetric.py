"""The asymmetric student: an encoder that sees the visible patches, a decoder that predicts at all of them."""

import torch
from timm.models.vision_transformer import Block
from torch import Tensor, nn

from dbot.models.blocks import at_places, take, through
from dbot.models.encoder import LayerNorm, build_encoder, encode_visible
from dbot.models.positions import sincos_positions
from dbot.params.recipes import Decoder as DecoderConfig
from dbot.params.teachers import Architecture


class Decoder(nn.Module):
    """Predicts the teacher's features at every token from those of the visible ones.

    Args:
        config: its width, depth and heads.
        source_width: width of the encoder's tokens.
        target_width: width of the teacher's features.
        grid: patches along one side of the student's image.
        drop_path: stochastic depth of its last block; the ramp starts again at 0 with its first.
        shortcuts: leave out what can't change the outcome.
    """

    def __init__(
        self, config: DecoderConfig, source_width: int, target_width: int, grid: int, drop_path: float, shortcuts: bool = False
    ) -> None:
        super().__init__()
        self.shortcuts = shortcuts
        self.embed = nn.Linear(source_width, config.width)
        self.mask_token = nn.Parameter(torch.zeros(1, 1, config.width))
        self.pos_embed = nn.Parameter(sincos_positions(config.width, grid), requires_grad=False)
        rates = torch.linspace(0, drop_path, config.depth).tolist()
        self.blocks = nn.ModuleList(
            Block(config.width, config.heads, qkv_bias=True, drop_path=rate, norm_layer=LayerNorm) for rate in rates
        )
        self.norm = LayerNorm(config.width)
        self.predict = nn.Linear(config.width, target_width)

    def forward(self, latent_BLD: Tensor, restore_BN: Tensor, scored_BS: Tensor | None = None) -> Tensor:
        """Predictions in image order, class token first.

        Args:
            latent_BLD: the encoder's tokens, class token first: (B, 1 + K, D).
            restore_BN: for every patch its place among visible-then-masked: (B, N).
            scored_BS: numbers of the tokens to predict at, 0 being the class token. None: all.

        Returns:
            (B, 1 + N or S, target width).
        """
        tokens_BLE = self.embed(latent_BLD)
        batch, patches = restore_BN.shape
        masked = self.mask_token.expand(batch, patches + 1 - tokens_BLE.shape[1], -1)
        shuffled_BNE = torch.cat([tokens_BLE[:, 1:], masked.to(tokens_BLE.dtype)], dim=1)
        ordered_BNE = shuffled_BNE.gather(1, restore_BN.unsqueeze(-1).expand(-1, -1, shuffled_BNE.shape[-1]))
        tokens = torch.cat([tokens_BLE[:, :1], ordered_BNE], dim=1) + self.pos_embed
        if scored_BS is None:
            tokens = through(self.blocks, tokens, self.shortcuts)
        elif len(self.blocks):
            tokens = at_places(self.blocks[-1], through(self.blocks[:-1], tokens, self.shortcuts), scored_BS)
        else:
            tokens = take(tokens, scored_BS)
        prediction: Tensor = self.predict(self.norm(tokens))
        return prediction


class AsymmetricStudent(nn.Module):
    """Encoder on the visible patches, decoder on all (paper, section 3.1).

    Args:
        architecture: the encoder's configuration.
        decoder: the decoder's configuration.
        target_width: width of the teacher's features.
        drop_path: stochastic depth, of the encoder and of the decoder.
        shortcuts: leave out what can't change the outcome.
    """

    def __init__(
        self, architecture: Architecture, decoder: DecoderConfig, target_width: int, drop_path: float = 0.0, shortcuts: bool = False
    ) -> None:
        super().__init__()
        self.shortcuts = shortcuts
        self.encoder = build_encoder(architecture, drop_path=drop_path)
        self.decoder = Decoder(decoder, architecture.width, target_width, architecture.grid, drop_path, shortcuts)

    def forward(self, images_BCHW: Tensor, keep_BK: Tensor, restore_BN: Tensor, scored_BS: Tensor | None = None) -> Tensor:
        """Predicted teacher features at the class token and all patches (B, 1 + N, target width), or at ``scored_BS`` of them."""
        latent_BLD = encode_visible(self.encoder, images_BCHW, keep_BK, self.shortcuts)
        prediction: Tensor = self.decoder(latent_BLD, restore_BN, scored_BS)
        return prediction
