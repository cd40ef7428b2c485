from levertune.anchors.reflection import write_reflection

ROWS = [{"Input": "a {rows} b", "Right output": "c", "Surprise": "2.00 nats per token"}]


def test_the_instruction_its_rows_and_what_failed_stand_in_the_prompt():
    prompt = write_reflection(
        "Do {instruction} {rows}\n{failures} it.",
        ROWS,
        refused=[("Bad text.", "is too long")],
        worse=[f"Worse {i}." for i in range(8)],
    )
    assert "<instruction>\nDo {instruction} {rows}\n{failures} it.\n</instruction>" in prompt
    assert "Input: a {rows} b\nRight output: c\nSurprise: 2.00 nats per token" in prompt
    assert "- Bad text.\n  Refused: it is too long." in prompt
    assert "Worse 7." in prompt
    assert "Worse 3." in prompt
    assert "Worse 2." not in prompt


def test_without_failures_none_are_spoken_of_and_a_cut_is_said():
    prompt = write_reflection("Do it.", [{"Input": "x" * 1600}])
    assert "x [100 more characters]" in prompt
    assert "refused" not in prompt
    assert "no likelier" not in prompt
