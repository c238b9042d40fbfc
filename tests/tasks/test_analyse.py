"""The insides of a network over a manifest's images: all of them or some, each once."""

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from dbot.data.labelled import LabelledPixels
from dbot.measure.analysis import analyse_network
from dbot.models.teachers.encoder import EncoderTeacher
from dbot.params.probes import Analysis
from dbot.tasks.analyse import analyse, some, summary
from dbot.train.distributed import Processes
from tests.measure.networks import asymmetric
from tests.train.small import ALONE, AS_THEY_ARE

FIGURES = Analysis(images=None, evaluation_resize=1.0, renormalise=False, top=3)


@pytest.fixture
def network():
    return EncoderTeacher(asymmetric(), True, AS_THEY_ARE)


def test_it_sees_the_validation_images(network, manifest):
    found = analyse(network, FIGURES, manifest, ALONE, 8)
    samples = manifest.samples("validation")
    pixels = LabelledPixels(manifest.root, samples, np.arange(len(samples)))
    whole = torch.stack([pixels[number][0] for number in range(len(samples))]).float() / 255
    expected = analyse_network(network, [whole], torch.device("cpu"), top=3)
    assert np.allclose(found.distances, expected.distances)
    assert np.allclose(found.shares, expected.shares)
    assert len(found.shares[0]) == 3


def test_fewer_images_are_other_means(network, manifest):
    few = analyse(network, FIGURES.model_copy(update={"images": 2}), manifest, ALONE, 8)
    assert few != analyse(network, FIGURES, manifest, ALONE, 8)


class OneOfTwo(Processes):
    """Sees its share, and keeps its sums to itself."""

    def sum(self, values):
        return values


def test_processes_share_the_images_out(network, manifest):
    first, second = (analyse(network, FIGURES, manifest, OneOfTwo(rank, 2, ALONE.device), 8) for rank in (0, 1))
    whole = analyse(network, FIGURES, manifest, ALONE, 8)
    count = len(manifest.samples("validation"))
    share = -(-count // 2) / count
    assert np.allclose(whole.distances, share * np.array(first.distances) + (1 - share) * np.array(second.distances))
    assert np.allclose(whole.shares, share * np.array(first.shares) + (1 - share) * np.array(second.shares))


def test_a_summary_is_of_the_first_and_last_layer(network, manifest):
    found = analyse(network, FIGURES, manifest, ALONE, 8)
    said = summary(found)
    assert said["attention_distance_last_layer"] == pytest.approx(np.mean(found.distances[-1]))
    assert said["attention_distance"] == pytest.approx(np.mean(found.distances))
    assert said["top3_share_last_layer"] == found.shares[-1][2]


@given(count=st.integers(0, 300), most=st.none() | st.integers(1, 400))
def test_some_are_all_or_as_many_as_asked_for_all_over_the_set(count, most):
    chosen = some(count, most)
    assert len(set(chosen)) == len(chosen) == (count if most is None else min(most, count))
    assert all(0 <= number < count for number in chosen)
    if len(chosen):
        assert np.diff(chosen, append=count).max() <= -(-count // len(chosen)) + 1
