import pyarrow as pa
import pytest

from levertune.data.column_types import common_type, plain_type

TEXT = pa.string()


def common(one, other):
    return common_type(plain_type(one), plain_type(other))


@pytest.mark.parametrize(
    ("one", "other"),
    [
        (TEXT, pa.string_view()),
        (pa.binary(), pa.large_binary()),
        (pa.list_(TEXT), pa.list_(pa.field("element", pa.large_string(), nullable=False))),
        (pa.list_(pa.int64()), pa.list_(pa.int64(), 2)),
        (pa.struct({"a": TEXT, "b": pa.int8()}), pa.struct({"b": pa.int8(), "a": TEXT})),
        (pa.null(), pa.struct({"a": TEXT})),
        (pa.list_(pa.null()), pa.list_(pa.struct({"a": TEXT}))),
        (pa.struct({"a": pa.list_(pa.null())}), pa.struct({"a": pa.large_list(TEXT)})),
    ],
)
def test_types_that_hold_the_same_values_agree(one, other):
    assert common(one, other) == common(other, one) == plain_type(other)


@pytest.mark.parametrize(
    ("one", "other"),
    [
        (pa.int64(), TEXT),
        (pa.int64(), pa.float64()),
        (TEXT, pa.list_(TEXT)),
        (pa.list_(pa.int64()), pa.list_(TEXT)),
        (pa.struct({"a": TEXT}), pa.struct({"b": TEXT})),
        (pa.struct({"a": TEXT}), pa.struct({"a": TEXT, "b": TEXT})),
        (pa.list_(pa.struct({"a": pa.int64()})), pa.list_(pa.struct({"a": TEXT}))),
    ],
)
def test_types_that_hold_other_values_differ(one, other):
    assert common(one, other) is None
    assert common(other, one) is None


def test_nulls_in_both_are_filled_from_the_other():
    one = pa.struct({"a": TEXT, "b": pa.null()})
    other = pa.struct({"a": pa.null(), "b": pa.int64()})
    assert common(one, other) == common(other, one) == pa.struct({"a": TEXT, "b": pa.int64()})
