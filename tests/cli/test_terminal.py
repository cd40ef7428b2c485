import io
import json

import pytest

from levertune.cli import terminal as terminal_module
from levertune.cli.terminal import BarProgress, LineProgress, Terminal, duration
from levertune.progress import SilentProgress


class Clock:
    def __init__(self):
        self.now = 0.0

    def __call__(self):
        return self.now


def lines_of(advances, total=120, seconds_each=5.0, **info):
    clock, stream = Clock(), io.StringIO()
    with LineProgress(stream, clock).stage("train tell seed 0", total) as stage:
        for n in advances:
            clock.now += seconds_each
            stage.advance(n, **info)
    return stream.getvalue().splitlines()


def test_lines_say_the_stage_the_step_and_the_time_left():
    assert lines_of([1] * 40, seconds_each=1.5)[-1] == (
        "train tell seed 0: step 40/120, 2 min left"
    )


def test_lines_come_at_most_once_a_minute():
    assert len(lines_of([1] * 59, seconds_each=1.0)) == 0
    assert len(lines_of([1] * 200, seconds_each=1.0)) == 3


def test_work_resumed_from_does_not_count_into_the_pace():
    lines = lines_of([100, 1, 1], seconds_each=30.0)
    assert lines == ["train tell seed 0: step 101/120, 10 min left"]


def test_an_unknown_total_gives_no_time_left():
    assert lines_of([3, 3], total=None, seconds_each=30.0, loss=0.41234) == [
        "train tell seed 0: step 6, loss 0.412"
    ]


def test_a_stage_that_is_over_at_once_prints_nothing():
    assert lines_of([120], seconds_each=1.0) == []


@pytest.mark.parametrize(
    ("seconds", "words"),
    [
        (-1, "0 s"),
        (45.2, "45 s"),
        (89, "89 s"),
        (120, "2 min"),
        (4800, "80 min"),
        (6000, "1 h 40 min"),
    ],
)
def test_durations_are_said_as_people_say_them(seconds, words):
    assert duration(seconds) == words


def test_results_go_to_standard_output_and_the_rest_to_standard_error(capsys):
    terminal = Terminal()
    terminal.note("on the way")
    terminal.warn("odd rows")
    terminal.say("the result")
    terminal.result({"not": "asked for"})
    assert capsys.readouterr() == ("the result\n", "on the way\nwarning: odd rows\n")


def test_quiet_leaves_results_and_warnings(capsys):
    terminal = Terminal(quiet=True)
    terminal.note("on the way")
    terminal.warn("odd rows")
    terminal.say("the result")
    assert capsys.readouterr() == ("the result\n", "warning: odd rows\n")
    assert isinstance(terminal.progress(), SilentProgress)


def test_json_alone_goes_to_standard_output(capsys):
    terminal = Terminal(json=True)
    terminal.say("the result")
    terminal.table(["a"], [[1]])
    terminal.result({"a": [1, None]})
    assert json.loads(capsys.readouterr().out) == {"a": [1, None]}


def test_tables_show_cells_as_they_are(capsys):
    cells = [["[bold]tell", 3], ["\x1b[2Jsft", None]]
    Terminal().table(["arm", "n"], cells, title="runs/w[/a] \x1b")
    out = capsys.readouterr().out
    assert "[bold]tell" in out
    assert "\x1b" not in out
    assert "runs/w[/a] \ufffd" in out


def test_progress_is_lines_where_there_is_no_terminal():
    assert isinstance(Terminal().progress(), LineProgress)


def test_progress_is_bars_on_a_terminal(monkeypatch):
    monkeypatch.setattr(terminal_module.sys.stderr, "isatty", lambda: True, raising=False)
    assert isinstance(Terminal().progress(), BarProgress)


def test_bars_nest_and_end_with_the_last_stage(capsys):
    progress = BarProgress()
    with progress.stage("run [1]", 2) as outer:
        with progress.stage("train", 10, "row") as inner:
            inner.advance(4, loss=0.5)
        outer.advance()
        assert progress._bars is not None
    assert progress._bars is None
    with pytest.raises(KeyError), progress.stage("again", None):
        raise KeyError
    assert progress._bars is None


def test_a_silent_stage_takes_anything():
    with SilentProgress().stage("x", None, "row") as stage:
        stage.advance(3, loss=1)


def test_a_warning_is_a_line_of_its_own_whoever_shows_progress(capsys, caplog):
    text = "checkpoint-4: is \x1b[2Jdamaged"
    stream = io.StringIO()
    LineProgress(stream).warn(text)
    assert stream.getvalue() == "warning: checkpoint-4: is \N{REPLACEMENT CHARACTER}[2Jdamaged\n"
    bars = BarProgress()
    bars.warn(text)
    with bars.stage("train", 3):
        bars.warn(text)
    assert capsys.readouterr().err.count("warning: checkpoint-4: is") == 2
    Terminal(quiet=True).progress().warn("told all the same")
    assert "told all the same" in caplog.text
