"""What `check --show` prints: anchor and supervised tokens, in colour on a terminal."""

import io
from types import SimpleNamespace

import pytest
from rich.text import Text

from levertune.anchors.anchor import Anchor
from levertune.cli.check_view import print_rows
from levertune.cli.terminal import Terminal
from levertune.models.rendering import IGNORE_INDEX, Rendered, TokenizedExample

PROMPT = "user: Name the code.\nMessage: [red] Name the fish</s>\nassistant: "

# As rich reads the codes of "bold cyan" and "bold green" back.
CYAN, GREEN = "bold color(6)", "bold color(2)"


class Screen(io.StringIO):
    def isatty(self):
        return True


@pytest.fixture
def shown(monkeypatch):
    """What is printed of one row, on a terminal or into a file."""

    def _shown(anchor, *, prompt=PROMPT, stream=Screen):
        for name in ("NO_COLOR", "FORCE_COLOR", "TTY_COMPATIBLE", "COLORTERM"):
            monkeypatch.delenv(name, raising=False)
        monkeypatch.setenv("TERM", "xterm-256color")
        out = stream()
        monkeypatch.setattr("sys.stdout", out)
        rendered = Rendered(prompt=prompt, completion="A\x1b[2J7", end="</s>")
        tokens = TokenizedExample("1", "task", (5, 6, 7, 8), (IGNORE_INDEX, 6, 7, 8), 1)
        records = [SimpleNamespace(id="row-1")]
        print_rows([(rendered, tokens)], records, "task.jsonl", anchor, Terminal())
        monkeypatch.undo()
        return out.getvalue()

    return _shown


def styled(printed):
    """Texts of the row by style."""
    text = Text.from_ansi(printed)
    spans = [(str(span.style), text.plain[span.start : span.end]) for span in text.spans]
    return {style: [part for found, part in spans if found == style] for style, _ in spans}


def test_anchor_and_supervised_tokens_have_a_colour_each_on_a_terminal(shown):
    printed = shown(Anchor("Name the code."))
    assert "anchor and supervised tokens in colour:" in printed
    assert "--- task.jsonl, row row-1: 4 tokens, 3 supervised" in printed
    colours = styled(printed)
    assert colours == {
        CYAN: ["Name the code."],
        GREEN: ["A\N{REPLACEMENT CHARACTER}[2J7</s>"],
    }
    # What the row says itself stays as it is: no style, no markup taken for one.
    assert "\nMessage: [red] Name the fish</s>\nassistant: " in Text.from_ansi(printed).plain
    assert "<<" not in printed
    assert "\x1b[2J" not in printed


@pytest.mark.parametrize("anchor", [None, Anchor("Another one.")])
def test_without_its_anchor_a_row_is_coloured_where_it_is_supervised_alone(shown, anchor):
    assert list(styled(shown(anchor))) == [GREEN]


def test_the_anchor_is_marked_where_it_was_put_last(shown):
    prompt = "user: Name it.\nassistant: x</s>\nuser: y\nName it.</s>\nassistant: "
    printed = shown(Anchor("Name it.", "suffix"), prompt=prompt, stream=io.StringIO)
    assert "user: Name it.\n" in printed
    assert "y\n<<Name it.>></s>" in printed


def test_a_file_gets_marks_and_no_colour(shown):
    printed = shown(Anchor("Name the code."), stream=io.StringIO)
    assert "as <<anchor>> and [[supervised]]" in printed
    assert "<<Name the code.>>" in printed
    assert "</s>]]" in printed
    assert "\x1b" not in printed
