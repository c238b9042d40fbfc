"""The pyramid: its maps, what it takes over from either student, and what trains how fast."""

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from timm.models.beit import gen_relative_position_index
from torch import nn

from dbot.base.errors import UserError
from dbot.base.seeds import generator
from dbot.models.asymmetric import AsymmetricStudent
from dbot.models.checkpoint import part
from dbot.models.checkpointing import checkpoint_blocks
from dbot.models.dense_encoder import relative_index
from dbot.models.encoder import encode_all
from dbot.models.positions import resize_positions
from dbot.models.pyramid import build_pyramid, dense_groups, initialise_pyramid, load_encoder_into
from dbot.models.relative import SPECIAL, TABLE, resize_relative_positions, table_side
from dbot.models.symmetric import SHARED_TABLE, Positions, SymmetricStudent, initialise_symmetric
from dbot.params.dense import Dense
from dbot.params.recipes import Decoder, Optimizer
from dbot.params.teachers import Architecture
from dbot.train.optimizer import build_optimizer
from tests.processes import together

THREE = Architecture(title="three blocks", image_size=32, patch_size=8, width=16, depth=3, heads=2, mlp_ratio=2)
CPU = torch.device("cpu")
PUBLISHED_TAPS = {"B": [3, 5, 7, 11], "L": [7, 11, 15, 23]}


def figures(**changes) -> Optimizer:
    given = {
        "learning_rate": 1e-3,
        "learning_rate_per": None,
        "minimum_learning_rate": 0.0,
        "betas": [0.9, 0.999],
        "eps": 1e-8,
        "weight_decay": 0.05,
        "clip_grad": None,
        "layer_decay": 0.65,
    }
    return Optimizer.model_validate(given | changes)


def recipe(**changes) -> Dense:
    given = {
        "epochs": 1,
        "warmup_epochs": 0.0,
        "batch_size": 2,
        "optimizer": figures(),
        "drop_path": 0.0,
        "precision": "fp32",
        "compile": False,
        "non_finite": "stop",
        "seed": 0,
        "design": "asymmetric",
        "taps": [0, 1, 2, 2],
        "absolute_positions": True,
        "relative_positions": False,
        "layer_scale": None,
    }
    return Dense.model_validate(given | changes)


def scramble(module: nn.Module) -> None:
    """Every weight says something: tables, norms, biases and scales too."""
    draws = torch.Generator().manual_seed(1)
    with torch.no_grad():
        for parameter in module.parameters():
            parameter.add_(0.3 * torch.randn(parameter.shape, generator=draws))


def student(positions: Positions | None = None, architecture: Architecture = THREE) -> nn.Module:
    """The encoder of an asymmetric student, or of a symmetric one with these positions."""
    if positions is None:
        model: nn.Module = AsymmetricStudent(architecture, Decoder(width=8, depth=1, heads=2), 16)
    else:
        model = SymmetricStudent(architecture, positions, 0.1, target_width=24)
        initialise_symmetric(model, generator(0))
    scramble(model)
    return model.encoder.eval()


def weights_of(encoder: nn.Module) -> dict[str, torch.Tensor]:
    """As they come from a student's checkpoint."""
    return part({f"encoder.{name}": tensor for name, tensor in encoder.state_dict().items()}, "encoder.")


def pyramid_of(figures: Dense, image_size: int = 32, architecture: Architecture = THREE):
    pyramid = build_pyramid(architecture, figures, image_size)
    initialise_pyramid(pyramid, generator(0))
    return pyramid.eval()


def maps_of_blocks(encoder: nn.Module, images: torch.Tensor, grid: int) -> list[torch.Tensor]:
    """The patch tokens after every block of a student's own encoder."""
    seen: list[torch.Tensor] = []
    hooks = [block.register_forward_hook(lambda _, __, tokens: seen.append(tokens)) for block in encoder.blocks]
    with torch.no_grad():
        encode_all(encoder, images, final_norm=False)
    for hook in hooks:
        hook.remove()
    return [tokens[:, 1:].transpose(1, 2).unflatten(2, (grid, grid)) for tokens in seen]


DESIGNS = {
    "asymmetric": (None, {}),
    "asymmetric with tables": (None, {"relative_positions": True}),
    "asymmetric with scale": (None, {"layer_scale": 1.0}),
    "symmetric, relative": (Positions(True, False), {"design": "symmetric", "absolute_positions": False, "relative_positions": True}),
    "symmetric, absolute": (Positions(False, True), {"design": "symmetric"}),
    "symmetric, absolute, tables of zeros": (Positions(False, True), {"design": "symmetric", "relative_positions": True}),
    "symmetric, both": (Positions(True, True), {"design": "symmetric", "relative_positions": True}),
}
designs = pytest.mark.parametrize("design", DESIGNS)


def of_design(name: str, **changes):
    positions, needs = DESIGNS[name]
    scale = {"layer_scale": 0.1} if positions else {}
    return student(positions), recipe(**scale | needs | changes)


@pytest.mark.parametrize(("height", "width"), [(32, 32), (64, 64), (32, 80), (48, 16)])
def test_the_maps_have_their_strides(height, width):
    pyramid = pyramid_of(recipe(relative_positions=True, layer_scale=0.1))
    maps = pyramid(torch.randn(2, 3, height, width))
    assert (pyramid.channels, pyramid.strides, pyramid.divisor) == (16, (2, 4, 8, 16), 16)
    assert [tuple(m.shape) for m in maps] == [(2, 16, height // s, width // s) for s in pyramid.strides]


def test_images_that_do_not_divide_are_refused():
    with pytest.raises(ValueError, match="16 must divide"):
        pyramid_of(recipe())(torch.randn(1, 3, 24, 32))


@designs
def test_the_maps_are_the_students_tokens(design):
    """At the grid of pre-training, after every tap; the two maps that are not resampled by weights show them as they are."""
    encoder, figures = of_design(design, taps=[0, 1, 1, 2])
    pyramid = pyramid_of(figures)
    load_encoder_into(pyramid, weights_of(encoder), "test")
    images = torch.randn(2, 3, 32, 32)
    expected = maps_of_blocks(encoder, images, 4)
    with torch.no_grad():
        for found, block in zip(pyramid.encoder(images), (0, 1, 1, 2), strict=True):
            torch.testing.assert_close(found, expected[block], atol=1e-5, rtol=1e-5)
        maps = pyramid(images)
    torch.testing.assert_close(maps[2], expected[1], atol=1e-5, rtol=1e-5)
    torch.testing.assert_close(maps[3], nn.functional.max_pool2d(expected[2], 2), atol=1e-5, rtol=1e-5)


def test_the_taps_come_in_the_order_of_the_recipe():
    pyramid, images = pyramid_of(recipe(taps=[2, 0, 1, 0])), torch.randn(1, 3, 32, 32)
    in_order = pyramid_of(recipe(taps=[0, 0, 1, 2]))
    in_order.load_state_dict(pyramid.state_dict())
    with torch.no_grad():
        found, expected = pyramid.encoder(images), in_order.encoder(images)
    assert all(torch.equal(found[i], expected[j]) for i, j in enumerate((3, 0, 2, 1)))


@pytest.mark.parametrize("design", ["asymmetric", "symmetric, both", "symmetric, relative"])
def test_another_nominal_grid_resizes_what_is_taken_over(design):
    encoder, figures = of_design(design)
    pyramid = pyramid_of(figures, image_size=64)
    weights = weights_of(encoder)
    load_encoder_into(pyramid, weights, "test")
    if figures.absolute_positions:
        assert torch.equal(pyramid.encoder.pos_embed, resize_positions(weights["pos_embed"], 8, 8))
    if figures.relative_positions:
        table = resize_relative_positions(weights[SHARED_TABLE], 8)
        assert all(torch.equal(block.relative_position_bias_table, table) for block in pyramid.encoder.blocks)
    with torch.no_grad():
        assert pyramid(torch.randn(1, 3, 64, 64))[2].shape == (1, 16, 8, 8)


def test_absolute_positions_follow_the_grid():
    """A ramp along the width stays one on a wide grid, and the height keeps its own; nothing is zero."""
    pyramid = pyramid_of(recipe())
    encoder = pyramid.encoder
    with torch.no_grad():
        for block in encoder.blocks:
            block.attn.proj.weight.zero_()
            block.mlp.fc2.weight.zero_()
        encoder.patch_embed.proj.weight.zero_()
        encoder.pos_embed.zero_()
        grid = encoder.pos_embed[0, 1:].view(4, 4, 16)
        grid[..., 0] = torch.arange(1.0, 5.0)[None, :]
        grid[..., 1] = torch.arange(1.0, 5.0)[:, None]
        bias = encoder.patch_embed.proj.bias.view(1, 16, 1, 1)
        wide = encoder(torch.zeros(1, 3, 32, 96))[3] - bias
    ramp = nn.functional.interpolate(torch.arange(1.0, 5.0).view(1, 1, 1, 4), size=(1, 12), mode="bicubic")[0, 0, 0]
    torch.testing.assert_close(wide[0, 0], ramp.expand(4, 12))
    torch.testing.assert_close(wide[0, 1], torch.arange(1.0, 5.0)[:, None].expand(4, 12))
    assert wide[0, 0].diff(dim=1).min() > 0


@pytest.mark.parametrize("grid", [1, 2, 5])
def test_relative_positions_at_the_nominal_grid_are_timms(grid):
    assert torch.equal(relative_index(grid, grid, grid, CPU).long(), gen_relative_position_index((grid, grid)))


@given(grid=st.integers(1, 6), rows=st.integers(1, 7), columns=st.integers(1, 7))
def test_a_distance_has_one_row_on_every_grid(grid, rows, columns):
    """That of the distance in the table, or of the nearest that it has; no two distances within it share one."""
    index, side = relative_index(grid, rows, columns, CPU), table_side(grid)
    special = side**2
    assert index.shape == (1 + rows * columns, 1 + rows * columns)
    assert index[0, 0] == special + 2
    assert torch.all(index[0, 1:] == special)
    assert torch.all(index[1:, 0] == special + 1)
    far = grid - 1
    for query in range(rows * columns):
        for key in range(rows * columns):
            down, right = query // columns - key // columns, query % columns - key % columns
            nearest = (max(-far, min(far, down)) + far) * side + max(-far, min(far, right)) + far
            assert index[1 + query, 1 + key] == nearest
    if max(rows, columns) <= grid:
        assert len(index[1:, 1:].unique()) == (2 * rows - 1) * (2 * columns - 1)


def test_a_smaller_grid_reads_the_table_as_its_resizing_would():
    """What is beyond the grid falls away in both."""
    table = torch.randn(table_side(6) ** 2 + SPECIAL, 2)
    cut = resize_relative_positions(table, 4)
    torch.testing.assert_close(table[relative_index(6, 4, 4, CPU)], cut[relative_index(4, 4, 4, CPU)])


def test_tables_of_zeros_change_nothing_and_are_trained():
    with_tables, without = pyramid_of(recipe(relative_positions=True)), pyramid_of(recipe())
    with_tables.load_state_dict(without.state_dict(), strict=False)
    images = torch.randn(2, 3, 32, 64)
    for found, expected in zip(with_tables(images), without(images), strict=True):
        torch.testing.assert_close(found, expected)
    sum(m.square().mean() for m in with_tables(images)).backward()
    assert all(block.relative_position_bias_table.grad.abs().max() > 0 for block in with_tables.encoder.blocks)


@pytest.mark.parametrize("relative", [False, True])
def test_checkpointing_gives_the_same_bits(relative):
    """Drop path included: the second forward pass drops what the first did."""

    def gradients(checkpointing: bool) -> dict[str, torch.Tensor]:
        pyramid = pyramid_of(recipe(drop_path=0.5, relative_positions=relative, layer_scale=0.5)).train()
        if checkpointing:
            checkpoint_blocks(pyramid)
        scramble(pyramid)
        torch.manual_seed(0)
        images = torch.randn(4, 3, 32, 48)
        maps = pyramid(images)
        sum(m.square().mean() for m in maps).backward()
        found = {name: parameter.grad for name, parameter in pyramid.named_parameters()}
        return found | {f"map {i}": m.detach() for i, m in enumerate(maps)} | dict(pyramid.named_buffers())

    plain, again = gradients(False), gradients(True)
    assert all(torch.equal(tensor, again[name]) for name, tensor in plain.items())


def test_initial_weights_come_from_the_generator_alone():
    for design in ("asymmetric", "symmetric"):
        figures = recipe(design=design, relative_positions=True, layer_scale=0.3)
        one, other = pyramid_of(figures), build_pyramid(THREE, figures, 32)
        scramble(other)
        other.train()(torch.randn(2, 3, 32, 32))
        initialise_pyramid(other, generator(0))
        state = other.state_dict()
        assert all(torch.equal(tensor, state[name]) for name, tensor in one.state_dict().items())
        assert all(block.ls1.gamma.eq(0.3).all() and not block.relative_position_bias_table.any() for block in one.encoder.blocks)
        assert one.encoder.pos_embed.abs().mean() > 0.005
        bound = (16 * 4) ** -0.5
        assert 0.8 * bound < one.resamplers[1].weight.abs().max() <= bound


def test_deep_branches_of_a_symmetric_encoder_begin_smaller():
    blocks = pyramid_of(recipe(design="symmetric", layer_scale=0.1)).encoder.blocks
    largest = [block.mlp.fc2.weight.abs().max().item() for block in blocks]
    assert largest == pytest.approx([0.02 / (2 * n) ** 0.5 for n in (1, 2, 3)], rel=0.1)


def with_heads(figures: Dense, architecture: Architecture = THREE) -> nn.ModuleDict:
    return nn.ModuleDict({"backbone": build_pyramid(architecture, figures, architecture.image_size), "head": nn.Linear(4, 4)})


def by_name(model: nn.Module, groups: list[dict]) -> dict[str, tuple[float, float]]:
    """Scale of the learning rate and weight decay of every parameter that is trained."""
    names = {id(parameter): name for name, parameter in model.named_parameters()}
    listed = [(names[id(p)], (group["lr_scale"], group["weight_decay"])) for group in groups for p in group["params"]]
    assert len(listed) == len(dict(listed)), "a parameter is in two groups"
    return dict(listed)


@pytest.mark.parametrize("prefix", ["backbone", "backbone."])
def test_groups_of_three_blocks(prefix):
    model = with_heads(recipe(relative_positions=True, layer_scale=1.0))
    found = by_name(model, dense_groups(model, prefix, figures(layer_decay=0.5)))
    assert set(found) == {name for name, _ in model.named_parameters()}
    expected = {
        "backbone.encoder.cls_token": (0.0625, 0.0),
        "backbone.encoder.pos_embed": (0.0625, 0.0),
        "backbone.encoder.patch_embed.proj.weight": (0.0625, 0.05),
        "backbone.encoder.patch_embed.proj.bias": (0.0625, 0.0),
        "backbone.encoder.blocks.0.attn.qkv.weight": (0.125, 0.05),
        "backbone.encoder.blocks.0.attn.qkv.bias": (0.125, 0.0),
        f"backbone.encoder.blocks.0.{TABLE}": (0.125, 0.05),
        "backbone.encoder.blocks.1.norm1.weight": (0.25, 0.0),
        "backbone.encoder.blocks.1.ls1.gamma": (0.25, 0.0),
        "backbone.encoder.blocks.2.mlp.fc2.weight": (0.5, 0.05),
        "backbone.resamplers.0.0.weight": (1.0, 0.05),
        "backbone.resamplers.0.1.weight": (1.0, 0.0),
        "backbone.resamplers.1.bias": (1.0, 0.0),
        "head.weight": (1.0, 0.05),
        "head.bias": (1.0, 0.0),
    }
    assert {name: found[name] for name in expected} == expected


def test_groups_of_vit_b(paper):
    """The published table: .65 for the last block, .65 ** 13 for the embeddings."""
    architecture = paper.architectures["B"]
    with torch.device("meta"):
        model = with_heads(recipe(taps=PUBLISHED_TAPS["B"]), architecture)
    found = by_name(model, dense_groups(model, "backbone", figures()))
    scales = [found[f"backbone.encoder.blocks.{i}.attn.qkv.weight"][0] for i in range(12)]
    assert scales == pytest.approx([0.0057, 0.0088, 0.0135, 0.0207, 0.0319, 0.0490, 0.0754, 0.1160, 0.1785, 0.2746, 0.4225, 0.65], abs=5e-5)
    assert found["backbone.encoder.pos_embed"] == (pytest.approx(0.65**13), 0.0)
    assert found["backbone.resamplers.1.weight"][0] == found["head.weight"][0] == 1.0


def test_groups_without_layer_decay_and_of_the_pyramid_alone():
    pyramid = build_pyramid(THREE, recipe(absolute_positions=False), 32)
    pyramid.encoder.blocks[0].requires_grad_(False)
    groups = dense_groups(pyramid, "", figures(layer_decay=1.0))
    assert [(group["lr_scale"], group["weight_decay"]) for group in groups] == [(1.0, 0.0), (1.0, 0.05)]
    assert set(by_name(pyramid, groups)) == {name for name, p in pyramid.named_parameters() if p.requires_grad}
    assert len(build_optimizer(pyramid, figures(), groups).param_groups) == 2


def test_groups_need_a_pyramid():
    with pytest.raises(TypeError, match="head is no pyramid"):
        dense_groups(with_heads(recipe()), "head", figures())


MISFITS = {
    "a missing tensor": ("asymmetric", {}, lambda w: w.pop("blocks.1.mlp.fc1.weight"), "lacks blocks.1.mlp.fc1.weight"),
    "an unknown one": ("asymmetric", {}, lambda w: w.update({"blocks.3.norm1.weight": torch.ones(16)}), "has the unknown blocks.3.norm1"),
    "another width": ("asymmetric", {}, lambda w: w.update(cls_token=torch.ones(1, 1, 8)), "has another shape at cls_token"),
    "positions too many": ("asymmetric", {"absolute_positions": False}, None, "has absolute positions; set absolute_positions .* to true"),
    "positions too few": ("symmetric, relative", {"absolute_positions": True}, None, "has no absolute positions; set .* to false"),
    "tables too many": ("symmetric, relative", {"relative_positions": False}, None, "has relative positions; set .* to true"),
    "scale too many": ("symmetric, absolute", {"layer_scale": None}, None, "has layer scale; set layer_scale of the recipe to a number"),
    "the other design": ("symmetric, absolute", {"design": "asymmetric"}, None, "is of the symmetric design, the recipe is for the asymm"),
    "the other one": ("asymmetric", {"design": "symmetric"}, None, "is of the asymmetric design, the recipe is for the symmetric"),
    "half a bias": ("symmetric, both", {}, lambda w: w.pop("blocks.0.attn.v_bias"), "has another shape at blocks.0.attn.qkv.bias"),
    "no bias": ("symmetric, both", {}, lambda w: w.pop("blocks.0.attn.q_bias"), "lacks blocks.0.attn.qkv.bias"),
}


@pytest.mark.parametrize("misfit", MISFITS)
def test_what_does_not_fit_is_one_line(misfit):
    name, changes, harm, said = MISFITS[misfit]
    encoder, figures = of_design(name, **changes)
    weights = weights_of(encoder)
    if harm is not None:
        harm(weights)
    with pytest.raises(UserError, match=f"^student.safetensors: {said}") as caught:
        load_encoder_into(build_pyramid(THREE, figures, 32), weights, "student.safetensors")
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("architecture", "size", "changes", "said"),
    [
        (THREE.model_copy(update={"patch_size": 14}), 28, {}, "a patch size that 4 divides; three blocks has 14"),
        (THREE, 36, {}, "image size 36 is no multiple of the patch size 8"),
        (THREE, 32, {"taps": [0, 1, 1, 1]}, "the highest must be 2"),
        (THREE, 32, {"taps": [0, 1, 2, 3]}, "the highest must be 2"),
    ],
)
def test_figures_that_do_not_fit_are_one_line(architecture, size, changes, said):
    with pytest.raises(UserError, match=said) as caught:
        build_pyramid(architecture, recipe(**changes), size)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(("name", "encoder", "resamplers"), [("B", 85_797_120, 7_081_728), ("L", 303_299_584, 12_588_032)])
def test_parameters_of_the_published_sizes(paper, name, encoder, resamplers):
    """At 224 px: a plain ViT without its final norm, and three transposed convolutions with one batch norm."""
    architecture = paper.architectures[name]
    with torch.device("meta"):
        pyramid = build_pyramid(architecture, recipe(taps=PUBLISHED_TAPS[name]), 224)
    counted = [sum(p.numel() for p in part.parameters()) for part in (pyramid.encoder, pyramid.resamplers)]
    assert counted == [encoder, resamplers]
    assert pyramid.strides == (4, 8, 16, 32)


def test_reduced_precision():
    """The encoder's tokens stay in float32 and the gradient of the tables is finite."""
    pyramid = pyramid_of(recipe(relative_positions=True)).train()
    with torch.autocast("cpu", dtype=torch.bfloat16):
        maps = pyramid(torch.randn(2, 3, 32, 64))
        sum(m.float().square().mean() for m in maps).backward()
    assert [m.dtype for m in maps[2:]] == [torch.float32] * 2
    assert all(parameter.grad.isfinite().all() for parameter in pyramid.parameters())


def two_steps(group, folder):
    """Two steps of a pyramid with everything it can have."""
    pyramid = pyramid_of(recipe(relative_positions=True, layer_scale=0.5, drop_path=0.3)).train()
    checkpoint_blocks(pyramid)
    model = group.wrap(pyramid)
    optimizer = build_optimizer(pyramid, figures(), dense_groups(pyramid, "", figures()))
    for group_ in optimizer.param_groups:
        group_["lr"] = 1e-3
    for _ in range(2):
        optimizer.zero_grad()
        sum(m.square().mean() for m in model(torch.randn(2, 3, 32, 48))).backward()
        unused = [name for name, p in pyramid.named_parameters() if p.grad is None or not p.grad.any()]
        optimizer.step()
    return {"unused": unused, "weights": dict(pyramid.named_parameters())}


def test_two_processes_use_every_parameter(tmp_path):
    first, second = together(two_steps, tmp_path)
    assert first["unused"] == second["unused"] == []
    assert all(torch.equal(tensor, second["weights"][name]) for name, tensor in first["weights"].items())
