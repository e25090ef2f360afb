"""Every row of the table of kinks: the gradient there, the slopes on both sides, and the page made of them."""

import numpy as np
import pytest

import tinygrad_cnn as tg
from tests.kinks import PAGE, ROWS, Kink, evaluate, gradient, page, slope, verdict

IDS = [f"{row.expression} at {row.point}".replace(" ", "") for row in ROWS]


@pytest.mark.parametrize("row", ROWS, ids=IDS)
def test_the_gradient_is_the_tables(row):
    np.testing.assert_allclose(gradient(tg, row), np.array(row.gradient, dtype=float), rtol=1e-4)


@pytest.mark.filterwarnings("ignore:invalid value")  # inf - inf in the differences: there is no slope
@pytest.mark.parametrize("row", ROWS, ids=IDS)
def test_the_slopes_are_the_tables(row):
    for side, written in ((-1, row.left), (1, row.right)):
        expected = np.array(written, dtype=float)
        measured = [slope(tg, row, place, side) for place in np.ndindex(*expected.shape)]
        np.testing.assert_allclose(np.reshape(measured, expected.shape), expected, atol=2e-3)


@pytest.mark.parametrize("row", ROWS, ids=IDS)
def test_a_gradient_that_is_no_subgradient_has_its_reason(row):
    assert verdict(row) or row.remark


@pytest.mark.parametrize(
    ("row", "expected"),
    [
        (Kink("", 0, 0, 0, 1), "a subgradient"),
        (Kink("", 0, 2, 0, 1), ""),
        (Kink("", 0, 1, 1, 1), "the slope"),
        (Kink("", 0, 1, None, 1), "the only slope"),
        (Kink("", 0, 1, None, None), ""),
        (Kink("", [0, 0], [0, 3], [0, 0], [1, 1]), ""),
        (Kink("", [0, 0], [0, 1], [0, 1], [1, 1]), "a subgradient"),
    ],
)
def test_verdicts(row, expected):
    assert verdict(row) == expected


def test_parts_of_a_tie_sum_to_the_upstream():
    for expression in ("max(x)", "amin(x, 0)", "max(x, 0)[0]", "median(x)", "F.max_pool1d(x[None], 5)", "norm(x, inf)"):
        x = tg.full((5,), 2.0, dtype=tg.float64).requires_grad_()
        (7 * evaluate(tg, expression, x)).sum().backward()
        assert x.grad.sum().item() == pytest.approx(7.0), expression


def test_the_page_is_up_to_date():
    assert PAGE.read_text(encoding="utf-8") == page(), "run: python -m tests.kinks"
