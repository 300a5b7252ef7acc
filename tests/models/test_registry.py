import pytest

from grn._core.errors import ParameterError, WeightsNotFoundError
from grn.models import _registry as registry
from grn.models import available, load, register, save, untrained


@pytest.fixture(autouse=True)
def own_records(monkeypatch):
    monkeypatch.setattr(registry._RECORDS, "_records", dict(registry._RECORDS._records))


def test_a_model_is_returned_as_is(tiny):
    assert load(tiny) is tiny


@pytest.mark.parametrize("kind", [str, lambda path: path])
def test_a_path_is_read(tiny, tmp_path, kind):
    path = save(tiny, tmp_path / "mine.safetensors")
    assert load(kind(path)).genes == tiny.genes


def test_a_registered_model_is_loaded_by_name(tiny):
    register("tiny-one", lambda: tiny, description="a test")
    assert available()["tiny-one"] == "a test"
    assert load("tiny-one") is tiny
    assert "mini" in available()


def test_a_name_goes_before_a_file(tiny, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "tiny-one").write_bytes(b"not a model")
    register("tiny-one", lambda: tiny)
    assert load("tiny-one") is tiny


def test_an_unknown_name_suggests_one():
    with pytest.raises(ParameterError, match=r"no model is called 'minni'; available: .*mini.*Did you mean 'mini'\?"):
        load("minni")


@pytest.mark.parametrize("name", ["none.safetensors", "some/folder/none"])
def test_a_missing_file_names_the_path_and_the_models(tmp_path, monkeypatch, name):
    monkeypatch.chdir(tmp_path)
    for path in (name, tmp_path / name):
        with pytest.raises(WeightsNotFoundError, match=r"no file .*none.*known names are: .*mini"):
            load(path)


def test_names_are_taken_once(tiny):
    register("tiny-one", lambda: tiny)
    with pytest.raises(ParameterError, match="replace=True"):
        register("tiny-one", lambda: tiny)
    register("tiny-one", lambda: tiny, description="newer", replace=True)
    assert available()["tiny-one"] == "newer"


@pytest.mark.parametrize("bad", [None, "mini", 3])
def test_a_factory_must_be_callable(bad):
    with pytest.raises(ParameterError, match="pass a function"):
        register("x", bad)
    assert "x" not in available()


@pytest.mark.parametrize("bad", [None, 3, object(), b"mini", ["mini"]])
def test_other_objects_are_refused(bad):
    with pytest.raises(ParameterError, match=rf"type {type(bad).__name__}.*FoundationModel"):
        load(bad)


def test_a_class_is_no_model(tiny):
    with pytest.raises(ParameterError):
        load(type(tiny))


def test_what_a_factory_returns_is_checked():
    register("broken", lambda: 3)
    with pytest.raises(ParameterError, match=r"'broken'.*int.*FoundationModel"):
        load("broken")


def test_the_embedded_model_of_one_caller_is_not_that_of_another(make_memory, monkeypatch):
    monkeypatch.setattr(registry, "load_memory", lambda path, name: make_memory())
    registry._embedded.cache_clear()
    try:
        load("mini").to("meta")
        assert str(load("mini").device) == "cpu"
    finally:
        registry._embedded.cache_clear()


def test_features_read_in_another_way_carry_another_identity(tmp_path):
    model = untrained("scgpt", genes=["A", "B", "C"], width=8, heads=2)
    path = save(model, tmp_path / "checkpoint")
    plain = load(path).sha256
    assert len(plain) == 64
    assert load(path, params={"readout": "expression"}).sha256 == plain
    assert load(path, params={"readout": "mvc"}, dtype="bfloat16").sha256 == f"{plain}+dtype=bfloat16+readout=mvc"
