"""Types of columns, compared by the values they hold and not by the way these are stored."""

from __future__ import annotations

from typing import Any


def plain_type(kind: Any) -> Any:
    """The type of the values, whatever way they are stored in.

    Args:
        kind: An Arrow type. Dictionaries, large and fixed-size types and views stand for what they
            hold, in lists and structs too; the fields of a struct are in the order of their names.

    Returns:
        An Arrow type.
    """
    import pyarrow
    from pyarrow import types

    if types.is_dictionary(kind):
        return plain_type(kind.value_type)
    if types.is_large_string(kind) or types.is_string_view(kind):
        return pyarrow.string()
    if types.is_large_binary(kind) or types.is_binary_view(kind):
        return pyarrow.binary()
    if _is_list(kind):
        return pyarrow.list_(plain_type(kind.value_type))
    if types.is_struct(kind):
        fields = {field.name: plain_type(field.type) for field in kind}
        return pyarrow.struct(sorted(fields.items()))
    return kind


def common_type(one: Any, other: Any) -> Any | None:
    """The type that holds the values of both.

    A column of nothing but nulls, as of one that no row of a file uses, agrees with any type.

    Args:
        one: A plain type.
        other: Another.

    Returns:
        A plain type, or None if they differ.
    """
    import pyarrow
    from pyarrow import types

    if types.is_null(one) or one == other:
        return other
    if types.is_null(other):
        return one
    if types.is_list(one) and types.is_list(other):
        inner = common_type(one.value_type, other.value_type)
        return None if inner is None else pyarrow.list_(inner)
    if types.is_struct(one) and types.is_struct(other):
        names = [field.name for field in one]
        if names != [field.name for field in other]:
            return None
        fields = [common_type(a.type, b.type) for a, b in zip(one, other, strict=True)]
        if any(field is None for field in fields):
            return None
        return pyarrow.struct(list(zip(names, fields, strict=True)))
    return None


def _is_list(kind: Any) -> bool:
    from pyarrow import types

    tests = (
        types.is_list,
        types.is_large_list,
        types.is_fixed_size_list,
        types.is_list_view,
        types.is_large_list_view,
    )
    return any(test(kind) for test in tests)
