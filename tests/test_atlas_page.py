"""The table of an atlas in the documentation is one that its command makes, and no step takes more than 8 GB."""

import importlib.util
import re
import sys
from pathlib import Path

ROOT = Path(__file__).parents[1]


def benchmark():
    spec = importlib.util.spec_from_file_location("atlas_benchmark", ROOT / "benchmarks" / "atlas.py")
    module = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = module
    spec.loader.exec_module(module)
    return module


def test_the_table_is_that_of_the_command():
    made = benchmark()
    text = made.DOCS.read_text(encoding="utf-8")
    said = re.match(r"([\d,]+) cells x ([\d,]+) genes", text)
    cells, genes = (int(number.replace(",", "")) for number in said.groups())
    lines = [line.strip("| ").split(" | ") for line in text.splitlines() if line.startswith("|")][2:]
    labels = [line[0] for line in lines]
    regulators = int(re.search(r"`correlation`, (\d+) x", text)[1])
    trees = re.search(r"([\d,]+) cells drawn", text)
    drawn = int(trees[1].replace(",", "")) if trees else 0
    size = made.Size(cells, genes, regulators, drawn, 2)
    assert len(labels) == len(set(labels)) > 3
    assert set(labels) <= {"write the file", *(label for label, _ in made.rows(size).values())}
    assert max(float(line[3]) for line in lines) < 8 / 1.073741824


def test_a_small_file_is_what_the_page_says(tmp_path):
    made = benchmark()
    size = made.Size(3_000, 80, 5, 10, 1)
    made.write(tmp_path / "atlas.h5ad", size)
    adata = made.opened(tmp_path)
    X = adata.to_memory().X
    assert adata.shape == (3_000, 80) and adata.obs["group"].nunique() == made.GROUPS
    assert 0.7 * made.DENSITY < X.nnz / 240_000 < 1.4 * made.DENSITY and X.data.min() == 1


def test_finished_rows_are_kept(tmp_path):
    made = benchmark()
    size, done = made.Size(10, 10, 1, 1, 1), []
    made.alone = lambda call: (call(), (1.0, 2.0, 3.0))[1]
    for _ in range(2):
        made.Kept(tmp_path, size).run("row", lambda: done.append(1))
    made.Kept(tmp_path, made.Size(11, 10, 1, 1, 1)).run("row", lambda: done.append(2))
    assert done == [1, 2]
