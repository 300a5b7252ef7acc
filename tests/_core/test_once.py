"""A thing is said once in a call, however many groups or genes it is true of."""

import inspect
import threading

import pytest

import grn
from grn._core.logging import AsHere, hint, logger, one_call, one_voice, showing, silently
from grn._core.logging import progress as bar


@pytest.fixture
def said(caplog):
    def lines():
        return [record.getMessage() for record in caplog.records]

    return lines


def test_a_line_is_said_once_in_a_call_and_again_in_the_next(said):
    for _ in range(2):
        with one_call():
            for _ in range(3):
                logger.warning("lost %s", "A")
            logger.warning("lost %s", "B")
            hint("lost %s", "A")
    assert said() == ["lost A", "lost B", "lost A"] * 2


def test_outside_of_a_call_everything_is_said(said):
    for _ in range(2):
        logger.warning("lost")
    logger.warning("%d are silent in %s", 3, "a", extra={"of": "a"})
    assert said() == ["lost", "lost", "3 are silent in a"]


def test_what_is_true_of_several_is_one_line_at_the_end(said):
    with one_call():
        for i, group in enumerate("abcbdefgh"):
            logger.warning("%d are silent in %s", i + 1, group, extra={"of": group})
        logger.warning("at once")
    assert said() == ["at once", "1 are silent in a (likewise b, c, d, e, f and 2 more)"]


def test_of_one_it_is_the_line_itself(said):
    with one_call():
        logger.warning("%d%% are silent in %s", 3, "a", extra={"of": "a"})
        logger.info("not shown", extra={"of": "a"})
    assert said() == ["3% are silent in a"]


def test_it_is_said_also_when_the_call_fails(said):
    with pytest.raises(KeyError), one_call():
        logger.warning("silent in %s", "a", extra={"of": "a"})
        raise KeyError
    assert said() == ["silent in a"]


def test_calls_within_calls_and_threads_belong_to_the_outer_one(said):
    @one_voice
    def inner():
        """Doc."""
        logger.warning("lost")

    @one_voice
    def outer():
        inner()
        thread = threading.Thread(target=inner)
        thread.start()
        thread.join()

    outer()
    assert said() == ["lost"]
    assert inner.__doc__ == "Doc." and inspect.isfunction(inner)


def speaks(n):
    for i in range(n):
        logger.warning("lost")
        logger.warning("silent in %d", i, extra={"of": str(i)})


def test_work_for_another_process_is_a_call(said):
    AsHere(speaks)(3)
    assert said() == ["lost", "silent in 0 (likewise 1, 2)"]


def on_objects():
    for space in (grn.pp, grn.tl, grn.get):
        for name in space.__all__:
            thing = getattr(space, name)
            if inspect.isfunction(thing) and next(iter(inspect.signature(thing).parameters), "") in ("adata", "data"):
                yield thing


def test_every_public_function_on_objects_is_a_call():
    functions = list(on_objects())
    assert len(functions) > 25
    assert [function.__name__ for function in functions if not hasattr(function, "__wrapped__")] == []


@pytest.mark.parametrize(
    ("outer", "inner", "bars"), [(True, None, 2), (False, None, 0), (None, True, 1), (True, False, 1)]
)
def test_the_argument_progress_decides_over_all_bars_of_a_call(outer, inner, bars, capsys):
    def walk(name):
        for _ in bar(range(2), desc=name):
            pass

    @one_voice
    def within(*, progress=None):
        walk("inner")

    @one_voice
    def call(*, progress=None):
        within(progress=inner)
        walk("outer")

    with grn.settings.override(progress=None):
        call(progress=outer)
    err = capsys.readouterr().err
    assert ("inner" in err) + ("outer" in err) == bars


def test_repetitions_are_silent(said, capsys):
    with showing(True), silently():
        logger.warning("lost")
        assert list(bar(range(2))) == [0, 1]
    assert said() == [] and capsys.readouterr().err == ""
