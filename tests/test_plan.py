"""The graph of jobs: what hangs on what, and which keys of params.yaml each job reads."""

import copy
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from dbot.base.errors import UserError
from dbot.params import load as load_module
from dbot.params.document import read_parts
from dbot.params.load import load
from dbot.params.probes import Monitor
from dbot.params.source import KeyPath, Tree, dotted
from dbot.plan import Job, Plan
from tests.conftest import PROJECT
from tests.params_text import params_text

DOCUMENT = read_parts(PROJECT / "params.yaml")
SCALES = list(DOCUMENT.data["scales"])


def plan(scale: str = "demo") -> Plan:
    return Plan(load(PROJECT / "params.yaml", scale))


def everything(plan: Plan) -> list[Job]:
    """All jobs of the rows that can be built, every stage included."""
    rows = plan.params.rows
    stages = [plan.distill(name, stage) for name, row in rows.items() for stage in range(1, row.last_stage + 1)]
    return plan.jobs([*stages, *plan.cells(list(rows), ["cls"]), *plan.probes(list(rows)), *plan.analyses(list(rows))])


@pytest.mark.parametrize("scale", SCALES)
def test_nothing_is_trained_twice(scale: str) -> None:
    jobs = everything(plan(scale))
    names = [job.name for job in jobs]
    assert len(set(names)) == len(names)
    done = [(job.verb, repr(job.settings), sorted((role, needed.name) for role, needed in job.inputs.items())) for job in jobs]
    assert all(done.count(one) == 1 for one in done), "two jobs do the same work"


@pytest.mark.parametrize("scale", SCALES)
def test_what_a_job_needs_comes_before_it(scale: str) -> None:
    done: set[str] = set()
    for job in everything(plan(scale)):
        assert {needed.name for needed in job.inputs.values()} <= done
        assert {needed.name for needed in job.ancestors()} <= done
        done.add(job.name)


def test_a_stage_is_taught_by_the_one_before() -> None:
    p = plan()
    assert p.distill("B-B", 2).inputs["teacher"] == p.distill("B-B", 1)
    assert "teacher" not in p.distill("B-B", 1).inputs
    assert "teacher" not in p.distill("B-B", 2).settings


def test_a_longer_chain_serves_more_columns_without_training_twice() -> None:
    p = plan()
    assert p.params.rows["B-B"].last_stage == 3
    assert p.finetune("B-B", 0).inputs["start"] == p.distill("B-B", 2)
    assert p.distill("B-B", 2) in p.distill("B-B", 3).ancestors()


@pytest.mark.parametrize(
    ("said", "unused"),
    [
        ("short_side: null", {"copies", "jpeg"}),
        ("short_side: 256", set()),
        ("short_side: 256\n    copies: pixels", {"jpeg"}),
    ],
)
def test_preparing_reads_how_copies_are_written_where_there_are_any(tmp_path: Path, said: str, unused: set[str]) -> None:
    text = params_text().replace("short_side: null", said, 1)
    (tmp_path / "params.yaml").write_text(text)
    settings = Plan(load(tmp_path / "params.yaml", "paper")).prepare("imagenet-1k").settings["dataset"]
    assert {"copies", "jpeg"} - settings.keys() == unused


def test_a_larger_teacher_is_the_last_stage_of_its_row() -> None:
    p = plan()
    assert p.distill("B-L", 1).inputs["teacher"] == p.distill("L-L", 3)
    assert p.distill("B-H", 1).inputs["teacher"] == p.distill("H-H", 2)


def test_double_size_starts_from_the_finetuned_224() -> None:
    p = plan("paper")
    job = p.finetune("H448-H", 0)
    assert job.inputs["start"] == p.finetune("H-H", 0)
    assert job.settings["recipe"]["image_size"] == 448
    assert job.settings["architecture"]["image_size"] == 224
    measured = p.evaluate("H448-H", "cls", 0)
    assert measured.inputs["model"] == job
    assert measured.settings["recipe"]["image_size"] == 2 * p.params.architectures["H"].image_size
    assert measured.settings["recipe"]["evaluation_resize"] == 1


def test_a_control_is_only_finetuned() -> None:
    p = plan()
    assert [job.verb for job in p.jobs([p.evaluate("B-scratch", "cls", 0)])] == ["generate", "prepare", "finetune", "evaluate"]
    assert p.finetune("B-scratch", 0).settings == p.finetune("B-B", 0).settings


def test_the_table_brings_its_controls() -> None:
    p = plan()
    controls = {p.params.rows[row].control for row in p.params.build.rows}
    assert {job.key["row"] for job in p.cells(columns=["cls"])} == {*p.params.build.rows, *controls}
    assert {job.key["column"] for job in p.cells()} == {"cls", "det", "seg"}
    assert len(p.params.build.rows) == 11


def test_evidence_is_of_every_stage_and_teacher_that_the_columns_need() -> None:
    p = plan()
    assert [job.name for job in p.probes(["B-B", "B-L"])] == [
        *("probe/B-B/stage0", "probe/B-B/stage1", "probe/B-B/stage2", "probe/B-B/stage3"),
        *("probe/L-L/stage3", "probe/B-L/stage1"),
    ]
    assert p.probe("B-B", 2).inputs == {"data": p.prepare(p.params.uses.cls), "student": p.distill("B-B", 2)}
    assert set(p.probe("B-B", 0).inputs) == {"data"}
    assert [job.key["row"] for job in p.probes(["H448-H"])] == ["H-H"] * 3, "those of the row whose fine-tuning it starts from"
    assert p.probes(["B-scratch"]) == []


def test_a_teacher_that_rows_share_is_probed_once() -> None:
    """At demo scale one network stands in for every CLIP."""
    assert [job.name for job in plan().probes(["L-CLIP", "B-CLIP"])] == [
        *("probe/B-CLIP/stage0", "probe/L-CLIP/stage1", "probe/B-CLIP/stage1"),
    ]
    assert plan("paper").stands_for("L-CLIP", 0) == ("L-CLIP", 0)


def test_what_has_no_attention_by_layer_is_not_analysed() -> None:
    analysed = [job.name for scale in ("demo", "paper") for job in plan(scale).analyses(["L-L", "B-CLIP"])]
    demo = ["analyse/L-L/stage1", "analyse/L-L/stage2", "analyse/L-L/stage3", "analyse/B-CLIP/stage1"]
    assert analysed == [*demo, *demo[:3], "analyse/B-CLIP/stage0", demo[3]]


def test_how_a_student_is_trained_changes_nothing_in_its_random_teacher(monkeypatch: pytest.MonkeyPatch) -> None:
    here, before = ("recipes", "pretrain", "asymmetric"), plan("paper").probe("B-B", 0)
    longer, drawn = (_plan_with(monkeypatch, (*here, key), 900, "paper") for key in ("epochs", "seed"))
    assert longer is not None
    assert drawn is not None
    assert longer.probe("B-B", 0) == before
    assert drawn.probe("B-B", 0) != before


def test_a_bare_run_builds_the_evidence_that_is_asked_for() -> None:
    p = plan()
    assert set(p.evidence()) == {"probes", "analyses", "comparisons", "transfers"}
    assert {job.name for job in p.sweep("teachers")} <= {job.name for job in p.targets()}
    p = plan("paper")
    assert set(p.evidence()) == {"probes", "analyses", "comparisons"}
    assert p.targets() == [*p.cells(), *p.probes(), *p.analyses(), *p.comparisons()]


def test_scales_never_share_a_path() -> None:
    folders = {scale: {job.folder for job in everything(plan(scale))} for scale in SCALES}
    for scale, own in folders.items():
        assert all(folder.is_relative_to(Path("results") / scale) for folder in own)
    assert sum(map(len, folders.values())) == len(set.union(*folders.values()))


def test_a_job_s_command_is_its_rule_s() -> None:
    job = plan().distill("B-B", 2)
    assert job.command == (
        "dbot distill --scale demo --row B-B --stage 2 --data results/demo/prepare/digits/receipt.json "
        "--teacher results/demo/distill/B-B/stage1/receipt.json --receipt results/demo/distill/B-B/stage2/receipt.json"
    )


def test_data_that_are_not_drawn_are_only_checked() -> None:
    p = plan("paper")
    assert p.prepare("imagenet-1k").inputs == {}
    with pytest.raises(UserError, match=r"data set imagenet-1k is not drawn by this project; get it from: image-net\.org"):
        p.generate("imagenet-1k")


def released(monkeypatch: pytest.MonkeyPatch, **rows: str) -> Plan:
    """The plan of the paper's scale with rows that start from released weights."""
    trained = {"teacher": None, "stages": None, "finetuned_from": None}
    changed = {name.replace("_", "-"): {**trained, "released": file} for name, file in rows.items()}
    data = copy.deepcopy(DOCUMENT.data)
    for name, keys in changed.items():
        data["rows"][name] |= keys
    monkeypatch.setattr(load_module, "read_parts", lambda file: Tree(data, DOCUMENT.origins))
    return Plan(load(Path("params.yaml"), "paper"))


def test_released_weights_stand_in_for_distillation(monkeypatch: pytest.MonkeyPatch) -> None:
    p = released(monkeypatch, B_B="B-B-pre", L_L="L-L-pre")
    assert p.finetune("B-B", 0).inputs["start"] == p.fetch("B-B-pre")
    assert [job.verb for job in p.jobs([p.evaluate("B-B", "cls", 0)])] == ["prepare", "fetch", "finetune", "evaluate"]
    assert p.distill("B-L", 1).inputs["teacher"] == p.fetch("L-L-pre")
    assert [job.inputs["student"] for job in p.probes(["B-B"])] == [p.fetch("B-B-pre")]
    assert p.stands_for("B-L", 0) == ("L-L", 1), "released weights stand in for one stage"
    assert p.params.columns("B-B") == ("cls", "det", "seg")
    settings = p.fetch("B-B-pre").settings
    assert settings["released"]["file"] == "84.5_dbot_base_pre.pth"
    assert "url" not in settings["released"], "another mirror is no other result"
    assert settings["architecture"]["width"] == 768


def test_released_classifiers_stand_in_for_finetuning(monkeypatch: pytest.MonkeyPatch) -> None:
    p = released(monkeypatch, H_CLIP="H-CLIP-finetuned")
    assert p.evaluate("H-CLIP", "cls", 0).inputs["model"] == p.fetch("H-CLIP-finetuned")
    assert p.finetune("H448-CLIP", 0).inputs["start"] == p.fetch("H-CLIP-finetuned")


@pytest.mark.parametrize(
    ("rows", "said"),
    [
        ({"B_B": "B-X"}, "rows.B-B.released is 'B-X': there is no released file of that name; declared are: B-B-pre, "),
        ({"B_B": "L-L-pre"}, "rows.B-B.released is 'L-L-pre': that file is of architecture L, the row of B"),
        (
            {"B_B": "B-CLIP-pre"},
            "rows.B-B.recipe is 'asymmetric-B': must be a recipe of the symmetric design, since released file B-CLIP-pre has layout ",
        ),
        ({"L_L": "L-L-finetuned"}, "teachers.student-L.row is 'L-L': that row's released file is fine-tuned; name another row"),
    ],
)
def test_released_weights_that_don_t_fit_a_row_are_refused(monkeypatch: pytest.MonkeyPatch, rows: dict[str, str], said: str) -> None:
    with pytest.raises(UserError) as caught:
        released(monkeypatch, **rows)
    assert said in str(caught.value)


def test_every_file_of_the_published_table_is_declared() -> None:
    files = plan("paper").params.released.files
    rows = plan("paper").params.rows
    published = {name for name, row in rows.items() if row.published is not None}
    assert {file.row for file in files.values() if file.is_classifier} == published
    assert {file.row for file in files.values() if not file.is_classifier} == {name for name in published if rows[name].stages is not None}
    for file in files.values():
        assert file.is_symmetric == (rows[file.row].recipe.startswith("symmetric"))
        assert file.url.endswith(f"/{file.file}")
        assert file.file.startswith(f"{rows[file.row].published.cls}_")


@pytest.mark.parametrize(
    ("ask", "said"),
    [
        (lambda p: p.job("fetch", released="B-X"), "there is no 'B-X' under `released.files`; declared are: B-B-pre, "),
        (lambda p: p.job("distill", row="B-X", stage="1"), "there is no 'B-X' under `rows`; declared are: B-B, "),
        (lambda p: p.job("distill", row="B-B", stage="4"), "row B-B has 3 stages of distillation; there is no stage 4"),
        (lambda p: p.job("distill", row="B-B", stage="0"), "row B-B has 3 stages of distillation; there is no stage 0"),
        (lambda p: p.job("distill", row="B-B", stage="one"), "--stage is 'one': must be a whole number"),
        (lambda p: p.job("finetune", row="B-B", seed="x"), "--seed is 'x': must be a whole number"),
        (lambda p: p.job("distill", row="B-scratch", stage="1"), "row B-scratch has 0 stages of distillation; there is no stage 1"),
        (lambda p: p.job("finetune", row="", seed="0"), "there is no '' under `rows`"),
        (
            lambda p: p.job("probe", row="B-B", stage="4"),
            "row B-B has no network of stage 4 before its fine-tuning; it has 0, 1, 2, 3",
        ),
        (
            lambda p: p.job("probe", row="B-scratch", stage="0"),
            "row B-scratch has no network of stage 0 before its fine-tuning; it has none",
        ),
        (
            lambda p: p.job("analyse", row="B-L", stage="0"),
            "the first teacher of row B-L is also a network of row L-L; ask for --row L-L --stage 3",
        ),
        (lambda p: p.job("analyse", row="L-L", stage="0"), "the first teacher of row L-L has no attention by layer and head"),
        (lambda p: p.job("prepare", dataset="mnist"), "there is no 'mnist' under `datasets`; declared are: imagenet-1k, "),
        (
            lambda p: p.job("evaluate", row="H-H", column="det", seed="0"),
            "row H-H has no column det; it has: cls",
        ),
    ],
)
def test_what_isn_t_there_is_one_line(ask: Any, said: str) -> None:
    with pytest.raises(UserError) as caught:
        ask(plan())
    (problem,) = caught.value.problems
    assert said in problem
    assert "\n" not in problem


@pytest.mark.parametrize(
    ("old", "new", "said"),
    [
        (
            "  distill:\n    any: {nodes: 4",
            "  distil:\n    any: {nodes: 4",
            "resources.distil is not a rule: rules are: generate, prepare, fetch, distill, finetune, transfer, detect, segment, evaluate, "
            "shift, probe, adapt, analyse, compare, calibrate",
        ),
        (
            "        detect: 0.15",
            "        detction: 0.15",
            "hardware.kinds.h100.share.detction is not a job: use one of: generate, prepare",
        ),
        (
            "      title: NVIDIA A100 SXM\n",
            "      title: NVIDIA A100 SXM\n      images_per_second: {training: {any: 9.0}}\n",
            "hardware.kinds.a100.images_per_second.training is not a job: use one of: generate, prepare",
        ),
    ],
)
def test_a_kind_of_job_that_there_is_not_is_one_line(tmp_path: Path, old: str, new: str, said: str) -> None:
    text, file = params_text(), tmp_path / "params.yaml"
    assert text.count(old) == 1
    file.write_text(text.replace(old, new))
    with pytest.raises(UserError) as caught:
        Plan(load(file, "paper"))
    (line,) = caught.value.problems
    where, _, what = line.removeprefix(f"{file}:").partition(": ")
    assert what.startswith(said)
    changed = next(number for number, (a, b) in enumerate(zip(text.split("\n"), file.read_text().split("\n"), strict=False), 1) if a != b)
    assert changed <= int(where) <= changed + 1


@pytest.mark.parametrize("scale", SCALES)
def test_every_job_states_its_resources(scale: str) -> None:
    p = plan(scale)
    for job in everything(p):
        assert all(value is not None for value in p.resources(job).model_dump().values())


def test_an_architecture_s_resources_lie_on_the_rule_s() -> None:
    found = plan("paper").resources(plan("paper").distill("H-H", 1))
    assert (found.nodes, found.gpus, found.batch_per_process) == (4, 8, 64)


def test_a_monitor_makes_nothing_run_again() -> None:
    """It changes no bit of the student, so it is no parameter of the job."""
    resolved = load(PROJECT / "params.yaml", "demo")
    watch = Monitor(every_epochs=1, train_images=9, validation_images=9, pooling="average", k=1, temperature=0.07)
    recipes = resolved.params.recipes
    watched = {name: recipe.model_copy(update={"monitor": watch}) for name, recipe in recipes.pretrain.items()}
    params = resolved.params.model_copy(update={"recipes": recipes.model_copy(update={"pretrain": watched})})
    assert Plan(replace(resolved, params=params)).distill("B-B", 1).settings == plan().distill("B-B", 1).settings


@pytest.mark.parametrize("scale", ["released", "released-demo"])
def test_published_files_are_measured_without_any_training(scale: str) -> None:
    p = plan(scale)
    cells = p.cells(columns=["cls"])
    assert [cell.inputs["model"].name for cell in cells] == [f"fetch/{row}-finetuned" for row in p.params.table_rows]
    assert len(cells) == 11
    assert {job.verb for job in p.jobs(cells)} <= {"generate", "prepare", "fetch", "evaluate"}


def test_dense_columns_and_evidence_start_from_the_published_files() -> None:
    p = plan("released")
    assert p.detect("L-H", 0).inputs["start"] == p.fetch("L-H-pre")
    assert p.segment("B-CLIP", 0).inputs["start"] == p.fetch("B-CLIP-pre")
    assert p.params.columns("B-CLIP") == ("cls", "seg"), "its published box AP is of a student that was not released"
    assert {job.verb for job in p.jobs(p.cells(columns=["det", "seg"]))} == {"prepare", "fetch", "detect", "segment", "evaluate"}
    assert p.transfer("H-H", "cars", 0).inputs["start"] == p.fetch("H-H-pre")
    assert [job.inputs["student"].name for job in p.probes(["B-L", "H448-H"])] == [
        *("fetch/B-L-pre", "fetch/B-L-finetuned", "fetch/H448-H-finetuned"),
    ]
    assert [job.name for job in p.analyses(["B-L", "H448-H"])] == ["analyse/B-L/stage1", "analyse/B-L/stage2", "analyse/H448-H/stage2"]
    assert {job.key["row"] for job in p.transfers()} == {row for row in p.params.table_rows if not row.startswith("H448")}
    assert [(job.key["row"], job.key["other"]) for job in p.comparisons(["B-B", "B-H", "H448-H"])] == [("B-B", "B-H")]
    with pytest.raises(UserError, match=r"row H448-H has no network of stage 1 before its fine-tuning; it has 2$"):
        p.probe("H448-H", 1)


# --------------------------------------------- the keys of a job are those that change its settings

CHOOSING = ("version", "include", "scale", "scales", "build", "uses", "rows")
"""Sections that choose what a job reads: its keys move with them."""


def _leaves(data: Any, path: KeyPath = ()) -> Iterator[tuple[KeyPath, Any]]:
    if isinstance(data, dict) and data:
        for key, below in data.items():
            yield from _leaves(below, (*path, key))
    else:
        yield path, data


def _others(value: Any) -> list[Any]:
    """Values of the same kind, of which one should be allowed where ``value`` is."""
    if value is None:
        return [1, 0.5, "x", 448]
    if isinstance(value, bool):
        return [not value]
    if isinstance(value, int):
        return [value * 2, value + 1, value - 1, value // 2, 0.5]
    if isinstance(value, float):
        return [value / 2, value * 2]
    if isinstance(value, list):
        halved = [item / 2 if isinstance(item, float) else item for item in value]
        return [halved, [0.1, 0.9], ["coco"], ["labelmaps"], [1]]
    choices = "fp32 bf16 skip stop best last class_token average l1 own none clutter scenes digits outlines refuse skip all cpu 3"
    return [other for other in (*choices.split(), 1, f"{value}-other") if other != value]


def _plan_with(monkeypatch: pytest.MonkeyPatch, path: KeyPath, value: Any, scale: str) -> Plan | None:
    """The plan with one leaf changed; None if that is no change, or isn't allowed."""
    data = holder = copy.copy(DOCUMENT.data)
    for key in path[:-1]:
        holder[key] = copy.copy(holder[key])
        holder = holder[key]
    if value == holder[path[-1]]:
        return None
    holder[path[-1]] = value
    monkeypatch.setattr(load_module, "read_parts", lambda file: Tree(data, DOCUMENT.origins))
    try:
        return Plan(load(Path("params.yaml"), scale))
    except UserError:
        return None


EVERY = 50
"""The quick test tries one key in so many."""


@pytest.mark.parametrize(
    ("scale", "every"), [("demo", EVERY), *(pytest.param(scale, 1, marks=pytest.mark.slow) for scale in ("demo", "paper"))]
)
def test_a_job_s_keys_are_those_that_change_its_settings(monkeypatch: pytest.MonkeyPatch, scale: str, every: int) -> None:
    rows = ["B-B", "B-L", "B-CLIP", "H448-H"]

    def jobs(plan: Plan) -> dict[str, Job]:
        looked_at = [*plan.probes(["B-B"]), plan.probe("B-CLIP", 0), *plan.analyses(["B-B"])]
        looked_at += [*plan.adaptations(["B-B"]), *plan.shifts(["B-B"])]
        return {job.name: job for job in plan.jobs([*plan.cells(rows, ["cls"]), plan.distill("B-B", 3), *looked_at])}

    whole = plan(scale)
    before = jobs(whole)
    keys = {name: _keys(whole, job) for name, job in before.items()}
    tried, used = set(), set.union(*keys.values())
    for number, (path, value) in enumerate(_leaves(DOCUMENT.data)):
        if number % every:
            continue
        section = path[3] if path[0] == "scales" and path[1] == scale and len(path) > 3 else path[0]
        if section in CHOOSING or path[-1] == "extends":
            continue
        changed = next((p for other in _others(value) if (p := _plan_with(monkeypatch, path, other, scale)) is not None), None)
        if changed is None:
            continue
        tried.add(dotted(path))
        for name, job in jobs(changed).items():
            assert (job.settings != before[name].settings) == (dotted(path) in keys[name]), f"{dotted(path)} and {name}"
    left = {key for key in used - tried if key.rsplit(".", 1)[-1] not in UNCHANGEABLE}
    assert tried
    assert every > 1 or not left, "keys for which this test knows no other value"


UNCHANGEABLE = ("design", "kind", "row", "relative_positions", "depth", "patch_size", "k")
"""Keys whose every other value asks for a change elsewhere too."""


# ------------------------------------------------------------------------------------ dense columns


def test_dense_cells_come_from_the_stage_that_the_row_names() -> None:
    p = plan("paper")
    for column, verb in (("det", "detect"), ("seg", "segment")):
        job = p.evaluate("B-B", column, 0).inputs["model"]
        assert job.verb == verb
        assert job.inputs["start"] == p.distill("B-B", 3), "three stages for dense columns, two for classification"
        assert job.inputs["data"] == p.prepare({"det": "coco-2017", "seg": "ade20k"}[column])
        assert p.evaluate("B-scratch", column, 0).inputs["model"].inputs.keys() == {"data"}


def test_a_column_may_be_another_rows() -> None:
    p = plan("paper")
    assert p.evaluate("B-CLIP", "det", 0) == p.evaluate("B-CLIP-absolute", "det", 0)
    assert p.evaluate("B-CLIP", "seg", 0).inputs["model"].inputs["start"] == p.distill("B-CLIP", 1)


def test_how_a_model_is_measured_makes_it_not_train_again() -> None:
    p = plan("paper")
    detector, cell = p.detect("B-B", 0), p.evaluate("B-B", "det", 0)
    assert "inference" not in detector.settings["recipe"]
    assert "augmentation" in detector.settings["recipe"]
    assert "inference" in cell.settings["recipe"]
    assert not {"optimizer", "augmentation", "epochs"} & set(cell.settings["recipe"])


def _keys(plan: Plan, job: Job) -> set[str]:
    """The keys of the parameters that a job's settings were read from."""
    origins = plan.resolved.origins
    sections = {path[:-1] for path in origins if path and isinstance(path[-1], str)}
    leaves = {path: origin for path, origin in origins.items() if path not in sections and not any(isinstance(key, int) for key in path)}
    return {origin.key for path, origin in leaves.items() if any(path[: len(source)] == source for source in job.sources)}
