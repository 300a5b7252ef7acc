import importlib.util
from pathlib import Path

import pytest

SCRIPT = Path(__file__).parents[2] / "scripts" / "build_gene_tables.py"


@pytest.fixture(scope="module")
def build():
    pytest.importorskip("h5py")
    spec = importlib.util.spec_from_file_location("build_gene_tables", SCRIPT)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_numbering_of_shared_aliases_is_undone(build):
    pairs = {"OCT31": ("POU5F1", 1.0), "OCT32": ("SLC22A3", 2.0), "P53": ("TP53", 3.0)}
    stems, artefacts = build.numbered_series(pairs, set())
    assert stems == {"OCT3": {"POU5F1", "SLC22A3"}}
    assert artefacts == {"OCT31", "OCT32"}


@pytest.mark.parametrize(
    ("pairs", "used"),
    [
        ({"EMR1": ("ADGRE1", 1.0), "EMR2": ("ADGRE2", 2.0)}, set()),
        ({"MIR-1": ("A", 1.0), "MIR-2": ("B", 2.0)}, set()),
        ({"X1": ("A", 2.0), "X2": ("B", 1.0)}, set()),
        ({"TCEB1": ("ELOC", 1.0), "TCEB2": ("ELOB", 2.0)}, {"TCEB1", "TCEB2"}),
        ({"Oct1": ("A", 1.0), "Oct-1": ("A", 1.0), "Oct2": ("B", 2.0), "Oct-2": ("B", 2.0)}, set()),
    ],
)
def test_genuine_series_stay(build, pairs, used):
    assert build.numbered_series(pairs, used)[1] == set()


@pytest.mark.slow
def test_the_shipped_tables_are_those_of_the_script(build, shared_dir, tmp_path, monkeypatch):
    monkeypatch.setattr("sys.argv", ["build", "--data", str(shared_dir / "data"), "--out", str(tmp_path)])
    build.main()
    for path in sorted(build.TARGET.iterdir()):
        same = (tmp_path / path.name).read_bytes() == path.read_bytes()
        # pytest would take hours to explain the difference
        assert same, path.name
