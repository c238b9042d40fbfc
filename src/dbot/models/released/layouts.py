"""The layouts that people's files have: for each, a map of its names to ours, and what in it may be left.

In a map, a name stands for the tensor and for all below it, and ``*`` for the number of a block.
Our names are those of timm's networks below ``encoder.`` (a classifier: without it), of the
decoder below ``decoder.`` and, for the symmetric design, ``mask_token`` and ``predict``.
"""

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Literal, get_args

from torch import Tensor

from dbot.base.errors import UserError
from dbot.params.teachers import Layout

Kind = Literal["student", "encoder", "classifier"]
Design = Literal["asymmetric", "symmetric", "clip"]

LAYOUTS: tuple[Layout, ...] = get_args(Layout)


@dataclass(frozen=True)
class Map:
    """How the tensors of one layout are named."""

    kind: Kind
    design: Design
    """``asymmetric``: a plain ViT; ``symmetric``: one with layer scale and relative positions (BEiT's); ``clip``: CLIP's tower."""
    names: Mapping[str, str]
    """By their name, ours. A tensor that is neither here nor in `left` is refused."""
    left: tuple[str, ...]
    """Their names of what has no place here."""
    marks: tuple[str, ...]
    """Names that tell the layout from the others: it is this one if a file has one of each group ``a|b``."""
    transposed: str | None = None
    """Our name of the one tensor that they have the other way round."""
    statistics: dict[str, list[float]] | None = None
    """Mean and standard deviation of the pixels that the network was trained with. None: ImageNet's, or unknown."""


def _below(prefix: str, *parts: str) -> dict[str, str]:
    return {part: f"{prefix}{part}" for part in parts}


VIT = ("cls_token", "reg_token", "pos_embed", "patch_embed.proj", "blocks", "norm")
BEIT = ("cls_token", "pos_embed", "patch_embed.proj", "rel_pos_bias.relative_position_bias_table", "blocks", "norm")
BEIT_INDICES = ("rel_pos_bias.relative_position_index", "blocks.*.attn.relative_position_index")
"""Buffers that follow from the grid."""
MAE_DECODER = ("mask_token", "decoder_pos_embed", "decoder_embed", "decoder_blocks", "decoder_norm", "decoder_pred")
BEIT_PIXELS = {"mean": [0.5, 0.5, 0.5], "std": [0.5, 0.5, 0.5]}
CLIP_PIXELS = {"mean": [0.48145466, 0.4578275, 0.40821073], "std": [0.26862954, 0.26130258, 0.27577711]}

MAPS: dict[Layout, Map] = {
    # Published pre-trained files, branch main.
    "dbot-asymmetric": Map(
        "student",
        "asymmetric",
        {
            **_below("encoder.", *VIT),
            "mask_token": "decoder.mask_token",
            "decoder_pos_embed": "decoder.pos_embed",
            "decoder_embed": "decoder.embed",
            "decoder_blocks": "decoder.blocks",
            "decoder_norm": "decoder.norm",
            "decoder_predp": "decoder.predict",
        },
        left=(),
        marks=("decoder_predp",),
    ),
    # MAE with its decoder, which predicts pixels.
    "mae": Map("encoder", "asymmetric", _below("encoder.", *VIT), left=MAE_DECODER, marks=("decoder_pred",)),
    # Published pre-trained files, branch beit.
    "dbot-symmetric": Map(
        "student",
        "symmetric",
        {**_below("encoder.", *BEIT), "mask_token": "mask_token", "lm_head": "predict"},
        left=BEIT_INDICES,
        marks=("lm_head",),
    ),
    # BEiT's own pre-trained files have the same names; their head tells 8,192 visual words apart.
    "beit": Map(
        "encoder",
        "symmetric",
        _below("encoder.", *BEIT),
        left=(*BEIT_INDICES, "lm_head", "mask_token"),
        marks=("lm_head",),
        statistics=BEIT_PIXELS,
    ),
    # Published fine-tuned files of branch beit at any size, BEiT's, and timm's Beit.
    "beit-classifier": Map(
        "classifier",
        "symmetric",
        _below("", *BEIT, "fc_norm", "head"),
        left=BEIT_INDICES,
        marks=("blocks.0.gamma_1|blocks.0.attn.q_bias", "head"),
    ),
    # OpenAI's CLIP; its text tower is left.
    "clip": Map(
        "encoder",
        "clip",
        {
            "visual.class_embedding": "encoder.cls_token",
            "visual.positional_embedding": "encoder.pos_embed",
            "visual.conv1": "encoder.patch_embed.proj",
            "visual.ln_pre": "encoder.norm_pre",
            "visual.transformer.resblocks.*.ln_1": "encoder.blocks.*.norm1",
            "visual.transformer.resblocks.*.attn.in_proj_weight": "encoder.blocks.*.attn.qkv.weight",
            "visual.transformer.resblocks.*.attn.in_proj_bias": "encoder.blocks.*.attn.qkv.bias",
            "visual.transformer.resblocks.*.attn.out_proj": "encoder.blocks.*.attn.proj",
            "visual.transformer.resblocks.*.ln_2": "encoder.blocks.*.norm2",
            "visual.transformer.resblocks.*.mlp.c_fc": "encoder.blocks.*.mlp.fc1",
            "visual.transformer.resblocks.*.mlp.c_proj": "encoder.blocks.*.mlp.fc2",
            "visual.ln_post": "encoder.norm",
            "visual.proj": "encoder.head.weight",
        },
        left=(
            *("transformer", "token_embedding", "positional_embedding", "ln_final", "text_projection", "logit_scale"),
            *("input_resolution", "context_length", "vocab_size"),
        ),
        marks=("visual.conv1|visual.class_embedding",),
        transposed="encoder.head.weight",
        statistics=CLIP_PIXELS,
    ),
    # A whole checkpoint of DINO's or DINOv2's training: its teacher, without the projection heads.
    "dino": Map(
        "encoder",
        "asymmetric",
        {**{f"backbone.{part}": f"encoder.{part}" for part in VIT}, "backbone.register_tokens": "encoder.reg_token"},
        left=("head", "dino_head", "ibot_head", "backbone.mask_token"),
        marks=("backbone.patch_embed|backbone.cls_token",),
    ),
    # DINOv2's backbones as released, with registers and without.
    "dinov2": Map(
        "encoder",
        "asymmetric",
        {**_below("encoder.", *VIT), "register_tokens": "encoder.reg_token"},
        left=("mask_token",),
        marks=("mask_token|register_tokens", "blocks.0.ls1", "patch_embed.proj"),
    ),
    # timm's towers of CLIP: a norm before the blocks, no bias where patches are embedded.
    "vit-clip": Map(
        "encoder",
        "clip",
        _below("encoder.", *VIT, "norm_pre", "head"),
        left=(),
        marks=("norm_pre", "patch_embed.proj", "blocks.0.norm1"),
        statistics=CLIP_PIXELS,
    ),
    # Published fine-tuned files of branch main at any size, MAE's; DeiT and timm with their heads.
    "vit-classifier": Map(
        "classifier", "asymmetric", _below("", *VIT, "fc_norm", "head"), left=(), marks=("head", "patch_embed.proj|cls_token")
    ),
    # MAE's encoder, DINO's backbone, timm without a head.
    "vit": Map(
        "encoder", "asymmetric", _below("encoder.", *VIT), left=(), marks=("blocks.0.norm1|blocks.0.attn", "patch_embed.proj|cls_token")
    ),
}
"""By layout, its map; in the order in which a file is tried for them."""

VISUAL_WORDS = 8192


def detect(names: Mapping[str, Tensor], source: str) -> Layout:
    """The layout that a file's names show.

    Raises:
        UserError: it has none of those known.
    """
    for layout, found in MAPS.items():
        if all(any(_has(names, name) for name in mark.split("|")) for mark in found.marks):
            words = names.get("lm_head.weight", names.get("lm_head.bias"))
            is_beit = words is not None and len(words) == VISUAL_WORDS
            return "beit" if layout == "dbot-symmetric" and is_beit else layout
    some = ", ".join(sorted(names)[:3])
    inside = [first for first in sorted({name.partition(".")[0] for name in names}) if _is_vit(names, f"{first}.")]
    hint = f"; it holds networks under {', '.join(inside)}: name one with --weights, or `entry`" if inside else ""
    raise UserError(f"{source}: its names ({some}, …) are of no known layout; known are: {', '.join(MAPS)}{hint}")


def _is_vit(names: Iterable[str], prefix: str = "") -> bool:
    return any(name.startswith(f"{prefix}patch_embed.") for name in names) and any(name.startswith(f"{prefix}blocks.0.") for name in names)


DINOV3 = {384: "small", 768: "base", 1024: "large", 1280: "huge_plus", 4096: "7b"}
"""By width, the sizes of DINOv3 in timm's names."""


def _computable(names: Mapping[str, Tensor], source: str) -> None:
    """Refuse what has the names of a plain ViT and computes something else, and say what takes it."""
    if not _is_vit(names):
        return
    norm = names.get("blocks.0.norm1.weight")
    width = len(norm) if norm is not None and norm.ndim else 0
    gated = _has(names, "blocks.0.mlp.w12") or _has(names, "blocks.0.mlp.w1")
    rotary = any("rope" in name for name in names)
    if rotary or not any("pos_embed" in name or "relative_position" in name for name in names):
        why = "has rotary positions (RoPE)" if rotary else "has no positions among its weights, as with rotary ones (RoPE)"
        model = "the network's name in timm"
        bias = names.get("blocks.0.attn.qkv.bias", names.get("blocks.0.attn.q_bias"))
        if width in DINOV3 and ("storage_tokens" in names or "reg_token" in names):
            biased = bias is not None and bool(bias[:width].any())  # timm has networks with and without; Meta's files zeros
            plus = "_plus" if gated and width == 384 else ""
            model = f"vit_{DINOV3[width]}{plus}_patch16_dinov3{'_qkvb' if biased and width < 4096 else ''}"
    elif gated:
        why, registers = "has gated layers (SwiGLU) in its blocks", "reg4_" if "register_tokens" in names else ""
        model = f"vit_giant_patch14_{registers}dinov2" if width == 1536 else "the network's name in timm"
    else:
        return
    use = f"kind: timm, model: {model}, weights: {source}"
    raise UserError(f"{source}: {why}, which no encoder here computes; use it as a teacher of timm ({use}); nothing was imported")


def usual_names(tensors: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """A file's tensors without what few files have in their names.

    DINOv2's trainings number chunks of blocks before the blocks themselves, and DeiT III calls its layer scale as BEiT
    does, which it tells itself from by a bias of the keys.
    """
    found = {re.sub(r"^((?:backbone\.)?blocks)\.\d+\.(\d+\.)", r"\1.\2", name): tensor for name, tensor in tensors.items()}
    if "blocks.0.attn.qkv.bias" not in found:
        return found
    return {re.sub(r"^(blocks\.\d+\.)gamma_([12])$", r"\1ls\2.gamma", name): tensor for name, tensor in found.items()}


def renamed(tensors: Mapping[str, Tensor], layout: Layout, source: str) -> dict[str, Tensor]:
    """A file's tensors under our names.

    Raises:
        UserError: it holds a tensor that the layout doesn't know, or is of a network that no encoder here computes.
    """
    _computable(tensors, source)
    used, ours = MAPS[layout], {}
    for name, tensor in tensors.items():
        if _translated(name, ((left, left) for left in used.left)) is not None:
            continue
        found = _translated(name, used.names.items())
        if found is None:
            raise UserError(f"{source}: holds {name}, which layout {layout} doesn't have; {_remedy(tensors, source)}")
        ours[found] = tensor.T if found == used.transposed else tensor
    return ours


def _remedy(tensors: Mapping[str, Tensor], source: str) -> str:
    """What to do with a file whose names aren't those of the layout that was taken: another, if any has them all."""
    for layout, used in MAPS.items():
        pairs = [*((left, left) for left in used.left), *used.names.items()]
        if all(_translated(name, pairs) is not None for name in tensors):
            return f"layout {layout} has all of its names: --layout {layout}"
    return f"no layout has all of its names; a network of timm's can be a teacher as it is (kind: timm, model: NAME, weights: {source})"


def theirs(name: str, layout: Layout) -> str:
    """What a file of the layout calls a tensor of ours."""
    return _translated(name, ((ours, their) for their, ours in MAPS[layout].names.items())) or name


def _has(names: Iterable[str], wanted: str) -> bool:
    return any(name == wanted or name.startswith(f"{wanted}.") for name in names)


def _translated(name: str, table: Iterable[tuple[str, str]]) -> str | None:
    for old, new in table:
        fits = re.match(re.escape(old).replace(r"\*", r"(\d+)") + r"(?=\.|$)", name)
        if fits is not None:
            return (new.replace("*", fits[1]) if "*" in old else new) + name[fits.end() :]
    return None
