"""The recipe for conda-forge asks for what pyproject.toml asks for."""

import re
import tomllib
from pathlib import Path

import pytest
import yaml

ROOT = Path(__file__).parents[1]
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))
RECIPE = yaml.safe_load((ROOT / "recipe" / "recipe.yaml").read_text(encoding="utf-8"))
# names of conda-forge that are not those of PyPI
CONDA = {"torch": "pytorch", "matplotlib": "matplotlib-base"}


def required(requirements):
    pairs = (re.match(r"([\w-]+)\s*(.*)", text).groups() for text in requirements)
    return {CONDA.get(name, name): bound for name, bound in pairs}


def test_requirements_are_those_of_the_project():
    run = required(RECIPE["requirements"]["run"])
    assert run.pop("python") == ">=${{ python_min }}"
    assert f">={RECIPE['context']['python_min']}" == PROJECT["project"]["requires-python"]
    assert run == required(PROJECT["project"]["dependencies"])
    host = required(RECIPE["requirements"]["host"])
    assert host["hatchling"] == required(PROJECT["build-system"]["requires"])["hatchling"]


def test_version_licence_and_command_are_those_of_the_project():
    project = PROJECT["project"]
    assert RECIPE["context"]["version"] == project["version"]
    assert RECIPE["about"]["summary"] == project["description"]
    assert RECIPE["about"]["license_file"] == project["license-files"]
    assert project["license"] in RECIPE["about"]["license"]
    (entry,) = RECIPE["build"]["python"]["entry_points"]
    assert dict([entry.split(" = ")]) == project["scripts"]


@pytest.mark.parametrize("name", ["LICENSE", "src/grn/pl/_explorer/assets/cytoscape.LICENSE"])
def test_files_of_licences_are_there(name):
    assert name in RECIPE["about"]["license_file"] and (ROOT / name).is_file()
