import pytest

from benchmarks import tables


def test_a_table_has_a_head_a_rule_and_its_rows():
    assert tables.markdown(["a", "b"], [["1", "2"]]) == ["| a | b |", "|---|---|", "| 1 | 2 |"]


def test_a_row_of_the_wrong_length_is_refused():
    with pytest.raises(ValueError, match="number of cells"):
        tables.markdown(["a", "b"], [["1"]])


def test_the_middle_is_the_median_with_both_ends():
    assert tables.middle([3.0, 1.0, 2.0]) == "2.00 (1.00 to 3.00)"
    assert tables.middle([1234.5]) == "1,234"
    assert tables.middle([]) == "-"


@pytest.mark.parametrize(("value", "shown"), [(0.0, "0"), (0.123, "0.12"), (12.34, "12.3"), (123456.7, "123,457")])
def test_numbers_have_about_three_digits(value, shown):
    assert tables.digits(value) == shown


def test_ratios_are_taken_round_by_round():
    assert tables.ratios([2.0, 9.0], [1.0, 3.0]) == [2.0, 3.0]
    with pytest.raises(ValueError, match="2 rounds"):
        tables.ratios([1.0, 2.0], [1.0])
