"""Numbers for people."""

import math

import pytest

from trainer.metrics import formatting


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (4.72912, "4.729"), (500.0, "500"), (499.87, "499.9"), (0.012341, "0.01234"), (-3.0, "-3"), (0, "0"),
        (3e-7, "3e-07"), (12345.6, "12\N{NARROW NO-BREAK SPACE}346"), (2.5e9, "2.5e+09"), (None, "-"), (math.nan, "-"),
        (-1234.5, "-1\N{NARROW NO-BREAK SPACE}234"), (100.0, "100"), (1.0, "1"), (4.5, "4.500"),
    ],
)  # fmt: skip
def test_number(value, text):
    assert formatting.number(value) == text


@pytest.mark.parametrize(
    ("values", "texts"),
    [
        ((4.72999, 4.7289), ("4.7300", "4.7289")), ((4.72998, 4.73), ("4.729980", "4.730000")),
        ((4.73, 4.73), ("4.730", "4.730")), ((475.0, 500.0), ("475", "500")), ((0.0, 1e-9), ("0", "1e-09")),
        ((1234.5, 999.0), ("1\N{NARROW NO-BREAK SPACE}234", "999")), ((4.7251, 4.7373), ("4.725", "4.737")),
        ((4.5,), ("4.500",)), ((5.0, 4.81), ("5.00", "4.81")), ((-151.2, -128.9), ("-151", "-129")),
        ((-0.0731, -0.0651), ("-0.0731", "-0.0651")), ((4.7251, 4.7312, 4.7373), ("4.725", "4.731", "4.737")),
        ((math.inf, 1.0), ("-", "1")),
    ],
)  # fmt: skip
def test_numbers_side_by_side_show_their_difference(values, texts):
    assert formatting.apart(*values) == texts


@pytest.mark.parametrize(
    ("ratio", "text"),
    [
        (0.0172, "1.72 %"), (0.00023, "0.023 %"), (0.5, "50.0 %"), (1.5, "150 %"), (-0.001, "-0.10 %"), (None, "-"),
        (0.0, "0 %"), (2.3e-6, "0.00023 %"), (-1e-12, "0 %"), (math.inf, "-"),
    ],
)  # fmt: skip
def test_percent(ratio, text):
    assert formatting.percent(ratio) == text


@pytest.mark.parametrize(
    ("value", "text"),
    [(950, "950"), (41234, "41.2k"), (1310720, "1.31M"), (999.7, "1k"), (999_700, "1M"), (512_345, "512k"), (0, "0"),
     (3e12, "3000G"), (math.inf, "-")],
)  # fmt: skip
def test_count(value, text):
    assert formatting.count(value) == text


@pytest.mark.parametrize(
    ("seconds", "text"), [(0, "0:00"), (59.6, "1:00"), (3723, "1:02:03"), (math.nan, "-"), (None, "-")]
)
def test_duration(seconds, text):
    assert formatting.duration(seconds) == text


@pytest.mark.parametrize(
    ("usd", "text"), [(0.0, "$0.00"), (0.00312, "$0.0031"), (12.4, "$12.40"), (1234, "$1,234.00"), (None, "-")]
)
def test_money(usd, text):
    assert formatting.money(usd) == text
