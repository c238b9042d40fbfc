"""Features of a folder's images: in order, whatever the batch, and with what doesn't decode left out by name."""

import numpy
import pytest
import torch
from PIL import Image

from dbot.base.errors import UserError
from dbot.data.folders import images_below
from dbot.data.images import read_image
from dbot.data.transforms import evaluation_transform, normalise
from dbot.models.classifier import build_classifier
from dbot.tasks.embed import embed
from tests.train.small import ARCHITECTURE

CPU = torch.device("cpu")


@pytest.fixture
def folder(tmp_path):
    draws = numpy.random.default_rng(0)
    for name in ("b/2.png", "b/10.jpg", "a.PNG", "c/d/e.webp"):
        path = tmp_path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(draws.integers(0, 256, (20, 30, 3)).astype("uint8")).save(path)
    (tmp_path / "b/broken.png").write_bytes(b"\x89PNG\r\n\x1a\nno")
    (tmp_path / "notes.txt").write_text("no image")
    return tmp_path


@pytest.fixture
def network():
    torch.manual_seed(0)
    return build_classifier(ARCHITECTURE, 3, 16, "average").eval()


def run(network, folder, demo, batch, pooling="average"):
    return embed(network, pooling, folder, evaluation_transform(16, 256 / 224), demo.normalisation, CPU, batch, 1e9)


def test_features_are_those_below_the_head_in_the_order_of_names(network, folder, demo):
    found = run(network, folder, demo, 2)
    assert found.paths == ["a.PNG", "b/10.jpg", "b/2.png", "c/d/e.webp"]
    assert len(found.unreadable) == 1
    assert "broken.png" in found.unreadable[0]
    transform = evaluation_transform(16, 256 / 224)
    images = normalise(torch.stack([transform(read_image(folder / name)) for name in found.paths]), demo.normalisation)
    with torch.no_grad():
        torch.testing.assert_close(found.values, network.forward_head(network.forward_features(images), pre_logits=True))


@pytest.mark.parametrize("pooling", ["average", "class_token"])
def test_the_batch_changes_nothing(network, folder, demo, pooling):
    one, all_ = (run(network, folder, demo, batch, pooling) for batch in (1, 64))
    assert one.paths == all_.paths
    torch.testing.assert_close(one.values, all_.values)


def test_folders_without_images_are_one_line(network, folder, demo, tmp_path):
    with pytest.raises(UserError, match="is not a folder"):
        images_below(tmp_path / "nowhere")
    for path in folder.rglob("*.*"):
        if path.is_file() and "broken" not in path.name:
            path.unlink()
    with pytest.raises(UserError, match="none of its 1 images can be decoded; the first: "):
        run(network, folder, demo, 4)
    (folder / "b/broken.png").unlink()
    with pytest.raises(UserError, match="holds no image"):
        run(network, folder, demo, 4)
