"""The picture of the method: one basis for both networks, and grey where nothing is scored."""

import io

import numpy as np
import torch
from PIL import Image

from dbot.pictures.method import GAP, PANELS, SIDE, OneImage, components, method_picture


def one(**changes: torch.Tensor) -> OneImage:
    draws = torch.Generator().manual_seed(0)
    target = torch.randn(16, 6, generator=draws)
    given = {
        "pixels": torch.randint(0, 256, (3, 32, 32), generator=draws, dtype=torch.uint8),
        "hidden_N": torch.arange(16) % 4 > 0,
        "target_ND": target,
        "prediction_ND": target + 0.1 * torch.randn(16, 6, generator=draws),
        "loss_N": torch.linspace(0, 1, 16),
    }
    return OneImage(**{**given, **changes})


def panels(picture: bytes) -> list[np.ndarray]:
    drawn = Image.open(io.BytesIO(picture))
    assert drawn.size == (len(PANELS) * (SIDE + GAP) - GAP, SIDE)
    found = np.array(drawn)
    assert (found[:, SIDE : SIDE + GAP, 3] == 0).all(), "between panels the page is seen"
    return [found[:, n * (SIDE + GAP) : n * (SIDE + GAP) + SIDE] for n in range(len(PANELS))]


def patch(panel: np.ndarray, number: int) -> np.ndarray:
    side = SIDE // 4
    row, column = divmod(number, 4)
    return panel[row * side : (row + 1) * side, column * side : (column + 1) * side].reshape(-1, 4)


EMPTY = (0, 0, 0, 0)


def test_what_the_student_does_not_see_is_empty_and_what_is_not_scored_too() -> None:
    image, seen, teacher, student, loss = panels(method_picture(one()))
    for number in range(16):
        hidden = number % 4 > 0
        assert (patch(seen, number) == (EMPTY if hidden else patch(image, number))).all()
        for panel in (student, loss):
            assert bool((patch(panel, number) == EMPTY).all()) == (not hidden)
        assert len(np.unique(patch(teacher, number), axis=0)) == 1, "a token has one colour"
    assert patch(loss, 15)[0].sum() > patch(loss, 1)[0].sum(), "more loss is brighter"


def test_equal_features_are_equal_colours() -> None:
    given = one()
    _, _, teacher, student, _ = panels(method_picture(one(prediction_ND=given.target_ND)))
    assert all((patch(teacher, n) == patch(student, n)).all() for n in range(16) if n % 4)


def test_the_axes_are_those_of_the_teacher_whatever_their_sign() -> None:
    given = one()
    theirs, ours = components(given.target_ND, given.prediction_ND)
    assert theirs.shape == ours.shape == (16, 3)
    assert theirs.min() == 0
    assert theirs.max() == 1
    centred = (given.target_ND - given.target_ND.mean(dim=0)).double()
    first = torch.linalg.eigh(centred.T @ centred).eigenvectors[:, -1]
    first = first * first[first.abs().argmax()].sign()
    along = centred @ first
    low, high = torch.quantile(along, 0.02), torch.quantile(along, 0.98)
    assert np.allclose(theirs[:, 0], ((along - low) / (high - low)).clamp(0, 1).numpy())
    assert method_picture(given) == method_picture(given)


def test_few_features_and_none_at_all_are_drawn_too() -> None:
    few = components(torch.tensor([[0.0], [1.0], [2.0], [3.0]]), torch.zeros(4, 1))
    assert (few[0][:, 1:] == 0.5).all()
    assert np.ptp(few[0][:, 0]) == 1
    same = components(torch.ones(16, 5), torch.zeros(16, 5))
    assert (same[0] == 0.5).all()
    method_picture(one(loss_N=torch.zeros(16), hidden_N=torch.zeros(16, dtype=torch.bool)))
