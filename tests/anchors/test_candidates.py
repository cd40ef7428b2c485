from levertune.anchors.candidates import AnchorCandidate, DesignCost


def test_costs_add_up_and_a_sum_with_unknown_tokens_is_unknown():
    first, second = DesignCost(10, 1.5, 1), DesignCost(5, 0.5, 2)
    assert first + second == DesignCost(15, 2.0, 3)
    assert first + DesignCost(None, 1.0, 1) == DesignCost(None, 2.5, 2)


def test_candidate_is_json_with_its_cost():
    assert AnchorCandidate("Do it.", "hand", notes=("Mine.",)).to_json() == {
        "text": "Do it.",
        "way": "hand",
        "cost": {"tokens": 0, "seconds": 0.0, "requests": 0},
        "notes": ["Mine."],
    }
