"""Commands and their pages: every command has examples that it understands, and the page lists every option."""

import re
import shlex
from pathlib import Path

import pytest

import grn
from grn import __main__ as line
from grn.methods import METHODS

PAGE = (Path(__file__).parents[1] / "docs" / "command_line.md").read_text(encoding="utf-8")
COMMANDS = {command.name: command for command in line._COMMANDS}
EXAMPLES = [example for command in COMMANDS.values() for example in command.examples]
SHOWN = [row for block in re.findall(r"^```bash\n(.*?)^```", PAGE, flags=re.M | re.S) for row in block.splitlines()]


@pytest.mark.parametrize("example", [*EXAMPLES, *SHOWN])
def test_examples_are_understood(example):
    program, *words = shlex.split(example, comments=True)
    assert program == "grn"
    assert line._parser().parse_args(words).run is COMMANDS[words[0]].run


@pytest.mark.parametrize("name", COMMANDS)
def test_help_has_examples_and_exit_statuses(name, capsys):
    with pytest.raises(SystemExit) as caught:
        line.main([name, "--help"])
    said = capsys.readouterr().out
    assert caught.value.code == 0 and "exit status: 0" in said
    assert all(example in said and example.startswith(f"grn {name}") for example in COMMANDS[name].examples)


def test_the_page_has_every_command():
    assert set(re.findall(r"^\| `grn (\w+)`", PAGE, flags=re.M)) == set(COMMANDS)


def test_commands_that_write_take_the_same_option():
    for name in ("demo", "infer", "activity", "explore", "report", "bench"):
        words = {"demo": [], "bench": []}.get(name, ["cells.h5ad"])
        assert line._parser().parse_args([name, *words, "-o", "there"]).out == Path("there")


def test_methods_are_listed_and_told(capsys):
    assert line.main(["methods"]) == 0
    said = capsys.readouterr().out
    assert {row.split()[0] for row in said.splitlines()[1:-2]} == set(METHODS)
    assert line.main(["methods", "celloracle"]) == 0
    said = capsys.readouterr().out
    assert METHODS["celloracle"].reference in said and "n_bags=20" in said
    assert line.main(["methods", "celoracle"]) == 2 and "'celloracle'" in capsys.readouterr().err


def test_models_are_listed_and_told(capsys):
    assert line.main(["models"]) == 0
    assert [row.split()[0] for row in capsys.readouterr().out.splitlines()] == list(grn.models.available())
    assert line.main(["models", "mini"]) == 0 and capsys.readouterr().out.startswith("mini")
    assert line.main(["models", "mimi"]) == 2 and "'mini'" in capsys.readouterr().err


def test_a_reader_that_has_seen_enough_is_no_fault():
    import subprocess
    import sys

    source = str(Path(grn.__file__).parents[1])
    code = f"import sys; sys.path.insert(0, {source!r}); from grn.__main__ import main; sys.exit(main(['models']))"
    command = f"{shlex.quote(sys.executable)} -c {shlex.quote(code)} | true"
    done = subprocess.run(["bash", "-o", "pipefail", "-c", command], capture_output=True, text=True, check=False)
    assert (done.returncode, done.stderr) == (0, "")
