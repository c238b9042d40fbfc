"""The symmetric student and its classifier: what they see, how they begin, what is decayed."""

import pytest
import torch

from dbot.base.errors import UserError
from dbot.base.seeds import generator
from dbot.models.checkpoint import part
from dbot.models.classifier import build_classifier, load_classifier, load_encoder
from dbot.models.encoder import encode_all
from dbot.models.relative import TABLE
from dbot.models.symmetric import Positions, SymmetricStudent, build_symmetric_classifier, build_symmetric_encoder, initialise_symmetric
from dbot.train.optimizer import parameter_groups
from tests.train.small import ARCHITECTURE

RELATIVE = Positions()
EVERY_POSITION = [Positions(True, False), Positions(False, True), Positions(True, True)]


def student(positions: Positions = RELATIVE, seed: int = 0) -> SymmetricStudent:
    model = SymmetricStudent(ARCHITECTURE, positions, 0.1, target_width=24)
    initialise_symmetric(model, generator(seed))
    return model.eval()


def trained(positions: Positions = RELATIVE) -> SymmetricStudent:
    """One whose tables, norms and scales say something."""
    model = student(positions)
    draws = torch.Generator().manual_seed(1)
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.add_(0.3 * torch.randn(parameter.shape, generator=draws))
    return model


def classifier(positions: Positions = RELATIVE, size: int = 16, pooling: str = "average"):
    return build_symmetric_classifier(ARCHITECTURE, positions, 0.1, 3, size, pooling).eval()


@pytest.mark.parametrize("positions", EVERY_POSITION)
def test_the_student_does_not_see_what_is_masked(positions):
    model = trained(positions)
    images, changed = torch.randn(2, 3, 16, 16), torch.zeros(2, 3, 16, 16)
    masked = torch.zeros(2, 16, dtype=torch.bool)
    masked[:, :8] = True  # the upper half
    changed[:, :, 8:] = images[:, :, 8:]
    with torch.no_grad():
        found = model(images, masked)
        assert found.shape == (2, 17, 24)
        torch.testing.assert_close(model(changed, masked), found)
        assert not torch.allclose(model(changed, ~masked), model(images, ~masked))


@pytest.mark.parametrize("positions", EVERY_POSITION)
def test_unmasked_it_is_its_encoder(positions):
    model = trained(positions)
    images = torch.randn(2, 3, 16, 16)
    with torch.no_grad():
        found = model(images, torch.zeros(2, 16, dtype=torch.bool))
        torch.testing.assert_close(found, model.predict(encode_all(model.encoder, images, final_norm=True)))
        torch.testing.assert_close(model.encoder.norm(encode_all(model.encoder, images, final_norm=False)), model.encoder(images))


def test_initial_weights():
    """Everything within one standard deviation of 0.02; the layers that end a branch are smaller the deeper they are."""
    weights = student(Positions(True, True)).state_dict()
    for name, tensor in weights.items():
        last = name.rpartition(".")[2]
        if last in ("gamma_1", "gamma_2"):
            assert torch.all(tensor == torch.tensor(0.1)), name
        elif "norm" in name and last == "weight":
            assert torch.all(tensor == 1), name
        elif last in ("bias", "q_bias", "v_bias", TABLE):
            assert torch.all(tensor == 0), name
        else:
            block = int(name.split(".")[2]) + 1 if name.endswith(("attn.proj.weight", "mlp.fc2.weight")) else 0
            bound = 0.02 / (2 * block) ** 0.5 if block else 0.02
            assert 0.8 * bound < tensor.abs().max() <= bound * (1 + 1e-6), name


def test_initial_weights_come_from_the_generator_alone():
    one, again, other = student(), student(), student(seed=1)
    again_from_other_weights = trained()
    initialise_symmetric(again_from_other_weights, generator(0))
    for name, tensor in one.state_dict().items():
        assert torch.equal(tensor, again.state_dict()[name]), name
        assert torch.equal(tensor, again_from_other_weights.state_dict()[name]), name
    assert not torch.equal(one.mask_token, other.mask_token)


def test_what_is_decayed(paper):
    model = student(Positions(True, True))
    names = {id(parameter): name for name, parameter in model.named_parameters()}
    groups = parameter_groups(model, paper.recipes.pretrain["symmetric"].optimizer)
    found = {names[id(p)]: group["weight_decay"] for group in groups for p in group["params"]}
    assert set(found) == set(names.values())
    assert {found[name] for name in ("encoder.pos_embed", "encoder.cls_token", "encoder.blocks.0.gamma_1", "predict.bias")} == {0.0}
    assert {found["encoder.blocks.1.attn.q_bias"], found["encoder.norm.weight"], found["encoder.patch_embed.proj.bias"]} == {0.0}
    decayed = ("mask_token", f"encoder.rel_pos_bias.{TABLE}", "encoder.patch_embed.proj.weight", "predict.weight")
    assert {found[name] for name in decayed} == {0.05}


@pytest.mark.parametrize("positions", EVERY_POSITION)
def test_the_classifiers_features_are_the_students(positions):
    model, images = trained(positions), torch.randn(2, 3, 16, 16)
    weights = part(model.state_dict(), "encoder.")
    found = classifier(Positions.of(weights))
    assert Positions.of(weights) == positions
    load_encoder(found, weights, "test")
    with torch.no_grad():
        torch.testing.assert_close(found.forward_features(images), encode_all(model.encoder, images, final_norm=False))


def test_the_shared_table_is_copied_into_every_block():
    model, found = trained(), classifier()
    load_encoder(found, part(model.state_dict(), "encoder."), "test")
    tables = [block.attn.relative_position_bias_table for block in found.blocks]
    assert all(torch.equal(table, model.encoder.rel_pos_bias.relative_position_bias_table) for table in tables)
    assert len({table.data_ptr() for table in tables}) == len(tables), "each block has its own"


@pytest.mark.parametrize("pooling", ["average", "class_token"])
@pytest.mark.parametrize("positions", EVERY_POSITION)
def test_double_size_keeps_the_head_and_resizes_positions(pooling, positions):
    small, large = classifier(positions, 16, pooling), classifier(positions, 32, pooling)
    load_classifier(large, small.state_dict(), "test")
    assert torch.equal(large.head.weight, small.head.weight)
    assert large(torch.randn(1, 3, 32, 32)).shape == (1, 3)
    if positions.relative:
        assert large.blocks[0].attn.relative_position_bias_table.shape == (15**2 + 3, 2)


def test_an_encoder_on_another_grid(paper):
    encoder = build_symmetric_encoder(ARCHITECTURE, Positions(True, True), image_size=32)
    assert encoder.rel_pos_bias.relative_position_bias_table.shape == (15**2 + 3, 2)
    assert encoder.pos_embed.shape == (1, 65, 16)


def test_the_other_design_is_refused_in_one_line():
    symmetric = part(student().state_dict(), "encoder.")
    with pytest.raises(UserError, match="belongs to another architecture") as caught:
        load_encoder(build_classifier(ARCHITECTURE, 3, 16, "average"), symmetric, "student.safetensors")
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(("name", "count"), [("B", 732), ("L", 732), ("H", 964)])
def test_the_published_tables(paper, name, count):
    with torch.device("meta"):
        encoder = build_symmetric_encoder(paper.architectures[name], Positions())
    assert encoder.rel_pos_bias.relative_position_bias_table.shape == (count, paper.architectures[name].heads)


@pytest.mark.parametrize("precision", [torch.bfloat16, torch.float16])
def test_reduced_precision(precision):
    """The table of biases follows the queries' type; the tokens stay in float32."""
    model, masked = trained(), torch.zeros(2, 16, dtype=torch.bool)
    with torch.autocast("cpu", dtype=precision):
        tokens = encode_all(model.encoder, torch.randn(2, 3, 16, 16), final_norm=False)
        model(torch.randn(2, 3, 16, 16), masked).float().sum().backward()
    assert tokens.dtype == torch.float32
    assert model.encoder.rel_pos_bias.relative_position_bias_table.grad.isfinite().all()
