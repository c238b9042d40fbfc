"""Which teachers can be looked at layer by layer, by their declarations alone."""

import timm
from timm.models import _registry as registry

from dbot.params.teachers import has_attention

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
