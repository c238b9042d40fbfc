"""Features of a labelled part: each image once and in order, whatever the batch, the processes and the kind of network."""

from pathlib import Path

import numpy as np
import pytest
import torch

from dbot.base.errors import UserError
from dbot.base.seeds import generator
from dbot.data.images import read_image
from dbot.data.labelled import LabelledPixels
from dbot.data.manifest import read_manifest
from dbot.data.transforms import evaluation_transform, normalise
from dbot.models.classifier import build_classifier
from dbot.models.encoder import build_encoder, encode_all, initialise
from dbot.models.symmetric import Positions, build_symmetric_encoder, initialise_symmetric
from dbot.models.teachers.encoder import EncoderTeacher
from dbot.params.load import load
from dbot.tasks.features import by_encoder, by_teacher, by_timm, features, pool
from dbot.tasks.network import finetuned_network
from tests.conftest import PROJECT
from tests.processes import together
from tests.tasks.test_pretrain import Colours
from tests.train.small import ALONE, ARCHITECTURE


def encoder():
    network = build_encoder(ARCHITECTURE)
    initialise(network, generator("features"))
    return network.eval()


def found(describer, manifest, processes=ALONE, batch=5, part="validation", resize=1.0):
    samples = manifest.samples(part)
    pixels = LabelledPixels(manifest.root, samples, np.arange(len(samples)))
    return features(describer, pixels, resize, "fp32", processes, batch)


@pytest.mark.parametrize("pooling", ["average", "class_token"])
@pytest.mark.parametrize("batch", [1, 5, 64])
def test_features_are_those_of_the_images_in_their_order(manifest, demo, pooling, batch):
    network = encoder()
    result = found(by_encoder(network, demo.normalisation, pooling), manifest, batch=batch)
    samples = manifest.samples("validation")
    crop = evaluation_transform(16, 1.0)
    images = torch.stack([crop(read_image(manifest.root / str(path))) for path in samples.paths])
    with torch.no_grad():
        tokens = encode_all(network, normalise(images, demo.normalisation), True)
    expected = tokens[:, 0] if pooling == "class_token" else tokens[:, 1:].mean(dim=1)
    torch.testing.assert_close(result.values_ND, expected)
    assert result.values_ND.dtype == torch.float32
    assert result.labels_N.tolist() == samples.labels.tolist()


@pytest.mark.parametrize("pooling", ["average", "class_token"])
def test_a_fine_tuned_network_is_probed_at_what_its_head_gets(demo, pooling):
    """With averages the norm comes after them; with the class token it is the encoder's own. Also at its own, larger size."""
    classifier = build_classifier(ARCHITECTURE, 3, 2 * ARCHITECTURE.image_size, pooling)
    initialise(classifier, generator("classifier"))
    torch.nn.init.normal_((classifier.fc_norm if pooling == "average" else classifier.norm).weight)
    classifier.eval()
    about = {
        "kind": "classifier",
        "design": "asymmetric",
        "pooling": pooling,
        "image_size": 2 * ARCHITECTURE.image_size,
        "classes": ["a", "b", "c"],
        "architecture": ARCHITECTURE.model_dump(),
    }
    network = finetuned_network(classifier.state_dict(), about, "x.safetensors", demo.normalisation)
    describer = by_teacher(network, pooling)
    assert describer.image_size == network.image_size == 2 * ARCHITECTURE.image_size
    crops = torch.randint(0, 256, (2, 3, network.image_size, network.image_size), dtype=torch.uint8)
    with torch.no_grad():
        normed = normalise(crops, demo.normalisation)
        expected = classifier.forward_head(classifier.forward_features(normed), pre_logits=True)
    torch.testing.assert_close(describer.vectors(crops), expected)
    with pytest.raises(UserError, match="image_size is 21: must be a multiple of the patch size of x"):
        finetuned_network(classifier.state_dict(), about, "x.safetensors", demo.normalisation, 21)


def test_a_subset_keeps_its_labels(manifest, demo):
    samples = manifest.samples("train")
    chosen = np.array([1, 30, 71])
    describer = by_encoder(encoder(), demo.normalisation, "average")
    some = features(describer, LabelledPixels(manifest.root, samples, chosen), 1.0, "fp32", ALONE, 2)
    whole = found(describer, manifest, part="train")
    torch.testing.assert_close(some.values_ND, whole.values_ND[chosen])
    assert some.labels_N.tolist() == whole.labels_N[chosen].tolist() == [0, 1, 2]


def test_an_encoder_is_described_alike_as_a_teacher_and_as_a_network_of_timm(manifest, demo):
    network, statistics = encoder(), demo.normalisation
    same = [
        found(by_encoder(network, statistics, "average"), manifest),
        found(by_timm(network, statistics, "average"), manifest),
        found(by_teacher(EncoderTeacher(network, True, statistics), "average"), manifest),
    ]
    for other in same[1:]:
        torch.testing.assert_close(other.values_ND, same[0].values_ND)


def test_a_symmetric_encoder(manifest, demo):
    network = build_symmetric_encoder(ARCHITECTURE, Positions(), 0.1)
    initialise_symmetric(network, generator("features"))
    mean, token = (found(by_encoder(network.eval(), demo.normalisation, way), manifest) for way in ("average", "class_token"))
    assert mean.values_ND.shape == token.values_ND.shape == (33, 16)
    assert not torch.allclose(mean.values_ND, token.values_ND)


def test_a_classifier_of_averages_is_described_below_its_head(manifest, demo):
    network = build_classifier(ARCHITECTURE, 3, 16, "average").eval()
    images = torch.randint(0, 256, (2, 3, 16, 16), dtype=torch.uint8)
    with torch.no_grad():
        expected = network.forward_head(network.forward_features(normalise(images, demo.normalisation)), pre_logits=True)
        torch.testing.assert_close(by_timm(network, demo.normalisation, "average").vectors(images), expected)


def test_a_teacher_without_a_class_token(manifest, demo):
    with pytest.raises(UserError, match="pooling is class_token, but the teacher has no class token"):
        by_teacher(Colours(), "class_token")
    teacher = Colours()
    result = found(by_teacher(teacher, "average"), manifest)
    assert teacher.seen[0] == 32, "it sees its own size"
    brightness = result.values_ND.mean(dim=1)
    for label in range(3):
        assert brightness[result.labels_N == label].mean() == pytest.approx((20 + 90 * label) / 255, abs=0.02)


def test_pooling_counts_patches_only():
    tokens = torch.arange(24.0).view(1, 4, 6)
    assert torch.equal(pool(tokens, "average"), tokens[:, 1:].mean(dim=1))
    assert torch.equal(pool(tokens, "average", 0), tokens.mean(dim=1))


def shared(group, folder: Path):
    demo = load(PROJECT / "params.yaml", "demo").params
    manifest = read_manifest(Path((folder / "manifest").read_text()))
    describer = by_encoder(encoder(), demo.normalisation, "average")
    results = [found(describer, manifest, group, batch) for batch in (4, 11, 64)]
    few = features(describer, LabelledPixels(manifest.root, manifest.samples("train"), np.array([5])), 1.0, "fp32", group, 4)
    return {"values": [result.values_ND for result in results], "labels": results[0].labels_N, "few": few.values_ND}


def test_every_process_gets_every_image_once_and_in_order(manifest, tmp_path):
    (tmp_path / "manifest").write_text(str(manifest.folder))
    alone = shared(ALONE, tmp_path)
    for result in together(shared, tmp_path, 2):
        for values in result["values"]:
            torch.testing.assert_close(values, alone["values"][0])
        assert torch.equal(result["labels"], alone["labels"])
        torch.testing.assert_close(result["few"], alone["few"], msg="fewer images than processes")
