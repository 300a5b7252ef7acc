"""What is said is seen once, on the screen or by whoever listens."""

import io
import logging
import subprocess
import sys
from contextlib import contextmanager
from pathlib import Path

import pytest

import grn
from grn._core.logging import HINT, at_level, hint, logger, progress

SAID = {
    "error": lambda: logger.error("an error"),
    "warning": lambda: logger.warning("a warning"),
    "hint": lambda: hint("a %s", "hint"),
    "info": lambda: logger.info("an information"),
    "debug": lambda: logger.debug("a detail"),
}
LINES = {
    "error": "grn error: an error",
    "warning": "grn warning: a warning",
    "hint": "grn hint: a hint",
    "info": "grn: an information",
    "debug": "grn debug: a detail",
}


@pytest.fixture(autouse=True)
def _restored():
    with grn.settings.override(verbosity="hint"):
        yield


@contextmanager
def handled(handler, name=None, **kwargs):
    """A handler of the user's own, on the root logger or another."""
    where = logging.getLogger(name)
    where.addHandler(handler)
    try:
        yield handler
    finally:
        where.removeHandler(handler)


def say_all():
    for say in SAID.values():
        say()


@pytest.mark.parametrize("verbosity", list(SAID))
def test_what_the_verbosity_allows_is_on_the_standard_error_stream(verbosity, capsys):
    names = list(SAID)
    grn.settings.verbosity = verbosity
    say_all()
    out, err = capsys.readouterr()
    assert out == "" and err.splitlines() == [LINES[name] for name in names[: names.index(verbosity) + 1]]


def in_new_process(code):
    setup = f"import sys; sys.path.insert(0, {str(Path(grn.__file__).parents[1])!r}); import logging\n"
    run = subprocess.run([sys.executable, "-c", setup + code], capture_output=True, text=True, check=True)
    return run.stdout, run.stderr


DO = "from grn._core.logging import logger, hint\nlogger.warning('look'); hint('try'); logger.info('done')\n"


@pytest.mark.parametrize(
    ("code", "lines"),
    [
        ("import grn\n" + DO, ["grn warning: look", "grn hint: try"]),
        ("import grn\ngrn.settings.verbosity = 'error'\n" + DO, []),
        ("import grn\ngrn.settings.verbosity = 'info'\n" + DO, ["grn warning: look", "grn hint: try", "grn: done"]),
        # the user's own logging, before and after the import
        ("logging.getLogger('grn').setLevel('ERROR')\nimport grn\n" + DO, []),
        ("logging.getLogger('grn').setLevel('WARNING')\nimport grn\n" + DO, ["grn warning: look"]),
        ("logging.basicConfig(format='%(name)s %(message)s')\nimport grn\n" + DO, ["grn look", "grn try"]),
        ("import grn\nlogging.basicConfig(format='%(levelname)s %(message)s')\n" + DO, ["WARNING look", "HINT try"]),
        (
            "import grn, scanpy\nlogging.basicConfig(format='%(levelname)s %(message)s')\n" + DO,
            ["WARNING look", "HINT try"],
        ),
        # a reload, and a second import
        (
            "import grn, importlib, grn._core.voice as module\nimportlib.reload(module)\n" + DO,
            ["grn warning: look", "grn hint: try"],
        ),
        (
            "import grn\ngrn.settings.verbosity = 'warning'\n"
            "[sys.modules.pop(name) for name in list(sys.modules) if name.partition('.')[0] == 'grn']\n"
            "import grn\nassert grn.settings.verbosity == 'warning'\n" + DO,
            ["grn warning: look"],
        ),
    ],
)
def test_a_new_process(code, lines):
    out, err = in_new_process(code)
    assert out == "" and err.splitlines() == lines


OF_MUDATA = """import tempfile, grn
from pathlib import Path
from grn._cells_file import read_cells, write_cells
mdata = grn.datasets.toy_multiome(n_cells=30, n_regulators=2, n_targets=4)
made = grn.pp.metacells(mdata, groupby="group", how="labels")
with tempfile.TemporaryDirectory() as folder:
    write_cells(made, Path(folder) / "cells.h5mu", option="--h5mu")
    read_cells(Path(folder) / "cells.h5mu")
"""


@pytest.mark.parametrize("code", ["import grn, grn.tl\ngrn.settings.verbosity = 'debug'\n", OF_MUDATA])
def test_the_root_logger_is_left_alone(code):
    code += "print(logging.root.handlers, logging.root.level)"
    assert in_new_process(code)[0].split() == ["[]", str(logging.WARNING)]


def test_caplog_hears_what_is_shown(caplog, capsys):
    say_all()
    assert [record.getMessage() for record in caplog.records] == ["an error", "a warning", "a hint"]
    assert [record.levelname for record in caplog.records] == ["ERROR", "WARNING", "HINT"]
    assert len(capsys.readouterr().err.splitlines()) == 3
    assert caplog.records[2].filename == "test_logging.py"


def test_silent_under_error(caplog, capsys):
    grn.settings.verbosity = "error"
    logger.warning("a warning")
    hint("a hint")
    assert capsys.readouterr().err == "" and not caplog.records


@pytest.mark.parametrize("name", [None, "grn"], ids=["root", "grn"])
@pytest.mark.parametrize("stream", ["stderr", "stdout"])
def test_a_handler_that_shows_the_line_shows_it_once(name, stream, capsys):
    with handled(logging.StreamHandler(getattr(sys, stream)), name):
        say_all()
    out, err = capsys.readouterr()
    assert (out + err).splitlines() == ["an error", "a warning", "a hint"]


def test_a_console_of_rich_counts_as_the_screen(capsys):
    handler = pytest.importorskip("rich.logging").RichHandler(show_time=False, show_path=False)
    with handled(handler):
        logger.warning("a warning")
    out, err = capsys.readouterr()
    assert (out + err).count("a warning") == 1


def test_a_handler_that_would_not_show_the_line_does_not_hide_it(capsys):
    quiet = logging.StreamHandler(sys.stderr)
    quiet.setLevel("ERROR")
    with handled(quiet):
        say_all()
    assert capsys.readouterr().err.splitlines() == ["an error", "grn warning: a warning", "grn hint: a hint"]


def test_a_file_hears_and_so_does_the_screen(tmp_path, capsys):
    with handled(logging.FileHandler(tmp_path / "log")) as handler:
        say_all()
        handler.close()
    assert (tmp_path / "log").read_text().splitlines() == ["an error", "a warning", "a hint"]
    assert len(capsys.readouterr().err.splitlines()) == 3


def test_handlers_above_a_logger_that_does_not_propagate_show_nothing(capsys):
    logger.propagate = False
    try:
        with handled(logging.StreamHandler(sys.stderr)):
            logger.warning("a warning")
    finally:
        logger.propagate = True
    assert capsys.readouterr().err.splitlines() == ["grn warning: a warning"]


def test_the_stream_of_the_moment_is_written_to(monkeypatch):
    for _ in range(2):
        stream = io.StringIO()
        monkeypatch.setattr(sys, "stderr", stream)
        logger.warning("a warning")
        assert stream.getvalue() == "grn warning: a warning\n"
    monkeypatch.setattr(sys, "stderr", None)
    logger.warning("nobody sees it")


def test_a_line_beside_a_bar_is_a_line_of_its_own(capsys):
    for number in progress(range(3), desc="walking", show=True):
        logger.warning("at %d", number)
    lines = [line for part in capsys.readouterr().err.split("\n") for line in part.split("\r")]
    assert [line for line in lines if "grn warning" in line] == [f"grn warning: at {i}" for i in range(3)]


def test_override_brings_back_a_level_without_a_name(capsys):
    with at_level(33):
        with grn.settings.override(verbosity="info"):
            logger.info("an information")
        assert logger.level == 33
    assert capsys.readouterr().err.splitlines() == ["grn: an information"]
    assert logger.level == HINT


def workers_say(_model, _rest, item):
    logger.warning("worker %s", item)
    logger.info("done %s", item)
    return logger.level


def test_workers_speak_as_this_process_does(client):
    from grn._core.cluster import each

    for name, level in (("error", logging.ERROR), ("info", logging.INFO)):
        with grn.settings.override(verbosity=name):
            assert {found for _, found in each(int_level, None, None, range(4), client=client)} == {level}


def int_level(_model, _rest, _item):
    return logging.getLogger("grn").level


def test_a_worker_that_is_a_thread_is_heard_once(near_client, capsys):
    from grn._core.cluster import each

    list(each(workers_say, None, None, range(2), client=near_client))
    assert sorted(capsys.readouterr().err.splitlines()) == ["grn warning: worker 0", "grn warning: worker 1"]
