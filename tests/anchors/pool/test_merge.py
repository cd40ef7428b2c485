import pytest

from levertune.anchors.pool import places
from levertune.anchors.pool.merge import Pool, merge_pools
from levertune.anchors.pool.places import SHIPPED
from levertune.anchors.pool.writing import write_entry
from levertune.errors import DataError


@pytest.fixture
def two(tmp_path, monkeypatch):
    first, second = tmp_path / "first", tmp_path / "second"
    monkeypatch.setattr(places, "shipped_folder", lambda: first)
    return first, second


def test_places_are_merged_by_id(two, make_entry):
    first, second = two
    write_entry(first, make_entry("b"))
    write_entry(second, make_entry("a"))
    pool = merge_pools([str(first), str(second)])
    assert pool == Pool(
        (make_entry("a"), make_entry("b")),
        {"a": (f"{second}/a.yaml",), "b": (f"{first}/b.yaml",)},
        {"a": str(second), "b": str(first)},
    )
    assert pool.find("a") == make_entry("a")


def test_the_shipped_pool_is_the_default(two, make_entry):
    write_entry(two[0], make_entry("b"))
    assert [entry.id for entry in merge_pools().entries] == ["b"]
    assert merge_pools().files == {"b": ("shipped/b.yaml",)}


def test_an_entry_of_two_places_has_the_evidence_of_both(two, make_entry, make_evidence):
    first, second = two
    mine, yours = make_evidence(), make_evidence(run="c" * 64)
    write_entry(first, make_entry(evidence=(mine,), votes=2))
    write_entry(second, make_entry(evidence=(yours, mine), votes=5, author="Another"))
    pool = merge_pools([str(first), str(second)])
    assert pool.entries == (make_entry(evidence=(mine, yours), votes=5),)
    assert pool.files["city-to-code"] == tuple(f"{p}/city-to-code.yaml" for p in two)
    assert pool.notes == (
        f"{second}/city-to-code.yaml differs from {first}/city-to-code.yaml in author; the latter "
        "is kept.",
    )


def test_one_id_with_two_texts_is_refused_with_both_files(two, make_entry):
    first, second = two
    write_entry(first, make_entry())
    write_entry(second, make_entry(text="Another."))
    with pytest.raises(
        DataError, match=r"second/city-to-code.yaml: one id has two texts;.*first/city-to-code.yaml"
    ):
        merge_pools([str(first), str(second)])


def test_a_claim_to_be_verified_counts_only_from_the_shipped_pool(two, make_entry, make_evidence):
    first, second = two
    verified, claimed = make_evidence(verified=True), make_evidence(run="c" * 64, verified=True)
    write_entry(first, make_entry(evidence=(verified,)))
    write_entry(second, make_entry(evidence=(claimed, verified)))
    pool = merge_pools([SHIPPED, str(second)])
    assert [e.verified for e in pool.entries[0].evidence] == [True, False]
    assert "marks 2 gains as verified; they count as unverified" in pool.notes[0]
    turned = merge_pools([str(second), SHIPPED]).entries[0].evidence
    assert {e.run: e.verified for e in turned} == {"a" * 64: True, "c" * 64: False}


def test_a_verified_gain_stands_above_another_claim_for_the_same_run(
    two, make_entry, make_evidence
):
    first, second = two
    write_entry(first, make_entry(evidence=(make_evidence(verified=True),)))
    write_entry(second, make_entry(evidence=(make_evidence(gain=50.0),)))
    for order in ([SHIPPED, str(second)], [str(second), SHIPPED]):
        assert [e.gain for e in merge_pools(order).entries[0].evidence] == [4.0]
    with pytest.raises(DataError, match="differs from that in .*; found a gain of 50.0 and 4.0"):
        merge_pools([str(first), str(second)])


def test_no_place_and_an_unknown_anchor_are_refused(two, make_entry):
    with pytest.raises(DataError, match="no place is named"):
        merge_pools([])
    write_entry(two[0], make_entry())
    with pytest.raises(DataError, match=r"pool:city-to-cod: .*Did you mean 'city-to-code'\?"):
        merge_pools().find("city-to-cod")
    with pytest.raises(DataError, match="found 1 others. List them"):
        merge_pools().find("zzz")
