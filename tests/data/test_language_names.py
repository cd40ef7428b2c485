from levertune.data.language_names import language_name, primary_tag


def test_a_tag_is_known_by_its_first_part_in_any_case():
    tags = ("de", "pt-BR", "ZH_hant", " en ")
    assert [primary_tag(tag) for tag in tags] == ["de", "pt", "zh", "en"]
    assert language_name("pt-BR") == "Portuguese"
    assert language_name("nb") == "Norwegian Bokm\u00e5l"


def test_what_is_no_tag_has_no_name():
    assert [primary_tag(tag) for tag in ("German", "xx", "")] == [None] * 3
    assert language_name("xx") is None
    assert language_name(None) is None
