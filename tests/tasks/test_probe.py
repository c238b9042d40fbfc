"""Both probes of one network: they learn what is there, and name what they found."""

import pytest
import torch

from dbot.base.errors import UserError
from dbot.params.probes import Linear, NearestNeighbours, Probes
from dbot.tasks.features import Describer
from dbot.tasks.probe import probe
from tests.train.small import ALONE

FIGURES = Probes(
    image_size=None,
    evaluation_resize=1.0,
    pooling="average",
    precision="fp32",
    knn=NearestNeighbours(k=[1, 10], temperature=0.07),
    linear=Linear(strengths=[1e-1, 1e-3], holdout=0.25, seed=0, tolerance=1e-5, iterations=500),
)


def brightness(crops):
    """Class by brightness is class by direction of this vector."""
    level = crops.float().mean(dim=(1, 2, 3)) / 255
    return torch.stack([level, 1 - level], dim=1)


def test_they_find_what_is_there(manifest):
    result = probe(Describer(16, brightness), FIGURES, manifest, ALONE, 8)
    assert (result["knn_1"], result["knn_10"]) == (100.0, 100.0)
    assert result["linear"] == result["linear_held_out"] == 100.0
    assert result["linear_strength"] in (1e-1, 1e-3)
    assert result["linear_converged"] == 1.0


def test_nothing_is_found_where_nothing_is(manifest):
    result = probe(Describer(16, lambda crops: torch.ones(len(crops), 4)), FIGURES, manifest, ALONE, 8)
    assert result["linear"] == pytest.approx(100 / 3), "constant features leave the most frequent class"


def test_too_few_images_are_said_before_the_work(manifest):
    figures = FIGURES.model_copy(update={"knn": NearestNeighbours(k=[500], temperature=0.07)})
    with pytest.raises(UserError, match=r"^probes.knn.k is 500, but only 72 training images"):
        probe(Describer(16, lambda crops: pytest.fail("was computed")), figures, manifest, ALONE, 8)
