"""The encoder of dense tasks: that of either student, on a grid of any shape, its tokens taken after four blocks.

Both designs run through timm's plain ViT blocks. What a symmetric student has besides (relative
positions, layer scale, biases of queries and values alone) these blocks have or are given, so
`plain_weights` is all that tells the designs apart.
"""

from collections.abc import Mapping

import torch
from timm.layers import LayerScale, PatchEmbed, calculate_drop_path_rates
from timm.models.vision_transformer import Block
from torch import Tensor, nn
from torch.nn import functional

from dbot.models.encoder import LayerNorm
from dbot.models.positions import resize_positions, sincos_positions
from dbot.models.relative import SPECIAL, TABLE, table_side
from dbot.models.symmetric import share_out
from dbot.params.dense import Dense
from dbot.params.teachers import Architecture


class BiasedBlock(Block):  # type: ignore[misc] # timm is untyped
    """timm's ViT block, with a table of relative position biases of its own where the recipe says so.

    Args:
        architecture: its configuration.
        recipe: names the layer scale and the positions.
        grid: patches along one side of the square grid that the table is for.
        drop_path: stochastic depth.
    """

    def __init__(self, architecture: Architecture, recipe: Dense, grid: int, drop_path: float) -> None:
        super().__init__(
            architecture.width,
            architecture.heads,
            architecture.mlp_ratio,
            qkv_bias=True,
            init_values=recipe.layer_scale,
            drop_path=drop_path,
            norm_layer=LayerNorm,
        )
        rows = table_side(grid) ** 2 + SPECIAL
        self.relative_position_bias_table = nn.Parameter(torch.zeros(rows, architecture.heads)) if recipe.relative_positions else None

    def reset_parameters(self) -> None:
        """Begin again with what a plain block does not have: biases of zero, the layer scale of the recipe."""
        if self.relative_position_bias_table is not None:
            nn.init.zeros_(self.relative_position_bias_table)
        for scale in (self.ls1, self.ls2):
            if isinstance(scale, LayerScale):
                scale.reset_parameters()

    def forward(self, tokens_BLD: Tensor, index_LL: Tensor | None) -> Tensor:
        """The tokens after this block.

        Args:
            tokens_BLD: class token first.
            index_LL: the row of the table for every query and key; None: no biases.
        """
        table, bias_1HLL = self.relative_position_bias_table, None
        if table is not None and index_LL is not None:
            # An embedding, since its gradient is the same in every run, on CPUs and GPUs; that of plain indexing is not.
            bias_1HLL = functional.embedding(index_LL, table).permute(2, 0, 1).contiguous().unsqueeze(0)
        after: Tensor = super().forward(tokens_BLD, attn_mask=bias_1HLL)
        return after


class DenseEncoder(nn.Module):
    """A ViT without a final norm that gives the patch tokens after some of its blocks.

    Its position tables are made for a square grid and serve any: absolute positions are resized
    by plain bicubic interpolation, relative ones read as `relative_index` says.

    Args:
        architecture: its configuration.
        recipe: names the taps, the positions, the layer scale and the drop path.
        grid: patches along one side of the square grid that its position tables are for.
    """

    def __init__(self, architecture: Architecture, recipe: Dense, grid: int) -> None:
        super().__init__()
        self.taps, self.relative, self.grid = recipe.taps, recipe.relative_positions, grid
        self.patch_embed = PatchEmbed(img_size=None, patch_size=architecture.patch_size, embed_dim=architecture.width)
        self.cls_token = nn.Parameter(torch.zeros(1, 1, architecture.width))
        self.pos_embed = nn.Parameter(sincos_positions(architecture.width, grid)) if recipe.absolute_positions else None
        rates = calculate_drop_path_rates(recipe.drop_path, architecture.depth)
        self.blocks = nn.ModuleList(BiasedBlock(architecture, recipe, grid, rate) for rate in rates)

    def forward(self, images_BCHW: Tensor) -> list[Tensor]:
        """The patch tokens after each tapped block, each (B, D, rows, columns)."""
        rows, columns = (side // patch for side, patch in zip(images_BCHW.shape[-2:], self.patch_embed.patch_size, strict=True))
        patches_BND = self.patch_embed(images_BCHW)
        tokens_BLD = torch.cat([self.cls_token.expand(len(patches_BND), -1, -1), patches_BND], dim=1)
        if self.pos_embed is not None:
            tokens_BLD = tokens_BLD + resize_positions(self.pos_embed, rows, columns)
        index_LL = relative_index(self.grid, rows, columns, images_BCHW.device) if self.relative else None
        tapped: dict[int, Tensor] = {}
        for number, block in enumerate(self.blocks):
            tokens_BLD = block(tokens_BLD, index_LL)
            if number in self.taps:
                tapped[number] = tokens_BLD[:, 1:].transpose(1, 2).unflatten(2, (rows, columns))
        return [tapped[number] for number in self.taps]


def relative_index(grid: int, rows: int, columns: int, device: torch.device) -> Tensor:
    """The row of a square grid's table for every query and key of a grid of any shape, class token first.

    A distance has the same row whatever the grid. One that lies outside the table has the row of
    the nearest that lies inside (clipped distances, arXiv 1803.02155): nothing is interpolated, so
    neighbours stay neighbours, the gradient goes to the table itself, and on a smaller grid the
    far distances fall away, as in `resize_relative_positions`.

    Args:
        grid: patches along one side of the table's grid.
        rows: patches along the height of the grid at hand.
        columns: patches along its width.
        device: where to make it.

    Returns:
        (1 + rows * columns, 1 + rows * columns), int32.
    """

    def distances(count: int) -> Tensor:
        place = torch.arange(count, dtype=torch.int32, device=device)
        return (place[:, None] - place[None, :]).clamp(1 - grid, grid - 1) + grid - 1

    side = table_side(grid)
    # (query row, query column, key row, key column)
    between = distances(rows)[:, None, :, None] * side + distances(columns)[None, :, None, :]
    index_LL = functional.pad(between.reshape(rows * columns, rows * columns), (1, 0, 1, 0))
    # Filled: to assign a number to a single place would be to copy it to the device, and to wait.
    for row, place in enumerate((index_LL[0, :], index_LL[:, 0], index_LL[0, 0]), start=side**2):
        place.fill_(row)
    return index_LL


def plain_weights(weights: Mapping[str, Tensor], depth: int) -> dict[str, Tensor]:
    """Either student's encoder under the names of a `DenseEncoder`, with what that does not have left out.

    A symmetric student's keys have no bias; here it is zero at first and trained, which changes no
    attention, since a softmax does not see what is added to all keys alike. A table that its blocks
    shared is copied into each of them. The final norm is left out.
    """
    plain: dict[str, Tensor] = {}
    for name, tensor in share_out(weights, depth).items():
        stem, _, last = name.rpartition(".")
        if last in ("gamma_1", "gamma_2"):
            plain[f"{stem}.ls{last[-1]}.gamma"] = tensor
        elif last == TABLE:
            plain[f"{stem.removesuffix('.attn')}.{TABLE}"] = tensor
        elif last == "q_bias":
            plain[f"{stem}.qkv.bias"] = torch.cat([tensor, torch.zeros_like(tensor), weights.get(f"{stem}.v_bias", tensor.new_empty(0))])
        elif last != "v_bias" and stem != "norm":
            plain[name] = tensor
    return plain
