import argparse
import errno
import io
import os
import re
import resource
import signal
import subprocess
import sys
import time
from importlib.util import find_spec

import pytest
from safetensors import SafetensorError

from levertune.cli import main as main_module
from levertune.cli.main import VERBS, build_parser, main
from levertune.cli.terminal import Terminal
from levertune.errors import DataError

HEAVY = ("torch", "transformers", "pydantic", "rich", "numpy", "pandas")


def run_levertune(*words, **options):
    return subprocess.run(
        [sys.executable, "-m", "levertune.cli.main", *words],
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
        **options,
    )


@pytest.fixture
def verb(monkeypatch):
    """Registers a verb that does what the test says."""

    def register(action, name="fake"):
        module = argparse.Namespace(
            add_parser=lambda subparsers: subparsers.add_parser(name).add_argument(
                "inputs", nargs="*"
            ),
            run=action,
        )
        monkeypatch.setitem(VERBS, name, (f"fake_{name}", "made for a test"))
        monkeypatch.setitem(sys.modules, f"fake_{name}", module)

    return register


def test_help_lists_every_verb(capsys):
    assert main(["--help"]) == 0
    out = capsys.readouterr().out
    for name, (_, summary) in VERBS.items():
        assert f" {name} " in out
        assert summary in out


def test_no_words_print_the_help(capsys):
    assert main([]) == 0
    assert "first steps:" in capsys.readouterr().out


def test_the_version_is_printed(capsys):
    assert main(["--version"]) == 0
    assert capsys.readouterr().out.startswith("levertune ")


@pytest.mark.parametrize("name", sorted(VERBS))
def test_every_verb_has_help_of_its_own(name, capsys):
    if find_spec(VERBS[name][0]) is None:
        pytest.skip(f"{VERBS[name][0]} is not there yet")
    assert main([name, "--help"]) == 0
    assert capsys.readouterr().out.startswith(f"usage: levertune {name}")


@pytest.mark.parametrize(
    ("words", "told", "not_told"),
    [
        (["init"], ["(default: recipe.yaml)"], []),
        (["tune"], ["(default: general)", "(default: tell)"], ["[]"]),
        (["anchor", "score"], ["(default: 64)"], ["(default: [])"]),
        (["anchor", "suggest"], ["(default: 3)", "(default: template and pool)"], []),
        (["compare"], ["95 % intervals", "(default: tell)"], ["(default: tell) (default"]),
    ],
)
def test_help_tells_each_default_once(words, told, not_told, capsys):
    assert main([*words, "--help"]) == 0
    text = " ".join(capsys.readouterr().out.split())
    assert [part in text for part in told] == [True] * len(told)
    assert not any(part in text for part in not_told)


def test_help_imports_nothing_heavy_and_takes_less_than_300_ms_of_processor_time():
    code = (
        "import sys; from levertune.cli.main import main; status = main(['--help'])\n"
        f"assert status == 0 and not set(sys.modules) & set({HEAVY!r}), sorted(sys.modules)"
    )
    seconds = []
    for _ in range(3):
        before = resource.getrusage(resource.RUSAGE_CHILDREN)
        subprocess.run([sys.executable, "-c", code], check=True, capture_output=True)
        after = resource.getrusage(resource.RUSAGE_CHILDREN)
        seconds.append(after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime)
    assert min(seconds) < 0.3


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["fly"], "invalid choice: 'fly'"),
        (["--quiet"], "the following arguments are required: VERB|name a verb"),
        (["schema", "--fly"], "schema does not know --fly"),
        (["schema", "extra"], "schema does not know extra"),
        (["run", "r.yaml", "--fly"], "run does not know --fly"),
        (["check", "--show", "-1"], "argument --show: must be a number of rows; found '-1'"),
        (
            ["anchor", "learn", "--pairs", "0"],
            "argument --pairs: must be a number from 1; found '0'",
        ),
        (["anchor", "learn", "--pairs", "-3"], "argument --pairs: must be a number from 1; found"),
        (["anchor", "learn", "--pairs", "many"], "--pairs: must be a number from 1; found 'many'"),
        (["run", "--task"], "argument --task: expected one argument (see: levertune run --help)"),
        (["init"], "the following arguments are required: FILE"),
        (["generate", "a"], "the following arguments are required: INPUT, -o/--output"),
        (["chat", "a", "--max-new-tokens", "x\ny"], "must be a number from 1; found 'x"),
        (
            ["generate", "a", "b", "-o", "c", "--batch-size", "0"],
            "must be a number from 1; found '0'",
        ),
        (["train", "--seed", "-1"], "argument --seed: must be a number from 0; found '-1'"),
        (["train", "--seed", "9" * 19], "--seed: must be a number from 0; found '999"),
        (["train", "--seed", "²"], "--seed: must be a number from 0; found '²'"),
        (["run", "--num-processes", "0"], "--num-processes: must be a number from 1; found '0'"),
        (["run", "--jobs", "few"], "--jobs: must be auto or a number from 1; found 'few'"),
    ],
)
def test_words_that_are_not_understood_exit_with_status_2(words, message, capsys):
    assert main(words) == 2
    out, err = capsys.readouterr()
    assert out == ""
    assert any(option in err for option in message.split("|"))
    assert re.fullmatch(r"error: .+ \(see: levertune( [a-z]+){0,2} --help\)\n", err), err


def test_settings_may_stand_on_both_sides_of_the_options(verb):
    seen = []
    verb(lambda args: seen.extend(args.inputs) or 0)
    assert main(["fake", "r.yaml", "a=1"]) == 0
    parser = build_parser("fake")
    assert parser.parse_known_args(["fake", "x"])[0].inputs == ["x"]
    assert seen == ["r.yaml", "a=1"]


def test_settings_after_an_option_reach_the_recipe(tmp_path, capsys):
    recipe = tmp_path / "r.yaml"
    recipe.write_text("task: {path: a.csv}\n", encoding="utf-8")
    assert main(["run", str(recipe), "--quick", "--dry-run", "training.lora_r=0"]) == 2
    assert "training.lora_r: must be a whole number" in capsys.readouterr().err


def test_a_users_mistake_is_one_line_and_status_2(verb, capsys):
    def fail(args):
        raise DataError("a.csv, line 3: is\nbroken; found '\x1b[2J'. Mend it.")

    verb(fail)
    assert main(["fake"]) == 2
    out, err = capsys.readouterr()
    assert out == ""
    assert err == "error: a.csv, line 3: is broken; found '\ufffd[2J'. Mend it.\n"


def test_a_fault_of_levertune_keeps_its_traceback(verb):
    def fail(args):
        raise ZeroDivisionError

    verb(fail)
    with pytest.raises(ZeroDivisionError):
        main(["fake"])


def test_a_full_disk_is_one_line_and_status_2(verb, capsys):
    def fail(args):
        raise OSError(errno.ENOSPC, "No space left on device", "out.jsonl")

    verb(fail)
    assert main(["fake", "a b"]) == 2
    err = capsys.readouterr().err
    assert err.startswith("error: out.jsonl: the disk is full.")
    assert err.endswith("levertune fake 'a b'\n")


def test_a_full_disk_is_one_line_too_where_a_native_library_met_it(verb, capsys):
    def fail(args):
        text = "Error while serializing: I/O error: No space left on device (os error 28)"
        try:
            raise SafetensorError(text)
        except SafetensorError as error:
            raise RuntimeError("the checkpoint was not saved") from error

    verb(fail)
    assert main(["fake"]) == 2
    assert capsys.readouterr().err == (
        "error: the disk is full. Free some space, then type the same command again: "
        "levertune fake\n"
    )


@pytest.mark.skipif(not os.path.exists("/dev/full"), reason="there is no full device here")
@pytest.mark.parametrize("words", [("schema",), ("env", "--json")], ids=" ".join)
def test_standard_output_on_a_full_disk_is_one_line_and_status_2(words):
    with open("/dev/full", "w") as full:
        done = subprocess.run(
            [sys.executable, "-m", "levertune.cli.main", *words],
            stdout=full, stderr=subprocess.PIPE, text=True, timeout=60, check=False,
        )  # fmt: skip
    assert done.returncode == 2
    assert done.stderr == (
        "error: the disk is full. Free some space, then type the same command again: "
        f"levertune {' '.join(words)}\n"
    )


def test_other_system_errors_keep_their_traceback(verb):
    def fail(args):
        raise OSError(errno.EIO, "Input/output error")

    verb(fail)
    with pytest.raises(OSError, match="Input/output"):
        main(["fake"])


def test_an_interrupted_run_says_how_to_go_on(verb, capsys):
    def interrupt(args):
        raise KeyboardInterrupt

    verb(interrupt, "run")
    assert main(["run", "my recipe.yaml"]) == 130
    assert capsys.readouterr().err == (
        "interrupted. What is done is kept; to go on: levertune run 'my recipe.yaml'\n"
    )
    verb(interrupt)
    assert main(["fake"]) == 130
    assert capsys.readouterr().err == "interrupted.\n"


@pytest.mark.skipif(os.name == "nt", reason="signals differ")
def test_ctrl_c_in_a_real_process_exits_with_130_and_no_traceback(tmp_path):
    code = (
        "import sys, types, time\n"
        "from levertune.cli.main import VERBS, main\n"
        "def run(args):\n    print('ready', flush=True)\n    time.sleep(30)\n"
        "sys.modules['slow'] = types.SimpleNamespace("
        "add_parser=lambda s: s.add_parser('run'), run=run)\n"
        "VERBS['run'] = ('slow', 'x')\n"
        "sys.exit(main(['run']))"
    )
    process = subprocess.Popen(
        [sys.executable, "-c", code],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        # A test run in the background of a shell ignores Ctrl-C, and so would its child.
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.default_int_handler),
    )
    assert process.stdout.readline() == "ready\n"
    time.sleep(0.05)
    process.send_signal(signal.SIGINT)
    _, err = process.communicate(timeout=20)
    assert process.returncode == 130
    assert err == "interrupted. What is done is kept; to go on: levertune run\n"


@pytest.mark.skipif(os.name == "nt", reason="there is no head")
def test_a_reader_that_goes_away_ends_the_command_quietly():
    command = f'"{sys.executable}" -m levertune.cli.main schema --markdown | head -c 1'
    done = subprocess.run(
        ["bash", "-c", f"{command}; exit ${{PIPESTATUS[0]}}"],
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
    )
    assert done.stderr == ""
    assert done.returncode in (0, 141)  # 0 where the pipe took all before it closed


def test_a_broken_pipe_is_no_fault(verb, monkeypatch):
    def fail(args):
        raise BrokenPipeError

    verb(fail)
    closed = []
    monkeypatch.setattr(main_module, "_close_output", lambda: closed.append(True))
    assert main(["fake"]) == 141
    assert closed == [True]


def test_the_program_is_installed_under_its_name():
    done = run_levertune("run")
    assert done.returncode == 2
    assert done.stderr == (
        "error: one recipe is needed; found nothing. Name a recipe, a run folder, or --task FILE.\n"
    )


@pytest.mark.parametrize("encoding", ["cp1252", "ascii"])
def test_labels_that_the_output_cannot_encode_do_not_end_a_finished_command(
    verb, monkeypatch, encoding
):
    def show(args):
        Terminal().say("\u8d64 told")
        Terminal().table(["label"], [["\u9752"]])
        return 0

    verb(show)
    out = io.TextIOWrapper(io.BytesIO(), encoding=encoding)
    monkeypatch.setattr(sys, "stdout", out)
    assert main(["fake"]) == 0
    printed = out.buffer.getvalue().decode(encoding)
    assert "\\u8d64 told\n" in printed
    assert "\\u9752" in printed


def test_an_error_is_one_line_that_keeps_the_joiners_of_its_language(verb, capsys):
    def fail(args):
        raise DataError("rows.csv: found '10\u202fkm\u200c\x1b'")

    verb(fail)
    assert main(["fake"]) == 2
    assert capsys.readouterr().err == "error: rows.csv: found '10 km\u200c\ufffd'\n"
