"""Transforms, on arrays and on tensors."""

import numpy as np
import pytest

import tinygrad_cnn as tg
from tinygrad_cnn.data import DataLoader, Dataset
from tinygrad_cnn.data.transforms import (
    CenterCrop,
    Compose,
    ConvertImageDtype,
    InterpolationMode,
    Lambda,
    Normalize,
    Pad,
    RandomCrop,
    RandomHorizontalFlip,
    RandomVerticalFlip,
    Resize,
    ToTensor,
)
from tinygrad_cnn.errors import TinygradError

GREY = np.arange(20, dtype=np.uint8).reshape(4, 5)
COLOUR = np.arange(60, dtype=np.uint8).reshape(4, 5, 3)


def test_to_tensor():
    grey, colour = ToTensor()(GREY), ToTensor()(COLOUR)
    assert (tuple(grey.shape), tuple(colour.shape), grey.dtype) == ((1, 4, 5), (3, 4, 5), tg.float32)
    assert np.array_equal(colour.numpy(), COLOUR.transpose(2, 0, 1).astype(np.float32) / np.float32(255))
    floats = ToTensor()(GREY.astype(np.float64))
    assert (floats.dtype, floats.max().item()) == (tg.float64, 19.0)


def test_to_tensor_of_a_pil_image():
    image = pytest.importorskip("PIL.Image", reason="Pillow is not installed")
    assert np.array_equal(ToTensor()(image.fromarray(COLOUR)).numpy(), ToTensor()(COLOUR).numpy())
    assert ToTensor()(image.new("1", (2, 2), 1)).tolist() == [[[1, 1], [1, 1]]]


def test_compose_and_repr():
    both = Compose([ToTensor(), Normalize([0.5], [0.25]), Lambda(lambda x: x + 1)])
    assert both(GREY)[0, 0, 0].item() == -1.0
    assert repr(both) == "Compose(\n    ToTensor()\n    Normalize(mean=[0.5], std=[0.25])\n    Lambda()\n)"


def test_normalize_by_channel_and_in_place():
    x = tg.ones(2, 3, 2, 2)
    out = Normalize((0.0, 1.0, 2.0), (1.0, 2.0, 0.5))(x)
    assert out[1, :, 0, 0].tolist() == [1.0, 0.0, -2.0]
    assert Normalize([1.0], [1.0], inplace=True)(x) is x
    assert x.numpy().max() == 0


@pytest.mark.parametrize(
    ("source", "target", "values", "expected"),
    [
        (tg.uint8, tg.float32, [0, 51, 255], [0, np.float32(0.2), 1]),
        (tg.float32, tg.uint8, [0, 0.5, 1], [0, 127, 255]),
        (tg.uint8, tg.int16, [0, 1, 255], [0, 128, 32640]),
        (tg.int16, tg.uint8, [0, 128, 32767], [0, 1, 255]),
        (tg.float32, tg.float64, [0.5, 1], [0.5, 1]),
    ],
)
def test_convert_image_dtype(source, target, values, expected):
    out = ConvertImageDtype(target)(tg.tensor(values, dtype=source))
    assert out.dtype == target
    assert out.tolist() == expected


@pytest.mark.parametrize(
    ("settings", "shape"),
    [
        (dict(size=8), (8, 10)),
        (dict(size=[2]), (2, 2)),
        (dict(size=(3, 7)), (3, 7)),
        (dict(size=8, max_size=9), (7, 9)),  # 8 * 9 / 10, rounded down
        (dict(size=4), (4, 5)),
    ],
)
def test_resize_makes_the_shorter_side_so_long(settings, shape):
    resize = Resize(**settings)
    assert resize(GREY).shape == shape
    assert resize(GREY.T).shape == (shape if settings["size"] == (3, 7) else shape[::-1])
    assert resize(COLOUR).shape == (*shape, 3)
    assert tuple(resize(ToTensor()(COLOUR)).shape) == (3, *shape)


def test_resize_means_what_is_between_pixels():
    x = tg.tensor([[[0.0, 4.0, 8.0, 12.0]]])
    assert Resize((1, 2), antialias=False)(x).tolist() == [[[2.0, 10.0]]]
    assert Resize((1, 2))(x).flatten().tolist() == pytest.approx([(0 * 3 + 4 * 3 + 8) / 7, (4 + 8 * 3 + 12 * 3) / 7])
    assert Resize((1, 2), InterpolationMode.NEAREST)(x).tolist() == [[[0.0, 8.0]]]
    bytes_ = np.array([[0, 255, 254]], np.uint8)
    assert Resize((1, 6), "bicubic")(bytes_).tolist() == [[0, 48, 199, 255, 255, 254]]  # rounded, and clipped at 255
    assert Resize((1, 6))(tg.tensor(bytes_)).dtype is tg.uint8


@pytest.mark.parametrize("mode", ["bilinear", "bicubic"])
def test_resize_is_pils_but_for_rounding(mode):
    image = pytest.importorskip("PIL.Image", reason="Pillow is not installed")
    pixels = np.random.default_rng(0).integers(0, 256, (20, 31, 3)).astype(np.uint8)
    for size in (7, (9, 40), (33, 12)):
        theirs = Resize(size, mode)(image.fromarray(pixels))
        assert np.abs(np.asarray(theirs).astype(int) - Resize(size, mode)(pixels)).max() <= 1
    assert Resize(5, InterpolationMode.LANCZOS)(image.fromarray(pixels)).size == (7, 5)


def test_pil_images_are_cropped_and_flipped_as_arrays():
    image = pytest.importorskip("PIL.Image", reason="Pillow is not installed")
    both = Compose([Resize(4), CenterCrop(2), ToTensor()])
    assert np.array_equal(both(image.fromarray(COLOUR)).numpy(), both(COLOUR).numpy())
    assert np.array_equal(RandomHorizontalFlip(p=1)(image.fromarray(GREY)), GREY[:, ::-1])
    assert CenterCrop(1)(image.new("1", (3, 3), 1)).tolist() == [[255]]


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: Resize(0), "Resize: expected a size"),
        (lambda: Resize((1, 2, 3)), "Resize: expected a size"),
        (lambda: Resize(3, "cubic"), "Resize: interpolation expected one of"),
        (lambda: Resize(3, 9), "Resize: interpolation expected one of"),
        (lambda: Resize((3, 3), max_size=4), "max_size needs a size of one length"),
        (lambda: Resize(3, max_size=3)(GREY), "max_size = 3 must be greater than the size 3"),
        (lambda: Resize(3, "lanczos")(GREY), "'lanczos' is for PIL images, got ndarray"),
        (lambda: Resize(3)(np.zeros((0, 4))), "expected an image with pixels"),
        (lambda: Resize(3)("image.png"), "expected an array, a Tensor or a PIL image, got str"),
    ],
)
def test_resize_refuses(call, message):
    with pytest.raises(TinygradError, match=message):
        call()


@pytest.mark.parametrize(("padding", "shape"), [(1, (6, 7)), ((1, 2), (8, 7)), ((1, 2, 3, 4), (10, 9))])
@pytest.mark.parametrize("mode", ["constant", "edge", "reflect", "symmetric"])
def test_pad_arrays_and_tensors_alike(padding, shape, mode):
    array = Pad(padding, fill=9, padding_mode=mode)(COLOUR)
    tensor = Pad(padding, fill=9, padding_mode=mode)(tg.tensor(COLOUR.transpose(2, 0, 1)))
    assert array.shape == (*shape, 3)
    assert np.array_equal(tensor.numpy(), array.transpose(2, 0, 1))
    assert (array[0, 0, 0] == 9) == (mode == "constant")


def test_center_crop():
    assert CenterCrop(2)(GREY).tolist() == [[7, 8], [12, 13]]
    assert CenterCrop((2, 3))(tg.tensor(GREY)).tolist() == [[6, 7, 8], [11, 12, 13]]
    assert CenterCrop(6)(GREY).shape == (6, 6)
    assert CenterCrop((6, 3))(GREY)[:, 0].tolist() == [0, 1, 6, 11, 16, 0]


def test_random_crop():
    tg.manual_seed(0)
    places = {RandomCrop(2)(GREY)[0, 0].item() for _ in range(300)}
    assert places == {5 * row + column for row in range(3) for column in range(4)}
    assert RandomCrop((4, 5))(GREY).tolist() == GREY.tolist()
    assert RandomCrop(6, padding=1)(COLOUR).shape == (6, 6, 3)
    assert RandomCrop(8, pad_if_needed=True, fill=7)(tg.tensor(GREY)).shape == (8, 8)


def test_flips():
    assert RandomHorizontalFlip(1)(GREY).tolist() == GREY[:, ::-1].tolist()
    assert RandomVerticalFlip(p=1.0)(COLOUR).tolist() == COLOUR[::-1].tolist()
    assert RandomHorizontalFlip(0)(GREY) is GREY
    assert RandomHorizontalFlip(1)(tg.tensor(GREY)).tolist() == GREY[:, ::-1].tolist()
    tg.manual_seed(0)
    flipped = sum(RandomHorizontalFlip(0.3)(GREY)[0, 0] != 0 for _ in range(2000))
    assert flipped / 2000 == pytest.approx(0.3, abs=0.04)


@pytest.mark.parametrize("workers", [0, 3])
def test_random_transforms_repeat_with_the_seed_also_in_workers(workers):
    class Crops(Dataset):
        def __len__(self):
            return 40

        def __getitem__(self, index):
            return RandomCrop(2)(GREY)

    def draw():
        tg.manual_seed(1)
        return [batch.tolist() for batch in DataLoader(Crops(), 4, shuffle=True, num_workers=workers)]

    assert draw() == draw()


@pytest.mark.parametrize(
    ("call", "error"),
    [
        (lambda: ToTensor()(tg.ones(1)), TypeError),
        (lambda: ToTensor()("image"), TypeError),
        (lambda: ToTensor()(np.ones(3)), ValueError),
        (lambda: Lambda(3), TypeError),
        (lambda: Normalize([0.5], [0.5])(GREY), TypeError),
        (lambda: Normalize([0.5], [0.5])(tg.tensor(COLOUR)), TypeError),
        (lambda: Normalize([0.5], [0.5])(tg.ones(2, 2)), ValueError),
        (lambda: Normalize([0.5], [0.0])(tg.ones(1, 2, 2)), ValueError),
        (lambda: Normalize([0.5, 0.5], [1.0, 1.0])(tg.ones(3, 2, 2)), ValueError),
        (lambda: ConvertImageDtype(tg.bool), ValueError),
        (lambda: Pad((1, 2, 3)), ValueError),
        (lambda: Pad(1, padding_mode="wrap"), ValueError),
        (lambda: Pad(1)([1]), TypeError),
        (lambda: Pad(1)(np.ones(3)), TypeError),
        (lambda: CenterCrop(2)(tg.ones(3)), TypeError),
        (lambda: CenterCrop((1, 2, 3)), ValueError),
        (lambda: RandomCrop(9)(GREY), ValueError),
        (lambda: RandomHorizontalFlip(2), ValueError),
    ],
)
def test_errors(call, error):
    with pytest.raises(error) as caught:
        call()
    assert isinstance(caught.value, TinygradError)
