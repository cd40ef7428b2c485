import pytest

from levertune.anchors.scripts import find_script

GREEK = "\u03ba\u03b1\u03bb\u03b7\u03bc\u03ad\u03c1\u03b1"


@pytest.mark.parametrize(
    ("texts", "script"),
    [
        (["hello", "\u00e9t\u00e9"], "Latin script"),
        ([GREEK, "123", f"{GREEK} {GREEK} \u00b5"], "Greek script"),
        (["\u043f\u0440\u0438\u0432\u0435\u0442"], "Cyrillic script"),
        (["\u4f60\u597d"], "Chinese characters"),
        (["\u6f22\u5b57\u3068\u304b\u306a"], "Japanese script"),
        (["\uc548\ub155"], "Korean script"),
        ([GREEK, "hello"], None),
        ([f"{GREEK[:4]} hell"], None),
        (["12", ""], None),
        ([], None),
    ],
)
def test_script_is_named_where_nearly_all_letters_are_of_it(texts, script):
    assert find_script(texts) == script
