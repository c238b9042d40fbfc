"""Which teachers can be looked at layer by layer, by their declarations alone."""

import dataclasses

import timm
from timm.models import _registry as registry

from dbot.jobs.experiment import Experiment
from dbot.params.checks import cross_check
from dbot.params.load import load
from dbot.params.teachers import FileTeacher, has_attention
from tests.conftest import PROJECT

PLAIN = {"vision_transformer", "deit", "beit"}
"""Modules of timm whose networks `dbot analyse` takes."""


def test_by_timms_own_word_a_plain_name_is_a_plain_vit(paper):
    clip = paper.teachers["clip-B"]
    plain = [name for name in timm.list_models() if has_attention(clip.model_copy(update={"model": name}))]
    assert {registry._model_to_module[name] for name in plain} == PLAIN
    assert len(plain) > 100


def test_others_have_none(paper, demo):
    assert has_attention(paper.teachers["clip-L"])
    assert not has_attention(demo.teachers["clip-B"]), "a network of a package"
    assert has_attention(paper.teachers["random-B"])
    assert not has_attention(paper.teachers["random-L"]), "no block"


def declared(**stated) -> FileTeacher:
    return FileTeacher(kind="file", path="x.pth", layout=None, image_size=224, data="none", licence="none", **stated)


def problems(params, **changes):
    return [
        f"{'.'.join(map(str, found.path))} {found.what}: {found.remedy}"
        for found in cross_check(params.model_copy(update=changes), "paper")
    ]


def test_a_mean_goes_with_a_deviation(paper):
    teachers = {**paper.teachers, "mine": declared(mean=[0.5] * 3)}
    assert problems(paper, teachers=teachers) == ["teachers.mine.mean goes with std: give both or neither"]
    assert problems(paper, teachers={**paper.teachers, "mine": declared(mean=[0.5] * 3, std=[0.5] * 3)}) == []


def test_a_row_cannot_start_from_what_can_only_teach(paper):
    files = {**paper.released.files, "v2": paper.released.files["B-B-pre"].model_copy(update={"layout": "dinov2"})}
    row = paper.rows["B-B"].model_copy(update={"teacher": None, "stages": None, "released": "v2"})
    found = problems(paper, released=paper.released.model_copy(update={"files": files}), rows={**paper.rows, "B-B": row})
    said = "rows.B-B.released is 'v2': a network of layout dinov2 can only teach; declare it under teachers, with kind: file"
    assert said in found


def test_a_receipt_has_of_a_file_only_what_was_stated():
    """So that keys which came later make no old result stale."""
    resolved = load(PROJECT / "params.yaml", "paper")
    teachers = {**resolved.params.teachers, "plain": declared(), "stated": declared(entry="model_ema", heads=12)}
    params = resolved.params.model_copy(update={"teachers": teachers})
    experiment = Experiment(dataclasses.replace(resolved, params=params))
    assert experiment.of_teacher("plain")[0].keys() == {"kind", "path", "layout", "image_size", "block"}
    settings, sources = experiment.of_teacher("stated")
    assert (settings["entry"], settings["heads"]) == ("model_ema", 12)
    assert ("teachers", "stated", "heads") in sources
