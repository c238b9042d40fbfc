"""Crops of label maps: image and classes stay together, and variety is asked for."""

import colorsys

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from dbot.data.labelmaps.transforms import TRIES, distort, draw_crop, fitted, resized_classes, training_transform
from dbot.data.labelmaps.values import IGNORE
from tests.tasks.small_segmentation import recipe

SIZES = st.tuples(st.integers(4, 60), st.integers(4, 60))


def figures(**changes):
    return recipe(augmentation={"distortion": False, **changes}).augmentation


@given(size=SIZES, long_side=st.integers(8, 100), short_side=st.integers(4, 50))
def test_fitted_keeps_the_ratio_and_stays_within(size, long_side, short_side):
    found = fitted(size, long_side, short_side)
    assert max(found) <= max(long_side, 1)
    assert min(found) <= max(short_side, 1)
    assert found[0] / found[1] == pytest.approx(size[0] / size[1], rel=1 / min(found))
    assert max(found) == long_side or min(found) == short_side, "as large as it can be"


def test_ade20k_is_seen_at_its_published_size():
    assert fitted((512, 683), 2048, 512) == (512, 683)
    assert fitted((1000, 6000), 2048, 512) == (341, 2048)


@settings(deadline=None)
@given(size=SIZES, seed=st.integers(0, 99), jitter=st.sampled_from([[0.5, 2.0], [1.0, 1.0]]))
def test_pixels_stay_with_their_classes(demo, size, seed, jitter):
    """Every class has a colour of its own here, so a crop can be checked pixel by pixel where nothing was interpolated."""
    torch.manual_seed(seed)
    blocks = torch.randint(0, 5, (1, -(-size[0] // 4), -(-size[1] // 4)), dtype=torch.uint8)
    classes = blocks.repeat_interleave(4, 1).repeat_interleave(4, 2)[0, : size[0], : size[1]]
    classes[classes == 4] = IGNORE
    image = (classes.float() * 60).clamp(max=250).to(torch.uint8).expand(3, -1, -1)
    crop, labels = training_transform(figures(scale_jitter=jitter), demo.normalisation)(image, classes)
    assert crop.shape == (3, 16, 16)
    assert (crop.dtype, labels.dtype, labels.shape) == (torch.uint8, torch.int64, (16, 16))
    assert set(labels.unique().tolist()) <= {*classes.unique().tolist(), IGNORE}, "nearest: no class in between"
    if jitter == [1.0, 1.0] and fitted(size, 64, 16) == size:
        known = labels != IGNORE
        assert torch.equal(crop[0][known].long(), labels[known] * 60)


def test_beyond_the_image_is_the_mean_colour_and_no_class(demo):
    image, classes = torch.zeros(3, 10, 12, dtype=torch.uint8), torch.zeros(10, 12, dtype=torch.uint8)
    unscaled = figures(scale_jitter=[1.0, 1.0], long_side=12, short_side=10)
    crop, labels = training_transform(unscaled, demo.normalisation)(image, classes)
    assert (labels[10:] == IGNORE).all()
    assert (labels[:, 12:] == IGNORE).all()
    assert (labels[:10, :12] == 0).all()
    assert crop[:, 15, 15].tolist() == [round(255 * mean) for mean in demo.normalisation.mean]
    assert crop[:, :10, :12].max() == 0


def test_flips_are_those_of_image_and_classes(demo):
    classes = torch.arange(256, dtype=torch.uint8).view(16, 16) % 200
    image = classes.expand(3, -1, -1)
    still = figures(scale_jitter=[1.0, 1.0], flip=0.0)
    mirrored = figures(scale_jitter=[1.0, 1.0], flip=1.0)
    plain, turned = (training_transform(f, demo.normalisation)(image, classes) for f in (still, mirrored))
    assert torch.equal(plain[1], classes.long())
    assert torch.equal(turned[1], classes.flip(1).long())
    assert torch.equal(turned[0], image.flip(2))


class TestVariety:
    @pytest.fixture
    def corner(self):
        """One class but for a corner, which few crops meet."""
        classes = torch.zeros(64, 64, dtype=torch.uint8)
        classes[:24, :24] = 1
        return classes

    @staticmethod
    def largest(classes, place):
        counts = torch.bincount(classes[place][classes[place] != IGNORE].flatten())
        return (counts.max() / counts.sum()).item()

    def test_a_class_that_fills_the_crop_is_drawn_again(self, corner):
        def meets(share):
            torch.manual_seed(0)
            return sum(self.largest(corner, draw_crop(corner, 16, share)) < 0.75 for _ in range(200))

        assert meets(0.75) > 3 * meets(1.0)

    def test_pixels_without_a_class_do_not_count(self, corner):
        corner[corner == 1] = IGNORE
        torch.manual_seed(0)
        drawn = [draw_crop(corner, 16, 0.75) for _ in range(20)]
        assert all(self.largest(corner, place) == 1.0 for place in drawn if (corner[place] != IGNORE).any())

    @pytest.mark.parametrize("value", [0, IGNORE])
    def test_it_gives_up(self, value, monkeypatch):
        asked = []
        monkeypatch.setattr(torch, "randint", lambda high, size: asked.append(high) or torch.zeros(size))
        rows, columns = draw_crop(torch.full((20, 8), value, dtype=torch.uint8), 16, 0.75)
        assert (rows, columns) == (slice(0, 16), slice(0, 16))
        assert asked == [5, 1] * (TRIES + 1)


@settings(deadline=None)
@given(seed=st.integers(0, 30))
def test_distortion_keeps_type_and_place(seed):
    torch.manual_seed(seed)
    image = torch.randint(0, 256, (3, 5, 7), dtype=torch.uint8)
    changed = distort(image)
    assert (changed.shape, changed.dtype) == (image.shape, image.dtype)
    grey = distort(torch.full((3, 5, 7), 100, dtype=torch.uint8))
    assert grey.flatten(1).unique(dim=1).shape[1] == 1, "a plane stays one"
    assert grey.max() - grey.min() <= 1, "grey has no hue to turn and no saturation to raise"


def test_distortion_reaches_as_far_as_it_should():
    """Brightness ±32 and contrast 0.5 to 1.5 of a middle grey; the hue of a pure red, ±36 degrees."""
    torch.manual_seed(0)
    greys = [int(distort(torch.full((3, 1, 1), 100, dtype=torch.uint8))[0]) for _ in range(2000)]
    assert 34 <= min(greys) < 50
    assert 180 < max(greys) <= 198
    assert greys.count(100) > 2000 / 8
    reds = [distort(torch.tensor([200, 0, 0], dtype=torch.uint8).view(3, 1, 1)).flatten().tolist() for _ in range(2000)]
    unclipped = [red for red in reds if max(red) < 255]
    turns = [(colorsys.rgb_to_hsv(*red)[0] + 0.5) % 1 - 0.5 for red in unclipped]
    assert max(turns) == pytest.approx(0.1, abs=0.01)
    assert min(turns) == pytest.approx(-0.1, abs=0.01)


def test_resized_classes_are_those_of_near_pixels():
    classes = torch.tensor([[0, 7], [IGNORE, 3]], dtype=torch.uint8)
    assert torch.equal(resized_classes(classes, (4, 4)), classes.repeat_interleave(2, 0).repeat_interleave(2, 1))
