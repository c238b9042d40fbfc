"""The images of a folder, one by one."""

import pytest

from dbot.base.errors import UserError
from dbot.tasks.predict.folder import ImageFolder, placed

READABLE = ["a.PNG", "below/1.jpg", "below/b.c.webp", "one pixel.png"]


def test_in_the_order_of_names_without_what_does_not_decode(photos, capsys):
    images = ImageFolder(photos, 0)
    found = list(images)
    assert [name for name, _ in found] == READABLE
    assert found[1][1].shape == (3, 64, 40)
    assert len(images.unreadable) == 1
    assert "broken.jpg" in images.unreadable[0]
    assert "looked at 2 of 5 images" in capsys.readouterr().out


def test_more_than_are_decoded_at_once_come_in_order(photos):
    for number in range(20):
        (photos / f"copy {number:02d}.png").write_bytes((photos / "a.PNG").read_bytes())
    images = ImageFolder(photos, 1e9)
    assert [name for name, _ in images] == [name for name in images.names if name != "broken.jpg"]


def test_results_of_two_images_never_take_one_name(photos):
    (photos / "below/1.png").write_bytes((photos / "a.PNG").read_bytes())
    with pytest.raises(UserError, match=r"what is found on below/1\.jpg and on below/1\.png would get one name"):
        ImageFolder(photos, 1e9)
    assert placed("below/b.c.webp", ".png") == "below/b.c.png"


def test_a_folder_of_broken_images_is_one_line(photos):
    for name in READABLE:
        (photos / name).unlink()
    with pytest.raises(UserError, match=r"none of its 1 images can be decoded; the first: .*broken\.jpg"):
        list(ImageFolder(photos, 1e9))
