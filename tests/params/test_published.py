"""The paper's scale holds the published figures; written out here by hand, from the papers' table and code."""

import pytest

from dbot.params.document import Params
from dbot.params.recipes import AsymmetricPretrain, SymmetricFinetune, SymmetricPretrain
from dbot.params.rows import COLUMNS
from dbot.params.teachers import RandomTeacher, RowTeacher, TimmTeacher

# Row, architecture, teacher's title, asymmetric, top-1, box AP, mIoU: the table of the authors' README, in its order.
PUBLISHED = [
    ("B-B", "B", "B", True, 84.5, 52.7, 49.5),
    ("B-L", "B", "L", True, 84.6, 53.1, 50.1),
    ("B-H", "B", "H", True, 84.6, 53.5, 50.8),
    ("B-CLIP", "B", "CLIP-B/16", False, 85.7, 53.6, 52.9),
    ("L-L", "L", "L", True, 86.6, 56.0, 54.5),
    ("L-H", "L", "H", True, 86.8, 56.1, 55.2),
    ("L-CLIP", "L", "CLIP-L/14", False, 87.8, 56.8, 56.2),
    ("H-H", "H", "H", True, 87.4, None, None),
    ("H-CLIP", "H", "CLIP-L/14", False, 88.5, None, None),
    ("H448-H", "H", "H", True, 88.0, None, None),
    ("H448-CLIP", "H", "CLIP-L/14", False, 89.1, None, None),
]


def test_the_published_table(paper: Params) -> None:
    found = [
        (
            name,
            row.architecture,
            row.title,
            paper.recipes.finetune[row.recipe].design == "asymmetric",
            row.published.cls,
            row.published.det,
            row.published.seg,
        )
        for name, row in paper.rows.items()
        if row.published is not None
    ]
    assert found == PUBLISHED
    assert list(paper.rows)[: len(PUBLISHED)] == [name for name, *_ in PUBLISHED]


def test_every_published_row_has_a_control(paper: Params) -> None:
    assert all(paper.rows[name].control for name, *_ in PUBLISHED)


@pytest.mark.parametrize(
    ("name", "patch", "width", "depth", "heads"), [("B", 16, 768, 12, 12), ("L", 16, 1024, 24, 16), ("H", 14, 1280, 32, 16)]
)
def test_architectures(paper: Params, name: str, patch: int, width: int, depth: int, heads: int) -> None:
    a = paper.architectures[name]
    assert (a.image_size, a.patch_size, a.width, a.depth, a.heads, a.mlp_ratio) == (224, patch, width, depth, heads, 4)
    assert a.grid == 224 // patch


@pytest.mark.parametrize(("name", "depth"), [("random-B", None), ("random-L", 0), ("random-H", 0)])
def test_first_teachers_are_the_students_own_weights(paper: Params, name: str, depth: int | None) -> None:
    teacher = paper.teachers[name]
    assert isinstance(teacher, RandomTeacher)
    assert (teacher.weights, teacher.depth) == ("student", depth)


@pytest.mark.parametrize(("name", "row"), [("student-L", "L-L"), ("student-H", "H-H")])
def test_larger_teachers_are_the_last_stage_of_their_row(paper: Params, name: str, row: str) -> None:
    teacher = paper.teachers[name]
    assert isinstance(teacher, RowTeacher)
    assert (teacher.row, teacher.stage) == (row, "last")


@pytest.mark.parametrize(
    ("name", "patch", "size", "student"), [("clip-B", 16, 224, "B"), ("clip-L", 14, 196, "L"), ("clip-L-224", 14, 224, "H")]
)
def test_clip_sees_images_that_give_the_students_grid(paper: Params, name: str, patch: int, size: int, student: str) -> None:
    teacher = paper.teachers[name]
    assert isinstance(teacher, TimmTeacher)
    assert (teacher.image_size, f"patch{patch}_clip" in teacher.model, teacher.projection) == (size, True, True)
    assert size // patch == paper.architectures[student].grid


@pytest.mark.parametrize(("row", "cls", "dense"), [("B-B", 2, 3), ("L-L", 2, 3), ("H-H", 2, None), ("H-CLIP", 1, None)])
def test_stages(paper: Params, row: str, cls: int, dense: int | None) -> None:
    stages = paper.rows[row].stages
    assert stages is not None
    assert (stages.cls, stages.det, stages.seg) == (cls, dense, dense)


@pytest.mark.parametrize("size", ["B", "L"])
def test_detection_from_clip_starts_from_students_with_absolute_positions(paper: Params, size: str) -> None:
    assert paper.rows[f"{size}-CLIP"].columns_from == {"det": f"{size}-CLIP-absolute"}
    recipe = paper.recipes.pretrain[paper.rows[f"{size}-CLIP-absolute"].recipe]
    assert isinstance(recipe, SymmetricPretrain)
    assert (recipe.absolute_positions, recipe.relative_positions) == (True, False)
    assert paper.rows[f"{size}-CLIP-absolute"].teacher == paper.rows[f"{size}-CLIP"].teacher


def test_which_rows_have_dense_columns(paper: Params) -> None:
    for name, row in paper.rows.items():
        if row.published is not None:
            published = tuple(column for column in COLUMNS if getattr(row.published, column) is not None)
            assert paper.columns(name) == published, name


DETECT = {"B": (0.75, 1e-4, 0.2), "L": (0.75, 1e-4, 0.2)}
DETECT_SYMMETRIC = {"B": (0.8, 1e-4, 0.1), "L": (0.9, 7e-5, 0.2)}
SEGMENT = {"B": (0.65, 1e-4, 0.2), "L": (0.95, 3e-5, 0.2)}
SEGMENT_SYMMETRIC = {"B": (0.85, 3e-5, 0.1), "L": (0.9, 9e-6, 0.1)}


@pytest.mark.parametrize(
    ("kind", "name", "figures"),
    [
        ("detect", "asymmetric", DETECT),
        ("detect", "symmetric-absolute", DETECT_SYMMETRIC),
        ("segment", "asymmetric", SEGMENT),
        ("segment", "symmetric", SEGMENT_SYMMETRIC),
    ],
)
@pytest.mark.parametrize("size", ["B", "L"])
def test_dense_recipes(paper: Params, kind: str, name: str, figures: dict[str, tuple[float, float, float]], size: str) -> None:
    recipe = getattr(paper.recipes, kind)[f"{name}-{size}"]
    assert (recipe.optimizer.layer_decay, recipe.optimizer.learning_rate, recipe.drop_path) == figures[size]
    assert recipe.batch_size == 16
    assert recipe.optimizer.weight_decay == 0.05
    assert recipe.taps == {"B": [3, 5, 7, 11], "L": [7, 11, 15, 23]}[size]
    if kind == "detect":
        assert (recipe.epochs, recipe.optimizer.schedule.milestones) == (12, [8, 11])
        assert [(stage.iou, stage.weight) for stage in recipe.cascade.stages] == [(0.5, 1), (0.6, 0.5), (0.7, 0.25)]
        assert recipe.boxes.loss_weight == 10
        assert not recipe.relative_positions
    else:
        assert recipe.epochs * (20210 // 16) == pytest.approx(160_000, rel=0.005)
        assert (recipe.inference.window, recipe.inference.stride) == (512, 341)
        assert recipe.relative_positions


@pytest.mark.parametrize(("size", "drop_path", "clip"), [("B", 0.2, 3.0), ("L", 0.2, None), ("H", 0.3, None)])
def test_asymmetric_pretraining(paper: Params, size: str, drop_path: float, clip: float | None) -> None:
    r = paper.recipes.pretrain[f"asymmetric-{size}"]
    o = r.optimizer
    assert isinstance(r, AsymmetricPretrain)
    assert (r.epochs, r.warmup_epochs, r.batch_size, r.mask_ratio, r.class_token_in_loss) == (800, 40, 4096, 0.75, True)
    assert (r.decoder.width, r.decoder.depth, r.decoder.heads) == (512, 8, 16)
    assert (r.loss.kind, r.loss.beta, r.target.normalise, r.target.final_norm) == ("smooth_l1", 2.0, True, False)
    assert (r.drop_path, o.clip_grad) == (drop_path, clip)
    assert (o.betas, o.eps, o.weight_decay, o.minimum_learning_rate, o.layer_decay) == ([0.9, 0.95], 1e-8, 0.05, 0, 1)
    assert o.learning_rate_per is not None
    assert o.learning_rate * r.batch_size / o.learning_rate_per == pytest.approx(2.4e-3)
    assert (r.augmentation.crop_scale, r.augmentation.flip, r.augmentation.color_jitter) == ([0.2, 1.0], 0.5, 0)


def test_symmetric_pretraining(paper: Params) -> None:
    r = paper.recipes.pretrain["symmetric"]
    o = r.optimizer
    assert isinstance(r, SymmetricPretrain)
    assert (r.epochs, r.warmup_epochs, r.batch_size, r.drop_path, r.layer_scale) == (1600, 10, 4096, 0.1, 0.1)
    assert (r.blocks.patches, r.blocks.minimum, r.blocks.aspect) == (78, 16, 0.3)
    assert (r.loss.kind, r.class_token_in_loss, r.target.normalise) == ("negative_cosine", False, False)
    assert (r.relative_positions, r.absolute_positions) == (True, False)
    assert (o.learning_rate, o.learning_rate_per, o.minimum_learning_rate) == (3e-3, None, 1e-5)
    assert (o.betas, o.eps, o.weight_decay, o.clip_grad) == ([0.9, 0.98], 1e-6, 0.05, 3.0)
    assert (r.augmentation.crop_scale, r.augmentation.color_jitter) == ([0.4, 1.0], 0.4)


@pytest.mark.parametrize(
    ("name", "schedule", "peak", "layer_decay", "drop_path", "clip", "size", "resize"),
    [
        ("asymmetric-B", (100, 5), 1.2e-3, 0.65, 0.1, None, None, 256 / 224),
        ("asymmetric-L", (50, 5), 1.2e-3, 0.75, 0.25, 1.0, None, 256 / 224),
        ("asymmetric-H", (50, 5), 1.2e-3, 0.75, 0.3, None, None, 256 / 224),
        ("asymmetric-H448", (10, 2), 2.8e-4, 0.9, 0.4, None, 448, 1.0),
    ],
)
def test_finetuning(
    paper: Params,
    name: str,
    schedule: tuple[int, int],
    peak: float,
    layer_decay: float,
    drop_path: float,
    clip: float | None,
    size: int | None,
    resize: float,
) -> None:
    r = paper.recipes.finetune[name]
    o, a = r.optimizer, r.augmentation
    assert (r.epochs, r.warmup_epochs) == schedule
    assert (r.batch_size, r.image_size, r.drop_path) == (1024, size, drop_path)
    assert o.learning_rate_per == 256
    assert o.learning_rate * r.batch_size / o.learning_rate_per == pytest.approx(peak)
    assert (o.layer_decay, o.clip_grad, o.betas, o.eps) == (layer_decay, clip, [0.9, 0.999], 1e-8)
    assert (o.weight_decay, o.minimum_learning_rate) == (0.05, 1e-6)
    assert (r.pooling, r.label_smoothing, r.head_init_std, r.label_fraction) == ("average", 0.1, 0.01, 1.0)
    assert (a.crop_scale, a.flip, a.rand_augment, a.random_erase) == ([0.08, 1.0], 0.5, "rand-m9-mstd0.5-inc1", 0.25)
    assert (a.mixup.mixup, a.mixup.cutmix, a.mixup.probability, a.mixup.switch_probability) == (0.8, 1.0, 1.0, 0.5)
    assert r.evaluation_resize == pytest.approx(resize)


@pytest.mark.parametrize(
    ("name", "schedule", "rate", "layer_decay", "drop_path", "size", "resize"),
    [
        ("symmetric-B", (100, 20), 2e-4, 0.65, 0.1, None, 256 / 224),
        ("symmetric-L", (50, 5), 1e-4, 0.8, 0.2, None, 256 / 224),
        ("symmetric-H", (50, 5), 5e-5, 0.85, 0.3, None, 256 / 224),
        ("symmetric-H448", (10, 1), 5e-5, 0.95, 0.4, 448, 1.0),
    ],
)
def test_symmetric_finetuning(
    paper: Params,
    name: str,
    schedule: tuple[int, int],
    rate: float,
    layer_decay: float,
    drop_path: float,
    size: int | None,
    resize: float,
) -> None:
    r = paper.recipes.finetune[name]
    o, a = r.optimizer, r.augmentation
    assert isinstance(r, SymmetricFinetune)
    assert (r.epochs, r.warmup_epochs) == schedule
    assert (r.batch_size, r.image_size, r.drop_path) == (1024, size, drop_path)
    assert (o.learning_rate, o.learning_rate_per, o.minimum_learning_rate) == (rate, None, 1e-6)
    assert (o.layer_decay, o.clip_grad, o.betas, o.eps, o.weight_decay) == (layer_decay, None, [0.9, 0.999], 1e-8, 0.05)
    assert (r.pooling, r.label_smoothing, r.head_init_std, r.head_scale, r.layer_scale) == ("average", 0.1, 0.02, 0.001, 0.1)
    assert (a.crop_scale, a.flip, a.rand_augment, a.random_erase) == ([0.08, 1.0], 0.5, "rand-m9-mstd0.5-inc1", 0.25)
    assert (a.mixup.mixup, a.mixup.cutmix, a.mixup.probability, a.mixup.switch_probability) == (0.8, 1.0, 1.0, 0.5)
    assert r.evaluation_resize == pytest.approx(resize)


@pytest.mark.parametrize(
    ("row", "recipe"), [("B-CLIP", "symmetric-B"), ("L-CLIP", "symmetric-L"), ("H-CLIP", "symmetric-H"), ("H448-CLIP", "symmetric-H448")]
)
def test_rows_from_clip_are_symmetric(paper: Params, row: str, recipe: str) -> None:
    assert paper.rows[row].recipe == recipe
    if row != "H448-CLIP":
        assert paper.recipes.pretrain[recipe] == paper.recipes.pretrain["symmetric"]


def test_what_serves_the_table(paper: Params) -> None:
    assert paper.uses.model_dump() == {"pretrain": "imagenet-1k", "cls": "imagenet-1k", "det": "coco-2017", "seg": "ade20k"}
    assert paper.normalisation.model_dump() == {"mean": [0.485, 0.456, 0.406], "std": [0.229, 0.224, 0.225]}


@pytest.mark.parametrize("row", ["B-B", "L-L", "H-H", "B-CLIP", "L-CLIP", "H-CLIP"])
def test_the_effective_batch_fits_the_machines(paper: Params, row: str) -> None:
    """The batch is a whole number of forward passes over all processes."""
    declared = paper.rows[row]
    for rule, recipe in (("distill", paper.recipes.pretrain[declared.recipe]), ("finetune", paper.recipes.finetune[declared.recipe])):
        common, own = paper.resources[rule]["any"], paper.resources[rule][declared.architecture]
        assert common.nodes is not None
        assert common.gpus is not None
        assert own.batch_per_process is not None
        assert recipe.batch_size % (common.nodes * common.gpus * own.batch_per_process) == 0
