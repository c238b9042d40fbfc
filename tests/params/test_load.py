"""Every mistake in params.yaml is one clear line; nothing in it can cause a traceback."""

import copy
import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from dbot.base.errors import UserError
from dbot.params import load as load_module
from dbot.params.document import read_parts
from dbot.params.load import Resolved, load
from dbot.params.source import KeyPath, Tree
from tests.conftest import PROJECT
from tests.params_text import params_text

TEXT = params_text()
JARGON = re.compile(r"pydantic|instance of|[Ii]nput should|after validation|literal\[|constrained|discriminator|dictionary|\bNone\b|Errno")


@dataclass
class Broken:
    """params.yaml with something replaced, and the lines that it makes."""

    file: Path

    def lines(self, *changes: tuple[str, str], scale: str = "paper") -> list[str]:
        text = TEXT
        for old, new in changes:
            assert old in text
            text = text.replace(old, new, 1)
        self.file.write_text(text)
        with pytest.raises(UserError) as caught:
            load(self.file, scale)
        lines = list(caught.value.problems)
        for line in lines:
            assert "\n" not in line
            assert not JARGON.search(line.replace(str(self.file), "")), line
        return [line.removeprefix(f"{self.file}:") for line in lines]

    def line_of(self, text: str) -> int:
        """The number of the first line that holds ``text``."""
        return next(i for i, line in enumerate(self.file.read_text().splitlines(), 1) if text in line)


@pytest.fixture
def broken(tmp_path: Path) -> Broken:
    return Broken(tmp_path / "params.yaml")


@pytest.mark.parametrize("scale", ["demo", "single-gpu", "paper"])
def test_every_scale_loads(scale: str) -> None:
    resolved = load(PROJECT / "params.yaml", scale)
    assert resolved.scale == scale
    assert scale in resolved.params.scales


def test_a_scale_can_be_without_a_row_and_without_another_row_s_column() -> None:
    paper, released = (load(PROJECT / "params.yaml", scale) for scale in ("paper", "released"))
    assert {name for name in paper.params.table_rows if name not in released.params.rows} == {
        name for name in paper.params.table_rows if name.endswith(("-scratch", "-absolute"))
    }
    assert paper.params.rows["B-CLIP"].columns_from == {"det": "B-CLIP-absolute"}
    assert released.params.rows["B-CLIP"].columns_from == {}
    assert released.origin("rows", "B-scratch", "title") is released.origin("rows", "B-scratch") is None


def test_the_scale_that_the_file_names_is_the_default() -> None:
    assert load(PROJECT / "params.yaml").scale == load(PROJECT / "params.yaml").params.scale == "demo"


def test_a_value_tells_where_it_was_written() -> None:
    resolved = load(PROJECT / "params.yaml", "demo")
    overridden = resolved.origin("architectures", "B", "width")
    inherited = resolved.origin("recipes", "pretrain", "asymmetric-B", "mask_ratio")
    assert overridden is not None
    assert overridden.key == "scales.demo.overrides.architectures.B.width"
    assert overridden.file == PROJECT / "params/demo.yaml"
    assert "width: 48" in overridden.file.read_text().splitlines()[overridden.line - 1]
    assert inherited is not None
    assert inherited.key == "recipes.pretrain.asymmetric.mask_ratio"
    assert inherited.file == PROJECT / "params.yaml"
    assert "mask_ratio: 0.75" in inherited.file.read_text().splitlines()[inherited.line - 1]
    assert resolved.origin("recipes", "pretrain", "asymmetric-B", "optimizer", "layer_decay") is None


# Each case: what is replaced by what, the text whose line is named, and the whole message after it.
CASES = {
    "unknown key": (
        ("flip: 0.5, color_jitter: 0}", "flip: 0.5, color_jiter: 0}"),
        "color_jiter",
        "recipes.pretrain.asymmetric.augmentation.color_jiter is not a key: did you mean 'color_jitter'? "
        "keys here are: crop_scale, crop_ratio, flip, color_jitter",
    ),
    "wrong type": (
        ("mask_ratio: 0.75", "mask_ratio: high"),
        "mask_ratio: high",
        "recipes.pretrain.asymmetric.mask_ratio is 'high': must be a number",
    ),
    "a number in quotes": (
        ("width: 768", "width: '768'"),
        "width: '768'",
        "architectures.B.width is '768': must be a whole number",
    ),
    "not a whole number": (
        ("batch_size: 4096", "batch_size: 4096.5"),
        "batch_size: 4096.5",
        "recipes.pretrain.asymmetric.batch_size is 4096.5: must be a whole number",
    ),
    "nothing": (
        ("class_token_in_loss: true", "class_token_in_loss:"),
        "class_token_in_loss:",
        "recipes.pretrain.asymmetric.class_token_in_loss is null: must be true or false",
    ),
    "a list for text": (
        ("title: ViT-B/16", "title: [ViT, B]"),
        "title: [ViT, B]",
        "architectures.B.title is ['ViT', 'B']: must be text; put it in quotes if YAML takes it for something else",
    ),
    "a mapping for a number": (
        ("mask_ratio: 0.75", "mask_ratio: {low: 0.5}"),
        "mask_ratio: {low",
        "recipes.pretrain.asymmetric.mask_ratio is a mapping: must be a number",
    ),
    "out of range": (
        ("mask_ratio: 0.75", "mask_ratio: 1.5"),
        "mask_ratio: 1.5",
        "recipes.pretrain.asymmetric.mask_ratio is 1.5: must be less than 1",
    ),
    "infinite": (
        ("learning_rate: 1.5e-4", "learning_rate: .inf"),
        "learning_rate: .inf",
        "recipes.pretrain.asymmetric.optimizer.learning_rate is inf: must be a finite number",
    ),
    "none of the choices": (
        ("non_finite: stop", "non_finite: ignore"),
        "non_finite: ignore",
        "recipes.pretrain.asymmetric.non_finite is 'ignore': must be 'stop', 'skip' or 'rewind'",
    ),
    "neither kind of value": (
        ("decode: 20000", "decode: some"),
        "decode: some",
        "datasets.imagenet-1k.check.decode is 'some': must be 'all' or 'none', or a whole number",
    ),
    "neither kind of value beside a key of its kind's name": (
        ("row: L-L, stage: last", "row: L-L, stage: first"),
        "stage: first",
        "teachers.student-L.stage is 'first': must be a whole number, or 'last'",
    ),
    "too few": (
        ("betas: [0.9, 0.95]", "betas: [0.9]"),
        "betas: [0.9]",
        "recipes.pretrain.asymmetric.optimizer.betas is [0.9]: must have at least 2 entries",
    ),
    "unknown kind": (
        ("{kind: random, weights: student, depth: null", "{kind: oracle, weights: student, depth: null"),
        "kind: oracle",
        "teachers.random-B.kind is 'oracle': must be one of random, row, timm, package, file",
    ),
    "no kind": (
        ("{kind: random, weights: student, depth: null", "{weights: student, depth: null"),
        "random-B: {weights",
        "teachers.random-B.kind is missing: must be one of random, row, timm, package, file",
    ),
    "missing key": (
        ("    architecture: B\n", ""),
        "  B-B:",
        "rows.B-B.architecture is missing: add it",
    ),
    "missing teacher": (
        ("teacher: random-B", "teacher: random-X"),
        "teacher: random-X",
        "rows.B-B.teacher is 'random-X': there is no teacher of that name; "
        "declared are: random-B, random-L, random-H, student-L, student-H, deit-B, dino-B, mae-B, clip-B, clip-L, clip-L-224",
    ),
    "missing row of a teacher": (
        ("kind: row, row: L-L", "kind: row, row: L-X"),
        "row: L-X",
        "teachers.student-L.row is 'L-X': there is no row of that name; declared are: B-B, B-L, B-H, B-CLIP, L-L, L-H, L-CLIP, H-H, "
        "H-CLIP, H448-H, H448-CLIP, B-CLIP-absolute, L-CLIP-absolute, B-scratch, L-scratch, H-scratch, H448-scratch, "
        "B-symmetric-scratch, L-symmetric-scratch, B-symmetric-absolute-scratch, L-symmetric-absolute-scratch, "
        "H-symmetric-scratch, H448-symmetric-scratch",
    ),
    "a teacher without stages": (
        ("kind: row, row: L-L", "kind: row, row: B-scratch"),
        "row: B-scratch",
        "teachers.student-L.row is 'B-scratch': that row has no stages of distillation; name one that has",
    ),
    "a stage that the teacher's row doesn't have": (
        ("row: L-L, stage: last", "row: L-L, stage: 4"),
        "stage: 4",
        "teachers.student-L.stage is 4: row L-L has 3 stages",
    ),
    "a row that is its own teacher": (
        ("kind: row, row: L-L", "kind: row, row: B-L"),
        "teacher: student-L",
        "rows.B-L.teacher closes a cycle: B-L <- B-L; give one of these rows another start",
    ),
    "stage shorter than warm-up": (
        ("warmup_epochs: 40", "warmup_epochs: 800"),
        "epochs: 800 #",
        "recipes.pretrain.asymmetric.epochs is 800: must be more than warmup_epochs = 800, or the schedule never leaves its warm-up",
    ),
    "a size that no patch divides": (
        ("image_size: 224, patch_size: 14", "image_size: 225, patch_size: 14"),
        "image_size: 225",
        "architectures.H.patch_size is 14: must divide image_size = 225",
    ),
    "a fine-tuning size that no patch divides": (
        ("image_size: 448", "image_size: 450"),
        "image_size: 450",
        "recipes.finetune.asymmetric-H448.image_size is 450: must be a multiple of patch_size = 14 of architecture H",
    ),
    "heads that don't divide the width": (
        ("width: 768, depth: 12, heads: 12", "width: 768, depth: 12, heads: 7"),
        "heads: 7",
        "architectures.B.heads is 7: must divide width = 768",
    ),
    "a recipe that extends itself": (
        ("extends: asymmetric\n      optimizer: {clip_grad: 3.0}", "extends: asymmetric-B"),
        "extends: asymmetric-B",
        "recipes.pretrain.asymmetric-B.extends is 'asymmetric-B', which would extend itself: "
        "recipes are: asymmetric, asymmetric-L, asymmetric-H, symmetric, symmetric-B, symmetric-L, symmetric-H, "
        "symmetric-absolute-B, symmetric-absolute-L",
    ),
    "a recipe that extends nothing": (
        ("extends: asymmetric\n      optimizer: {clip_grad: 3.0}", "extends: [asymmetric]"),
        "extends: [asymmetric]",
        "recipes.pretrain.asymmetric-B.extends is ['asymmetric'], which does not exist: "
        "recipes are: asymmetric, asymmetric-L, asymmetric-H, symmetric, symmetric-B, symmetric-L, symmetric-H, "
        "symmetric-absolute-B, symmetric-absolute-L",
    ),
    "a row with two starts": (
        ("finetuned_from: H-H\n", "finetuned_from: H-H\n    from_scratch: true\n"),
        "  H448-H:",
        "rows.H448-H starts in 2 ways (finetuned_from, from_scratch): "
        "give exactly one of teacher, released, finetuned_from, from_teacher and from_scratch",
    ),
    "a row with no start": (
        ("    finetuned_from: H-H\n", ""),
        "  H448-H:",
        "rows.H448-H does not say where it starts: give exactly one of teacher, released, finetuned_from, from_teacher and from_scratch",
    ),
    "a fine-tuned file without the one before it": (
        ("    finetuned_from: H-H\n", "    finetuned_from: H-H\n    finetuned: H448-H-finetuned\n"),
        "    finetuned: H448-H-finetuned",
        "rows.H448-H.finetuned goes with released: name the pre-trained file there; one that is fine-tuned can stand alone",
    ),
    "a pre-trained file for a fine-tuned one": (
        ("    finetuned_from: H-H\n", "    released: H-H-pre\n    finetuned: H-H-pre\n"),
        "    finetuned: H-H-pre",
        "rows.H448-H.finetuned is 'H-H-pre': that file is not fine-tuned; name it at released",
    ),
    "a row without anything in it": (
        ("  B-scratch: {title: none, architecture: B, from_scratch: true, recipe: asymmetric-B}\n", "  B-scratch:\n"),
        "  B-scratch:",
        "rows.B-scratch is null: must be a mapping",
    ),
    "a row that would escape the results": (
        ("  H448-CLIP:\n", "  ../../H448-CLIP:\n"),
        "  ../../H448-CLIP:",
        "rows.../../H448-CLIP is not a usable name ('../../H448-CLIP'): use letters, digits, - and _, starting with a letter",
    ),
    "a recipe that is fine-tuned as another design": (
        (
            "    symmetric-B:\n      extends: symmetric\n    symmetric-L:\n      extends: symmetric\n    symmetric-H",
            "    symmetric-B:\n      extends: asymmetric\n    symmetric-L:\n      extends: symmetric\n    symmetric-H",
        ),
        None,
        "recipes.finetune.symmetric-B.design is symmetric: must be asymmetric, as recipes.pretrain.symmetric-B is",
    ),
    "a fine-tuned row that goes on as another design": (
        ("recipe: symmetric-H448\n    finetuned_from", "recipe: asymmetric-H448\n    finetuned_from"),
        None,
        "rows.H448-CLIP.recipe is 'asymmetric-H448': must be a recipe of the symmetric design, as the start is; this one is asymmetric",
    ),
    "masks that leave nothing to see": (
        ("blocks: {patches: 78, minimum: 16", "blocks: {patches: 196, minimum: 16"),
        "patches: 196",
        "recipes.pretrain.symmetric-B.blocks.patches is 196: must be less than the 14x14 patches of architecture B",
    ),
    "blocks larger than the mask": (
        ("blocks: {patches: 78, minimum: 16", "blocks: {patches: 78, minimum: 79"),
        "minimum: 79",
        "recipes.pretrain.symmetric.blocks.minimum is 79: must be at most patches = 78",
    ),
    "blocks that find no room": (
        ("blocks: {patches: 78, minimum: 16", "blocks: {patches: 195, minimum: 170"),
        "minimum: 170",
        "recipes.pretrain.symmetric-B.blocks.minimum is 170: must fit inside the 14x14 patches of architecture B",
    ),
    "no positions at all": (
        ("relative_positions: true", "relative_positions: false"),
        "relative_positions: false",
        "recipes.pretrain.symmetric.relative_positions is false: must be true where absolute_positions is false, "
        "or the student can't know where a patch is",
    ),
    "an unknown design of a fine-tuning": (
        ("design: asymmetric\n      epochs: 100", "design: odd\n      epochs: 100"),
        "design: odd",
        "recipes.finetune.asymmetric.design is 'odd': must be one of asymmetric, symmetric",
    ),
    "windows that leave gaps": (
        ("window: 512, stride: 341}", "window: 512, stride: 700}"),
        "stride: 700",
        "recipes.segment.asymmetric.inference.stride is 700: must be at most window = 512, or pixels between windows are never labelled",
    ),
    "sides of a crop the wrong way round": (
        ("crop_sides: [384, 600]", "crop_sides: [600, 384]"),
        "crop_sides: [600, 384]",
        "recipes.detect.asymmetric.augmentation.crop_sides is [600, 384]: must be two sides, the smaller first",
    ),
    "the same bits of operations that have no such kernel": (
        ("epochs: 127", "deterministic: true\n      epochs: 127"),
        "deterministic: true",
        "recipes.segment.asymmetric.deterministic is true: "
        "must be false: torch has no deterministic form of some of its operations on a GPU",
    ),
    "an anchor that is both": (
        ("negative_iou: 0.3", "negative_iou: 0.8"),
        "negative_iou: 0.8",
        "recipes.detect.asymmetric.proposals.negative_iou is 0.8: must be at most positive_iou = 0.7",
    ),
    "a control that is fine-tuned otherwise": (
        ("control: B-scratch", "control: L-scratch"),
        "control: L-scratch",
        "rows.B-B.control is 'L-scratch': must have the architecture and the fine-tunings of B-B, and start from_scratch",
    ),
    "a seed twice": (
        ("seeds: [0]", "seeds: [0, 1, 0]"),
        "seeds: [0, 1, 0]",
        "build.seeds.2 is 0: stands there twice; name it once",
    ),
    "pixels of full size": (
        ("short_side: null", "copies: pixels"),
        "copies: pixels",
        "datasets.imagenet-1k.copies is 'pixels': needs `short_side`, the size that images are shrunk to, say 256",
    ),
    "scenes of fewer digits at most than at least": (
        ("scene: {digits: [2, 6], sizes: [0.16, 0.45]}", "scene: {digits: [6, 2], sizes: [0.16, 0.45]}"),
        "digits: [6, 2]",
        "datasets.scenes-boxes.embedded.scene.digits is [6, 2]: must be two numbers, the smaller first",
    ),
    "a scale that overrides the scales": (
        ("title: what the published table used", "title: what the published table used\n    overrides: {scales: {}}"),
        "overrides: {scales",
        "scales.paper.overrides.scales is not a key: a scale can't override it; take it out",
    ),
}


@pytest.mark.parametrize("case", CASES)
def test_a_mistake_is_one_line(broken: Broken, case: str) -> None:
    change, where, said = CASES[case]
    lines = broken.lines(change)
    found = [line for line in lines if line.split(": ", 1)[1] == said]
    assert len(found) == 1, "\n".join(lines)
    number = int(found[0].split(":")[0])
    if where is not None and case != "a symmetric row that says it isn't":
        assert number == broken.line_of(where.rstrip("\n"))
    # A misspelt key is also missing, and a name that is gone is missed where it was used; nothing else is complained of.
    assert len(lines) <= 3


def test_what_recipes_inherit_is_complained_of_once(broken: Broken) -> None:
    assert len(broken.lines(("mask_ratio: 0.75", "mask_ratio: 2"))) == 1


def test_several_mistakes_are_all_named(broken: Broken) -> None:
    lines = broken.lines(("mask_ratio: 0.75", "mask_ratio: 2"), ("width: 768", "width: wide"), ("seeds: [0]", "seeds: []"))
    assert len(lines) == 3


@pytest.mark.parametrize(("old", "new"), [("scale: demo #", "scale: big #"), ("scale: demo #", "scale: [demo] #"), ("scale: demo #", "#")])
def test_an_unknown_scale_is_one_line(tmp_path: Path, old: str, new: str) -> None:
    file = tmp_path / "params.yaml"
    file.write_text(TEXT.replace(old, new, 1))
    declared = "paper, released, released-demo, demo, demo-seeds, single-gpu"
    with pytest.raises(UserError, match=rf"scale is .*: there is no scale of that name; declared .* are: {declared}$"):
        load(file)


# ------------------------------------------------------------------- every leaf, broken in turn


def _leaves(data: Any, path: KeyPath = ()) -> Iterator[KeyPath]:
    if isinstance(data, dict | list) and data:
        for key, below in data.items() if isinstance(data, dict) else enumerate(data):
            yield from _leaves(below, (*path, key))
    else:
        yield path


DOCUMENT = read_parts(PROJECT / "params.yaml")
LEAVES = list(_leaves(DOCUMENT.data))


def _load(monkeypatch: pytest.MonkeyPatch, data: Any, scale: str) -> Resolved | list[str]:
    """Load changed data without writing YAML; its values keep the lines they had."""
    monkeypatch.setattr(load_module, "read_parts", lambda file: Tree(data, _Anywhere(DOCUMENT.origins)))
    try:
        return load(PROJECT / "params.yaml", scale)
    except UserError as error:
        return [problem.removeprefix(f"{PROJECT}/") for problem in error.problems]


class _Anywhere(dict):  # type: ignore[type-arg]
    """Origins that also know what was put in: it stands where its parent did."""

    def __missing__(self, path: KeyPath) -> Any:
        return self[path[:-1]]


def _copied(data: Any, path: KeyPath) -> tuple[Any, Any]:
    """A copy of the data as deep as ``path`` goes, and the mapping or list in it that holds the last key."""
    top = holder = copy.copy(data)
    for key in path[:-1]:
        holder[key] = copy.copy(holder[key])
        holder = holder[key]
    return top, holder


CHANGES = ["wrong type", "another wrong type", "nothing", "removed", "misspelt", "out of range", "extra"]


@pytest.mark.parametrize(
    ("change", "every"),
    [*((change, 40) for change in CHANGES[:5]), *(pytest.param(change, 1, marks=pytest.mark.slow) for change in CHANGES)],
)
def test_no_broken_leaf_causes_a_traceback(monkeypatch: pytest.MonkeyPatch, change: str, every: int) -> None:
    refused, tried = 0, 0
    for path in LEAVES[CHANGES.index(change) :: every]:
        (data, holder), key = _copied(DOCUMENT.data, path), path[-1]
        value = holder[key]
        if change == "wrong type":
            holder[key] = {"unexpected": [1]}
        elif change == "another wrong type":
            holder[key] = 7.25 if isinstance(value, str) else "seven"
        elif change == "nothing":
            holder[key] = None
        elif change == "out of range":
            if isinstance(value, bool) or not isinstance(value, int | float):
                continue
            holder[key] = -1e300 if isinstance(value, float) else -(10**9)
        elif change == "extra":
            if isinstance(holder, list):
                continue
            holder["unheard of"] = 1
        elif change == "removed" or isinstance(key, int):
            del holder[key]
        else:
            holder[f"{key}x"] = holder.pop(key)
        counted = path[0] != "scales" or change != "removed"  # what a scale overrides has its value elsewhere
        tried += counted
        scale = path[1] if path[0] == "scales" else "paper"
        found = _load(monkeypatch, data, scale if scale in ("demo", "single-gpu") else "paper")
        if isinstance(found, Resolved):
            continue
        refused += counted
        for line in found:
            assert "\n" not in line
            assert not JARGON.search(line), line
            assert line.startswith(("params.yaml", "params/")), line
        if change == "extra":
            assert any("unheard of" in line for line in found), (path, found)
        if change == "misspelt" and not isinstance(key, int):
            # One of the lines names the key as it was given.
            assert any(f"{key}x" in line for line in found) or _is_name(path), (path, found)
    # What is left out may have a default, and a name may be any text; a wrong type seldom passes.
    assert refused > tried * (0.9 if "wrong type" in change else 0.5), (refused, tried)


def _is_name(path: KeyPath) -> bool:
    """Whether the key may be a name that the user chose: it can't be misspelt, but what refers to it is refused."""
    return path[0] in ("scales", "recipes", "datasets", "architectures", "rows", "teachers")
