"""A classifier takes over weights that fit, and says what doesn't."""

import pytest
import torch

from dbot.base.errors import UserError
from dbot.models.asymmetric import AsymmetricStudent
from dbot.models.checkpoint import part
from dbot.models.classifier import build_classifier, load_classifier, load_encoder
from dbot.models.encoder import encode_all
from dbot.params.recipes import Decoder
from tests.train.small import ARCHITECTURE


@pytest.fixture
def encoder():
    return AsymmetricStudent(ARCHITECTURE, Decoder(width=8, depth=1, heads=2), 16)


def test_features_are_the_students(encoder):
    """The pooled tokens before norm and head are those of the pre-trained encoder."""
    classifier = build_classifier(ARCHITECTURE, 3, 16, "average").eval()
    load_encoder(classifier, part(encoder.state_dict(), "encoder."), "test")
    images = torch.randn(2, 3, 16, 16)
    with torch.no_grad():
        expected = encode_all(encoder.encoder.eval(), images, final_norm=False)
        torch.testing.assert_close(classifier.forward_features(images), expected)


@pytest.mark.parametrize("pooling", ["average", "class_token"])
def test_double_size_keeps_head_and_resizes_positions(pooling):
    small = build_classifier(ARCHITECTURE, 3, 16, pooling)
    large = build_classifier(ARCHITECTURE, 3, 32, pooling)
    load_classifier(large, small.state_dict(), "test")
    assert torch.equal(large.head.weight, small.head.weight)
    assert large.pos_embed.shape == (1, 65, 16)
    assert large(torch.randn(1, 3, 32, 32)).shape == (1, 3)


@pytest.mark.parametrize(
    ("harm", "said"),
    [
        (lambda w: w.pop("blocks.1.mlp.fc1.weight"), "lacks blocks.1.mlp.fc1.weight"),
        (lambda w: w.update({"blocks.2.norm1.weight": torch.ones(16)}), "has the unknown blocks.2.norm1.weight"),
        (lambda w: w.update({"cls_token": torch.ones(1, 1, 8)}), "has another shape at cls_token"),
    ],
)
def test_a_wrong_encoder_is_refused_in_one_line(encoder, harm, said):
    weights = part(encoder.state_dict(), "encoder.")
    harm(weights)
    with pytest.raises(UserError, match=f"student.safetensors: {said}") as caught:
        load_encoder(build_classifier(ARCHITECTURE, 3, 16, "average"), weights, "student.safetensors")
    assert "\n" not in str(caught.value)
