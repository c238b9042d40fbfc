"""Figures: what they show, and that the same numbers give the same bytes."""

from xml.etree import ElementTree

import matplotlib as mpl
import pytest
from PIL import Image

from dbot.measure import plots as figures
from dbot.measure.insides import Insides, Similarity
from dbot.measure.plots import Panel, draw_distances, draw_shares, draw_similarity


def properties(shift: float = 0.0) -> Insides:
    distances = tuple(tuple(10.0 * head + layer + shift for head in range(3)) for layer in range(4))
    shares = tuple(tuple(0.1 + 0.05 * k + 0.01 * layer for k in range(5)) for layer in range(4))
    return Insides(distances, shares)


PANELS = [Panel("random", 2, properties(), properties(5.0)), Panel("DINO", 3, None, properties(1.0))]

DRAWINGS = {
    "distances": lambda stem: draw_distances(PANELS, stem),
    "shares": lambda stem: draw_shares(PANELS, stem),
    "similarity": lambda stem: draw_similarity(Similarity(((1.0, 0.5), (0.25, 0.75), (0.0, 0.1))), "a", "b", stem),
}


@pytest.mark.parametrize("name", DRAWINGS)
def test_the_same_bytes_whatever_the_users_style(tmp_path, name):
    DRAWINGS[name](tmp_path / "one" / "v1.0")
    with mpl.rc_context({"font.size": 20, "svg.hashsalt": None, "axes.facecolor": "red"}):
        DRAWINGS[name](tmp_path / "two" / "v1.0")
        assert mpl.rcParams["font.size"] == 20
    for suffix in (".svg", ".png"):
        first, second = ((tmp_path / folder / f"v1.0{suffix}").read_bytes() for folder in ("one", "two"))
        assert first == second, suffix
    assert ElementTree.parse(tmp_path / "one" / "v1.0.svg").getroot().tag.endswith("svg")
    assert b"<dc:date>" not in (tmp_path / "one" / "v1.0.svg").read_bytes()
    with Image.open(tmp_path / "one" / "v1.0.png") as picture:
        picture.verify()


@pytest.fixture
def drawn(monkeypatch, tmp_path):
    """The figure that a function draws, instead of its files."""
    kept = []
    monkeypatch.setattr(figures.Figure, "savefig", lambda figure, *_, **__: kept.append(figure))

    def of(draw, *arguments):
        draw(*arguments, tmp_path / "figure")
        return kept[0]

    return of


def test_distances_have_a_dot_a_head_at_its_layer(drawn):
    axes = drawn(draw_distances, PANELS).axes
    assert [a.get_title() for a in axes] == ["random, stage 0", "DINO, stage 0", "random, stage 2", "DINO, stage 3"]
    assert [a.get_xlabel() for a in axes] == ["layer"] * 4
    assert axes[0].get_ylabel() == axes[2].get_ylabel() == "attention distance in px"
    dots = [(x, y) for line in axes[2].lines for x, y in zip(*line.get_data(), strict=True)]
    assert sorted(dots) == sorted((layer, 10.0 * head + layer + 5) for layer in range(4) for head in range(3))
    assert len({a.get_ylim() for a in axes}) == 1, "panels can be compared by eye"
    assert [text.get_text() for text in axes[1].texts] == ["not analysed"]


def test_shares_have_a_line_a_number(drawn):
    figure = drawn(draw_shares, PANELS)
    lines = {line.get_label(): list(line.get_ydata()) for line in figure.axes[0].lines}
    assert list(lines) == ["top 5", "top 4", "top 3", "top 2", "top 1"], "in the order in which they lie above each other"
    assert lines["top 1"] == pytest.approx([0.1, 0.11, 0.12, 0.13])
    assert len(figure.legends) == 1


def test_similarity_has_the_first_network_up_its_side(drawn):
    similarity = Similarity(((1.0, 0.5), (0.25, 0.75), (0.0, 0.1)))
    axes = drawn(draw_similarity, similarity, "B from B", "B from L").axes[0]
    assert (axes.get_ylabel(), axes.get_xlabel()) == ("layer of B from B", "layer of B from L")
    assert axes.images[0].get_array().tolist() == [list(row) for row in similarity.cka]
    assert axes.images[0].get_clim() == (0, 1)
