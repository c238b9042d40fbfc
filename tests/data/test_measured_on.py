"""Sets that classifiers are only measured on: the layouts that people download, and the embedded stand-ins."""

import json
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from dbot.base.digest import tree_table
from dbot.base.errors import UserError
from dbot.data.embedded.corrupt import APPLIED, corrupt
from dbot.data.embedded.draw import LABELS, draw
from dbot.data.embedded.material import divide
from dbot.data.embedded.shifted import DRAWN, RENDERED, confused
from dbot.data.layouts.corruptions import CORRUPTIONS, SEVERITIES, by_severity
from dbot.data.layouts.reader import read_listing
from dbot.data.manifest import Manifest
from dbot.data.prepare import prepare
from dbot.params.datasets import VARIANTS, Dataset, Embedded, Split

Declare = Callable[..., Dataset]
Picture = Callable[..., Path]
Small = Callable[..., Embedded]
HERE = Split(images=".")


def prepared(dataset: Dataset, folder: Path) -> Manifest:
    return prepare("it", dataset, folder / "prepared", folder / "copy", 1, float("inf"))


# ------------------------------------------------------------------------------------------- layouts


def test_class_folders_are_validation_images_alone(tmp_path: Path, declare: Declare, picture: Picture) -> None:
    for number, name in enumerate(("10", "2", "0")):
        picture(tmp_path / "set" / name / "a.png", seed=number)
    (tmp_path / "set" / "README.txt").write_text("as ImageNet-A has one")
    found = prepared(declare(tmp_path / "set", "class-folders", validation=HERE), tmp_path)
    assert (found.classes, found.counts) == (["0", "10", "2"], {"train": 0, "validation": 3})
    assert found.samples("validation").paths.tolist() == ["0/a.png", "10/a.png", "2/a.png"]


def test_the_root_is_what_is_meant_where_no_folder_is_named(tmp_path: Path, picture: Picture) -> None:
    picture(tmp_path / "set" / "a" / "1.png")
    _, found = read_listing("it", Dataset(title="it", root=str(tmp_path / "set"), layouts=["class-folders"]))
    assert [sample.path for sample in found.samples["validation"]] == ["a/1.png"]


def test_they_are_not_read_where_nobody_names_their_layout(tmp_path: Path, picture: Picture) -> None:
    picture(tmp_path / "set" / "a" / "1.png")
    layout, _ = read_listing("it", Dataset(title="it", root=str(tmp_path / "set")))
    assert layout == "images"


def test_an_empty_class_folder_is_one_line(tmp_path: Path, declare: Declare, picture: Picture) -> None:
    picture(tmp_path / "set" / "a" / "1.png")
    (tmp_path / "set" / "b").mkdir()
    with pytest.raises(UserError, match="b: holds no image; complete it, or remove it"):
        read_listing("it", declare(tmp_path / "set", "class-folders", validation=HERE))


def corrupted_set(root: Path, picture: Picture, names: tuple[str, ...] = ("noise/gaussian_noise", "digital/contrast")) -> Path:
    for place, name in enumerate(names):
        for severity in SEVERITIES:
            for label in ("n1", "n2"):
                picture(root / name / str(severity) / label / "x.png", seed=100 * place + severity)
    return root


def test_corruptions_lie_in_the_folders_of_their_archives(tmp_path: Path, declare: Declare, picture: Picture) -> None:
    root = corrupted_set(tmp_path / "set", picture)
    picture(root / "extra" / "speckle_noise" / "1" / "n1" / "x.png")
    _, found = read_listing("it", declare(root, "corruptions", validation=HERE))
    assert found.classes == ["n1", "n2"]
    assert len(found.samples["validation"]) == 20
    assert found.left_out == [f"{root}/extra/speckle_noise: left out: a corruption for development, which counts nowhere"]
    groups = by_severity(sample.path for sample in found.samples["validation"])
    assert list(groups) == ["gaussian_noise", "contrast"], "in the benchmark's order"
    assert groups["contrast"] == [[10, 11], [12, 13], [14, 15], [16, 17], [18, 19]]


def test_an_incomplete_corruption_is_one_line(tmp_path: Path, declare: Declare, picture: Picture) -> None:
    root = corrupted_set(tmp_path / "set", picture)
    (root / "digital" / "contrast" / "3").rename(root / "digital" / "contrast" / "three")
    with pytest.raises(UserError, match=r"contrast/3: is missing \(ImageNet-C has severities 1 to 5\); complete it"):
        read_listing("it", declare(root, "corruptions", validation=HERE))


def test_a_class_that_no_other_severity_has_is_one_line(tmp_path: Path, declare: Declare, picture: Picture) -> None:
    root = corrupted_set(tmp_path / "set", picture)
    picture(root / "digital" / "contrast" / "3" / "n3" / "x.png")
    with pytest.raises(UserError, match="n3: no other severity has a class of this name"):
        read_listing("it", declare(root, "corruptions", validation=HERE))


@pytest.mark.parametrize(
    ("paths", "said"),
    [
        (["frost/1/n1/x.png"], "frost: severity 2 has no image"),
        (["gaussian_noise/6/n1/x.png"], "doesn't lie in corruption/severity/class"),
        (["n1/x.png"], "doesn't lie in corruption/severity/class"),
        (["speckle_noise/1/n1/x.png"], "doesn't lie in corruption/severity/class"),
    ],
)
def test_images_that_are_no_corruptions(paths: list[str], said: str) -> None:
    with pytest.raises(UserError, match=said):
        by_severity(paths)


# ------------------------------------------------------------------------------------------ embedded


def drawn(folder: Path, style: str, declare: Declare, small: Small, **settings: object) -> Dataset:
    layout = "corruptions" if style == "corrupted" else "class-folders"
    dataset = declare(folder, layout, embedded=small(style, **{"train": 0, "validation": 24, **settings}))
    folder.mkdir(parents=True)
    counts = draw("it", dataset, folder)
    assert counts["train"] == 0
    assert dataset.embedded is not None
    assert counts["validation"] == dataset.embedded.count("validation")
    return dataset


@pytest.mark.parametrize("style", DRAWN)
def test_the_same_seed_gives_the_same_bytes(tmp_path: Path, style: str, declare: Declare, small: Small) -> None:
    few = {"validation": 2} if style == "corrupted" else {}
    for name, seed in (("a", 1), ("b", 1), ("c", 2)):
        drawn(tmp_path / name, style, declare, small, seed=seed, **few)
    a, b, c = (tree_table(tmp_path / name) for name in "abc")
    assert a == b
    assert a != c


@pytest.mark.parametrize("style", DRAWN)
def test_what_is_drawn_is_read(tmp_path: Path, style: str, declare: Declare, small: Small) -> None:
    dataset = drawn(tmp_path / "set", style, declare, small, validation=10 if style == "corrupted" else 30)
    found = prepared(dataset, tmp_path)
    assert found.counts == {"train": 0, "validation": 10 * VARIANTS if style == "corrupted" else 30}
    digits = [str(digit) for digit in range(10)]
    if style == "renditions":
        assert found.classes == [str(digit) for digit in RENDERED]
    elif style == "confusable":
        assert set(found.classes) <= set(digits)
    else:
        assert found.classes == digits


def test_relabelled_images_have_several_labels_or_none(tmp_path: Path, declare: Declare, small: Small) -> None:
    dataset = drawn(tmp_path / "set", "relabelled", declare, small, validation=200)
    lists = json.loads((tmp_path / "set" / LABELS).read_text())
    assert {len(each) for each in lists} == {0, 1, 2}
    assert all(0 <= label < 10 for each in lists for label in each)
    samples = prepared(dataset, tmp_path).samples("validation")
    labels = {path.rpartition("_")[2][:8]: label for path, label in zip(samples.paths.tolist(), samples.labels.tolist(), strict=True)}
    shown = [labels[f"{number:08d}"] in each for number, each in enumerate(lists, 1) if each]
    assert 0.9 < np.mean(shown) < 1, "the folder's label is one of them, but for a few mistakes"


def test_confusable_digits_are_nearer_to_another_class() -> None:
    material = divide(np.random.default_rng(0))
    means = [members.reshape(len(members), -1).mean(axis=0) for members in material["train"].digits]
    found = confused(material)
    rows = [members.reshape(len(members), -1).astype(float) for members in found]
    assert 20 < sum(map(len, found)) < 150
    for label, members in enumerate(rows):
        for digit in members:
            assert np.argmin([((digit - mean) ** 2).sum() for mean in means]) != label


def test_sets_of_one_seed_divide_the_digits_alike(demo) -> None:
    """What is measured on was not trained on."""
    seeds = {name: declared.embedded.seed for name, declared in demo.datasets.items() if declared.embedded and name.startswith("digits")}
    assert set(seeds) == {"digits", *demo.shift.sets}
    assert len(set(seeds.values())) == 1


# --------------------------------------------------------------------------------------- corruptions

SCENE = np.asarray(divide(np.random.default_rng(0))["validation"].photographs[1].resize((32, 32)))


def test_all_but_frost_are_applied() -> None:
    assert [name for name in CORRUPTIONS if name not in APPLIED] == ["frost"]
    assert list(APPLIED) == [name for name in CORRUPTIONS if name in APPLIED]
    assert len(APPLIED) * len(SEVERITIES) == VARIANTS


@pytest.mark.parametrize("name", APPLIED)
def test_the_severest_corruption_is_farther_from_the_image_than_the_mildest(name: str) -> None:
    def far(severity: int) -> float:
        made = corrupt(SCENE, name, severity, np.random.default_rng(0))
        assert made.shape == SCENE.shape
        assert made.dtype == np.uint8
        return float(np.abs(made.astype(int) - SCENE).mean())

    assert 0 < far(1) < far(5)


@pytest.mark.parametrize("name", APPLIED)
@pytest.mark.parametrize("value", [0, 255])
def test_images_of_one_colour_stay_images(name: str, value: int) -> None:
    made = corrupt(np.full((32, 32, 3), value, dtype=np.uint8), name, 5, np.random.default_rng(0))
    if name in ("defocus_blur", "glass_blur", "motion_blur", "zoom_blur", "contrast", "elastic_transform", "pixelate", "jpeg_compression"):
        assert np.abs(made.astype(int) - value).max() <= 1


def test_brightness_keeps_hue_and_saturation() -> None:
    from skimage.color import rgb2hsv

    image = np.asarray(np.random.default_rng(0).integers(40, 140, (16, 16, 3)), dtype=np.uint8)
    before, after = (rgb2hsv(pixels) for pixels in (image, corrupt(image, "brightness", 3, np.random.default_rng(0))))
    assert np.abs(after[..., 2] - before[..., 2] - 0.15).max() < 0.003
    assert np.abs(after[..., 1] - before[..., 1]).max() < 0.02
