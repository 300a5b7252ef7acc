import logging
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

import grn
from grn._core.errors import GrnError, ParameterError
from grn._core.settings import Settings


@pytest.fixture
def fresh():
    logger = logging.getLogger("grn")
    before = logger.level
    yield Settings()
    logger.setLevel(before)


def test_override_sets_and_restores(fresh):
    fresh.n_jobs = 3
    with fresh.override(n_jobs=1, progress=False) as inside:
        assert inside is fresh
        assert (fresh.n_jobs, fresh.progress) == (1, False)
    assert (fresh.n_jobs, fresh.progress) == (3, None)


def test_override_restores_after_an_error(fresh):
    with pytest.raises(KeyError), fresh.override(verbosity="debug", memory_budget=1):
        assert logging.getLogger("grn").level == logging.DEBUG
        raise KeyError("user code")
    assert (fresh.verbosity, fresh.memory_budget) == ("hint", 512 * 2**20)
    assert logging.getLogger("grn").level == 25


def test_overrides_nest(fresh):
    with fresh.override(device="cpu"):
        with fresh.override(device="cuda"):
            assert fresh.device == "cuda"
        assert fresh.device == "cpu"
    assert fresh.device == "auto"


@pytest.mark.parametrize("bad", [{"n_jobs": 2, "devices": "cpu"}, {"n_jobs": 2, "verbosity": "loud"}])
def test_a_bad_override_changes_nothing(fresh, bad):
    with pytest.raises(ParameterError), fresh.override(**bad):
        pytest.fail("the block must not run")
    assert fresh.n_jobs is None
    assert fresh.verbosity == "hint"
    assert not hasattr(fresh, "devices")


def test_an_unknown_setting_names_the_valid_ones(fresh):
    with pytest.raises(ParameterError, match=r"no setting 'n_job'.*n_jobs.*memory_budget"):
        fresh.n_job = 2
    assert not hasattr(fresh, "n_job")


@pytest.mark.parametrize(
    ("name", "level"),
    [
        ("error", logging.ERROR),
        ("warning", logging.WARNING),
        ("hint", 25),
        ("info", logging.INFO),
        ("debug", logging.DEBUG),
    ],
)
def test_verbosity_is_the_level_of_the_logger(fresh, name, level):
    fresh.verbosity = name
    assert logging.getLogger("grn").level == level


@pytest.mark.parametrize("bad", ["loud", "INFO", 3, None, ["info"]])
def test_a_bad_verbosity_is_refused_and_changes_nothing(fresh, bad):
    with pytest.raises(ParameterError, match="error, warning, hint, info, debug"):
        fresh.verbosity = bad
    assert fresh.verbosity == "hint"


def test_settings_errors_belong_to_the_package(fresh):
    with pytest.raises(GrnError), fresh.override(nothing=1):
        pass


def data_dir_of_a_new_process(**environment):
    where = str(Path(grn.__file__).parents[1])
    code = f"import sys; sys.path.insert(0, {where!r}); import grn; print(repr(grn.settings.data_dir))"
    inherited = {name: value for name, value in os.environ.items() if name != "GRN_DATA_DIR"}
    found = subprocess.run(
        [sys.executable, "-c", code], env={**inherited, **environment}, capture_output=True, text=True, check=True
    )
    return found.stdout.strip()


def test_data_dir_is_taken_from_the_environment(tmp_path):
    assert data_dir_of_a_new_process() == "None"
    assert data_dir_of_a_new_process(GRN_DATA_DIR=" ") == "None"
    assert data_dir_of_a_new_process(GRN_DATA_DIR=str(tmp_path)) == repr(tmp_path)


def test_data_dir_is_a_path_or_none(fresh, tmp_path):
    fresh.data_dir = str(tmp_path)
    assert fresh.data_dir == tmp_path
    with fresh.override(data_dir=None):
        assert fresh.data_dir is None
    assert fresh.data_dir == tmp_path


@pytest.mark.parametrize("bad", ["", "  ", 3, True, ["folder"]])
def test_a_bad_data_dir_is_refused_and_changes_nothing(fresh, tmp_path, bad):
    fresh.data_dir = tmp_path
    with pytest.raises(ParameterError, match=r"data_dir=.*pass the path of a folder, or None"):
        fresh.data_dir = bad
    assert fresh.data_dir == tmp_path


@pytest.mark.parametrize("name", ["n_jobs", "memory_budget", "feature_budget"])
def test_numbers_are_numpys_too_and_nothing_else(name):
    fresh = Settings()
    setattr(fresh, name, np.int64(3))
    assert type(getattr(fresh, name)) is int
    for strange in (True, "3", 0, 1.5, -2):
        with pytest.raises(ParameterError, match=f"^{name}=.*pass a positive integer"):
            setattr(fresh, name, strange)
    assert getattr(fresh, name) == 3


def test_progress_is_shown_or_not_or_left_to_the_terminal():
    fresh = Settings(progress=np.bool_(1))
    assert fresh.progress is True
    with pytest.raises(ParameterError, match="progress='yes'; pass True or False, or None"):
        fresh.progress = "yes"
