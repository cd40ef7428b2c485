import pytest

from levertune.data.records import Message, Record


def make_record(prompt, completion, number=1, *, source="task", stratum="", system=None):
    turns = [Message("user", prompt)]
    if system is not None:
        turns.insert(0, Message("system", system))
    return Record(str(number), source, tuple(turns), completion, (), stratum, number)


@pytest.fixture
def rows():
    """Makes records of `(prompt, completion)` pairs, numbered from 1."""

    def _rows(*pairs, source="task"):
        return [
            make_record(prompt, completion, number, source=source)
            for number, (prompt, completion) in enumerate(pairs, start=1)
        ]

    return _rows


@pytest.fixture
def record():
    return make_record
