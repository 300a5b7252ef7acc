"""What runs outside the package: workflows, the pages' builder and the registry's entry name only what there is."""

import importlib.util
import re
import shlex
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest
import yaml

ROOT = Path(__file__).parents[1]
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
EXTRAS = PROJECT["optional-dependencies"]
PYTHONS = {
    line.rpartition(" ")[2] for line in PROJECT["classifiers"] if re.fullmatch(r"Programming .* Python :: 3\.\d+", line)
}
FOLDER = ROOT / ".github" / "workflows"
WORKFLOWS = {path.stem: yaml.safe_load(path.read_text(encoding="utf-8")) for path in sorted(FOLDER.glob("*.y*ml"))}
JOBS = {f"{file}.{name}": job for file, workflow in WORKFLOWS.items() for name, job in workflow["jobs"].items()}
BUILDER = yaml.safe_load((ROOT / ".readthedocs.yaml").read_text(encoding="utf-8"))
# programs of the runner, and the distribution behind those of an extra
PROGRAMS = {"bash", "cd", "grep", "pip", "python", "test", "uv", "uvx", "pytest", "sphinx-build"}
DISTRIBUTIONS = {"pytest": "pytest", "sphinx-build": "sphinx"}
GUIDE = (ROOT / "CONTRIBUTING.md").read_text(encoding="utf-8")
NAMED_FILES = re.findall(r"`((?:src|tests|docs|scripts|\.ci)/[\w./]+|[A-Z_]+\.md)`", GUIDE)
GUIDE_COMMANDS = [
    shlex.split(part, comments=True)
    for block in re.findall(r"^```bash\n(.*?)^```", GUIDE, flags=re.M | re.S)
    for line in block.splitlines()
    for part in line.split("&&")
]
jobs = pytest.mark.parametrize("name", JOBS)


def commands(job):
    """Words of every command that a job runs."""
    lines = [line for step in job["steps"] for line in step.get("run", "").splitlines()]
    return [shlex.split(part) for line in lines for part in line.split("&&") if part.strip()]


def extras(words):
    """Extras of this package that a command installs."""
    return [name for word in words for found in re.findall(r"^\.\[([\w,]+)\]$", word) for name in found.split(",")]


def brought_by(name):
    """Distributions of an extra, with those of the extras it names."""
    found = set()
    for requirement in EXTRAS[name]:
        distribution, _, inner = re.match(r"([\w-]+)(\[([\w,]+)\])?", requirement).groups()
        found |= {d for e in inner.split(",") for d in brought_by(e)} if distribution == "grn" else {distribution}
    return found


def script():
    """The script that prints the registry's entry."""
    spec = importlib.util.spec_from_file_location("scverse_meta", ROOT / "scripts" / "scverse_meta.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_there_are_workflows():
    assert {"test", "release"} <= set(WORKFLOWS)


@jobs
def test_commands_are_known_and_their_programs_installed(name):
    job = JOBS[name]
    installed = {d for words in commands(job) for extra in extras(words) for d in brought_by(extra)}
    for words in commands(job):
        program = words[0]
        assert program in PROGRAMS or re.fullmatch(r"\w+=.*", program), f"{program} is no program of the runner"
        assert DISTRIBUTIONS.get(program) in {None, *installed}, f"no extra of {name} brings {program}"


@jobs
def test_extras_files_and_folders_exist(name):
    assert {extra for words in commands(JOBS[name]) for extra in extras(words)} <= set(EXTRAS)
    for words in commands(JOBS[name]):
        if words[0] == "bash":
            assert (ROOT / words[1]).is_file(), words[1]
        if words[0] == "sphinx-build":
            assert (ROOT / words[-2] / "conf.py").is_file(), words[-2]
        if words[0] == "grep":
            assert (ROOT / words[-1]).is_file(), words[-1]


@jobs
def test_python_code_and_modules_run(name):
    for words in commands(JOBS[name]):
        if words[:2] == ["python", "-c"]:
            subprocess.run([sys.executable, "-c", words[2]], check=True, timeout=120)
        if words[:2] == ["python", "-m"]:
            subprocess.run([sys.executable, *words[1:], "--help"], check=True, timeout=120, capture_output=True)


@jobs
def test_jobs_end_and_may_do_little(name):
    file = name.partition(".")[0]
    assert JOBS[name]["timeout-minutes"] <= 120
    assert WORKFLOWS[file]["permissions"] == {"contents": "read"}
    assert JOBS[name].get("permissions", {}) in ({}, {"id-token": "write"})


def test_every_declared_python_is_tested_on_the_oldest_the_newest_and_coming_dependencies():
    rows = JOBS["test.dependencies"]["strategy"]["matrix"]["include"]
    assert {row["python"] for row in rows if row["dependencies"] == "newest"} == PYTHONS
    ordered = sorted(PYTHONS, key=lambda version: int(version.partition(".")[2]))
    assert PROJECT["requires-python"] == f">={ordered[0]}"
    (oldest,) = [row for row in rows if row["dependencies"] == "oldest"]
    assert (oldest["python"], oldest["resolution"]) == (ordered[0], "lowest-direct")
    (coming,) = [row for row in rows if row["dependencies"] == "pre-release"]
    assert (coming["python"], coming["prerelease"]) == (ordered[-1], "allow")
    asked = JOBS["test.dependencies"]["env"]
    for variable in ("resolution", "prerelease"):
        assert asked[f"UV_{variable.upper()}"] == f"${{{{ matrix.{variable} }}}}"


def test_every_direct_dependency_has_a_lower_bound():
    unbound = [
        requirement
        for requirement in [*PROJECT["dependencies"], *(r for rows in EXTRAS.values() for r in rows)]
        if ">=" not in requirement and not requirement.startswith("grn[") and requirement != "dask[array]"
    ]
    assert unbound == []


def test_tests_run_every_fortnight():
    # PyYAML reads the word `on` as true
    (when,) = WORKFLOWS["test"][True]["schedule"]
    minute, hour, days, month, weekday = when["cron"].split()
    assert (days, month, weekday) == ("1,15", "*", "*") and minute.isdigit() and hour.isdigit()


def test_only_a_tag_publishes_and_no_secret_is_kept():
    assert WORKFLOWS["release"][True] == {"push": {"tags": ["v*"]}}
    assert JOBS["release.publish"]["permissions"] == {"id-token": "write"} and JOBS["release.publish"]["environment"]
    assert not [path.name for path in FOLDER.iterdir() if "secrets." in path.read_text(encoding="utf-8")]


def test_the_pages_are_built_with_the_extra_and_the_configuration_that_there_are():
    assert BUILDER["version"] == 2 and (ROOT / BUILDER["sphinx"]["configuration"]).is_file()
    assert BUILDER["build"]["tools"]["python"] in PYTHONS
    wanted = [extra for line in BUILDER["build"]["jobs"]["install"] for extra in extras(shlex.split(line))]
    assert wanted == ["docs"] and "sphinx" in brought_by("docs")


class TestRegistryEntry:
    def test_it_agrees_with_the_package(self):
        entry = yaml.safe_load((ROOT / "docs" / "scverse" / "meta.yaml").read_text(encoding="utf-8"))
        for field in ("name", "description", "license"):
            assert entry[field] == PROJECT[field]
        assert "version" not in entry, "the registry fills it in every day"
        assert not set(entry) & set(script().ADDRESSES), "addresses are those of [project.urls]"
        assert entry["category"] == "ecosystem" and len(entry["tags"]) == len(set(entry["tags"]))
        assert all(extra in EXTRAS for extra in extras(shlex.split(entry["test_command"])))

    def test_with_addresses_every_mandatory_field_is_there(self):
        module = script()
        urls = {key: f"https://example.org/{key}" for key in module.ADDRESSES.values()}
        entry = module.entry(urls)
        assert all(entry[field] for field in module.MANDATORY)
        assert entry["project_home"] == "https://example.org/Source"

    @pytest.mark.parametrize("lost", ["Source", "Documentation"])
    def test_a_missing_address_is_asked_for_where_it_belongs(self, lost):
        module = script()
        urls = {key: f"https://example.org/{key}" for key in module.ADDRESSES.values() if key != lost}
        with pytest.raises(ValueError, match=rf"'{lost}' in \[project.urls\] of pyproject.toml"):
            module.entry(urls)


class TestContributing:
    def test_the_files_it_names_exist(self):
        assert len(NAMED_FILES) > 20
        assert [name for name in NAMED_FILES if not (ROOT / name).exists()] == []

    def test_the_tables_it_names_are_in_their_files(self):
        named = re.findall(r"`([A-Z]{4,}|calls)` (?:of|in) `(\w+/[\w./]+\.py)`", re.sub(r"\s+", " ", GUIDE))
        assert len(named) > 6
        for table, path in named:
            assert re.search(rf"\b{table}\b", (ROOT / path).read_text(encoding="utf-8")), (table, path)

    def test_its_commands_install_extras_and_run_tests_that_there_are(self):
        assert {extra for words in GUIDE_COMMANDS for extra in extras(words)} == {"dev"}
        assert {"pre-commit", "pytest"} <= brought_by("dev")
        paths = [word for words in GUIDE_COMMANDS for word in words if word.startswith(("tests/", ".ci/"))]
        assert len(paths) == 3 and all((ROOT / path).exists() for path in paths)

    def test_the_layers_it_names_are_all_there_are(self):
        packages = {path.name for path in (ROOT / "src" / "grn").iterdir() if (path / "__init__.py").is_file()}
        assert packages == set(re.findall(r"`src/grn/(\w+)`", GUIDE))
