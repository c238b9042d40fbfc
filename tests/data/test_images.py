import contextlib
import io
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from dbot.base.errors import UserError
from dbot.data.images import _by_pillow, decode_image, image_header, read_image, read_label_map

PIXELS = np.random.default_rng(0).integers(0, 256, (6, 8, 3), dtype=np.uint8)


def saved(path: Path, image: Image.Image, **settings: object) -> Path:
    image.save(path, **settings)
    return path


@pytest.mark.parametrize("suffix", ["png", "bmp", "tif", "ppm"])
def test_lossless_formats_keep_every_pixel(tmp_path: Path, suffix: str) -> None:
    read = read_image(saved(tmp_path / f"ein bild ü.{suffix}", Image.fromarray(PIXELS)))
    assert read.dtype == torch.uint8
    assert np.array_equal(read.permute(1, 2, 0).numpy(), PIXELS)


@pytest.mark.parametrize(
    ("mode", "suffix"), [("CMYK", "jpg"), ("L", "jpg"), ("L", "png"), ("1", "png"), ("P", "png"), ("RGBA", "png"), ("LA", "png")]
)
def test_other_modes_become_rgb(tmp_path: Path, mode: str, suffix: str) -> None:
    read = read_image(saved(tmp_path / f"a.{suffix}", Image.fromarray(PIXELS).convert(mode)))
    assert read.shape == (3, 6, 8)
    assert read.dtype == torch.uint8


def test_cmyk_keeps_its_colours(tmp_path: Path) -> None:
    flat = Image.new("RGB", (16, 16), (200, 60, 30)).convert("CMYK")
    mean = read_image(saved(tmp_path / "a.jpg", flat, quality=95)).float().mean(dim=(1, 2))
    assert torch.allclose(mean, torch.tensor([200.0, 60.0, 30.0]), atol=6)


def test_alpha_is_dropped(tmp_path: Path) -> None:
    image = Image.fromarray(np.dstack([PIXELS, np.zeros((6, 8), np.uint8)]))
    assert np.array_equal(read_image(saved(tmp_path / "a.png", image)).permute(1, 2, 0).numpy(), PIXELS)


def test_sixteen_bits_are_scaled_to_eight(tmp_path: Path) -> None:
    values = np.array([[0, 257, 128 * 257, 65535]], dtype=np.uint16)
    assert read_image(saved(tmp_path / "a.png", Image.fromarray(values)))[0].tolist() == [[0, 1, 128, 255]]


@pytest.mark.parametrize("orientation", range(1, 9))
def test_exif_orientation_sets_upright(tmp_path: Path, orientation: int) -> None:
    from PIL import ImageOps

    exif = Image.Exif()
    exif[0x0112] = orientation
    path = saved(tmp_path / "a.png", Image.fromarray(PIXELS), exif=exif)
    with Image.open(path) as image:
        expected = np.array(ImageOps.exif_transpose(image))
    assert np.array_equal(read_image(path).permute(1, 2, 0).numpy(), expected)
    assert image_header(path.read_bytes(), path).upright == expected.shape[:2]


@pytest.mark.filterwarnings("ignore::UserWarning:PIL")
def test_damaged_exif_is_no_reason_to_refuse(tmp_path: Path) -> None:
    path = saved(tmp_path / "a.jpg", Image.fromarray(PIXELS), exif=b"Exif\0\0MM\0*\xff\xff\xff\xff rubbish")
    assert read_image(path).shape == (3, 6, 8)


def encoded(suffix: str) -> bytes:
    stream = io.BytesIO()
    Image.fromarray(PIXELS).save(stream, suffix)
    return stream.getvalue()


@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("empty.jpg", b""),
        ("truncated.jpg", encoded("JPEG")[:-40]),
        ("truncated.png", encoded("PNG")[:-40]),
        ("text.jpg", b"<html>404: not found</html>"),
        ("page.png", b"\x89PNG\r\n\x1a\n"),
    ],
)
def test_what_is_no_image_is_named(tmp_path: Path, name: str, content: bytes) -> None:
    path = tmp_path / name
    path.write_bytes(content)
    with pytest.raises(UserError) as error:
        read_image(path)
    assert len(error.value.problems) == 1
    assert str(path) in str(error.value)


def test_missing_file_is_named(tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"gone\.png"):
        read_image(tmp_path / "gone.png")


def test_decompression_bomb_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = saved(tmp_path / "a.png", Image.new("RGB", (400, 400)))
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", 1000)
    with pytest.raises(UserError, match=r"a\.png.*160000 pixels"):
        read_image(path)


@pytest.mark.filterwarnings("ignore::UserWarning:PIL")
@given(
    kind=st.sampled_from(["JPEG", "PNG", "WEBP", "TIFF", "AVIF"]),
    damage=st.dictionaries(st.integers(0, 10_000), st.integers(1, 255), min_size=1, max_size=6),
)
def test_damage_is_an_image_or_a_user_error_never_a_crash(kind: str, damage: dict[int, int]) -> None:
    content = bytearray(encoded(kind))
    for position, flip in damage.items():
        content[position % len(content)] ^= flip
    with contextlib.suppress(UserError):
        assert decode_image(bytes(content), Path("damaged")).dtype == torch.uint8


def test_label_maps_keep_their_values(tmp_path: Path) -> None:
    values = np.array([[0, 1, 150, 255]], dtype=np.uint8)
    palette = Image.fromarray(values).convert("P")
    palette.putdata(values.ravel().tolist())
    palette.putpalette([7] * 768)
    assert read_label_map(saved(tmp_path / "grey.png", Image.fromarray(values))).tolist() == values.tolist()
    assert read_label_map(saved(tmp_path / "palette.png", palette)).tolist() == values.tolist()
    assert (
        read_label_map(saved(tmp_path / "deep.png", Image.fromarray(values.astype(np.uint16) * 3))).tolist()
        == (values.astype(int) * 3).tolist()
    )


def test_coloured_label_map_is_refused(tmp_path: Path, picture: Callable[..., Path]) -> None:
    with pytest.raises(UserError, match="one channel"):
        read_label_map(picture(tmp_path / "a.png"))


@pytest.mark.parametrize("content", [b"", b"404", b"\x89PNG\r\n\x1a\n"])
def test_size_of_what_is_no_image_is_an_error(tmp_path: Path, content: bytes) -> None:
    with pytest.raises(UserError, match=r"a\.png: is not an image"):
        image_header(content, tmp_path / "a.png")


def photograph(mode: str, **settings: object) -> bytes:
    """A JPEG file with smooth colours."""
    stream = io.BytesIO()
    Image.fromarray(PIXELS).resize((83, 61), Image.Resampling.BICUBIC).convert(mode).save(stream, "JPEG", **settings)
    return stream.getvalue()


def turned(orientation: int) -> Image.Exif:
    exif = Image.Exif()
    exif[0x0112] = orientation
    return exif


JPEGS = [
    *(photograph("RGB", subsampling=colours, quality=90) for colours in (0, 1, 2)),
    *(photograph(mode) for mode in ("L", "CMYK")),
    photograph("RGB", progressive=True),
    photograph("RGB", keep_rgb=True),
    photograph("RGB", exif=turned(6), icc_profile=b"\xff\xda" * 9),
]


def outcome(decode: Callable[[bytes, Path], torch.Tensor], content: bytes) -> torch.Tensor | str:
    try:
        return decode(content, Path("a.jpg"))
    except UserError as error:
        return str(error)


@pytest.mark.filterwarnings("ignore::UserWarning:PIL")
@given(
    content=st.sampled_from(JPEGS),
    damage=st.dictionaries(st.integers(0, 20_000), st.integers(1, 255), max_size=4),
    cut=st.none() | st.integers(1, 20_000),
)
def test_jpeg_is_what_pillow_makes_of_it_damaged_or_not(content: bytes, damage: dict[int, int], cut: int | None) -> None:
    """The same bits, or the same words."""
    damaged = bytearray(content)
    for position, flip in damage.items():
        damaged[position % len(damaged)] ^= flip
    whole = bytes(damaged[: None if cut is None else cut % len(damaged)])
    if not whole:
        return
    ours, theirs = outcome(decode_image, whole), outcome(_by_pillow, whole)
    assert torch.equal(ours, theirs) if isinstance(ours, torch.Tensor) and isinstance(theirs, torch.Tensor) else ours == theirs


def test_a_photograph_on_its_side_is_set_upright() -> None:
    assert decode_image(photograph("RGB", exif=turned(6)), Path("a.jpg")).shape == (3, 83, 61)


@given(
    size=st.tuples(st.integers(0, 5), st.integers(0, 5)),
    begins=st.sampled_from(
        [b"P6\n%d %d\n255\n"] * 3 + [b"P6 %d %d 255 ", b"P6\n# %d %d\n4 4\n255\n", b"P6\n%d %d\n254\n", b"P5\n%d %d\n255\n"]
    ),
    missing=st.integers(-2, 2),
    kind=st.sampled_from([bytes, bytearray]),
)
def test_uncompressed_is_what_pillow_makes_of_it_damaged_or_not(
    size: tuple[int, int], begins: bytes, missing: int, kind: type[bytes] | type[bytearray]
) -> None:
    """The same pixels, or the same words."""
    pixels = PIXELS.tobytes()[: max(0, 3 * size[0] * size[1] - missing)]
    content = begins % size + pixels
    ours, theirs = outcome(decode_image, kind(content)), outcome(_by_pillow, content)
    assert torch.equal(ours, theirs) if isinstance(ours, torch.Tensor) and isinstance(theirs, torch.Tensor) else ours == theirs
