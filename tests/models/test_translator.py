import json

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from grn._core.errors import ParameterError, WeightsError, WeightsNotFoundError
from grn.models.translator import Translator, TranslatorConfig, TranslatorNetwork, double_centred, view_of
from grn.models.translator_training import FitSettings, fit_network

QUICK = FitSettings(epochs=30, patience=5, lr=1e-2, batch_size=64)


def config(**changes):
    return TranslatorConfig(**{"feature": "vvp", "points": 3, "hidden": (8, 4), "grid": (1.0, 2.0, 3.0)} | changes)


def random_translator(seed=0, **changes):
    network = TranslatorNetwork(config(**changes))
    network.initialise(seed)
    network.standardise_by(torch.randn(50, len(network.mean), generator=torch.Generator().manual_seed(seed)))
    return Translator(config(**changes), network.eval(), {"auc": 0.7})


def cube(T=5, S=4, K=3, seed=0):
    return np.random.default_rng(seed).normal(size=(T, S, K)).astype(np.float32)


def separable(n=300, width=6, seed=0):
    rng = np.random.default_rng(seed)
    x = rng.normal(size=(n, width)).astype(np.float32)
    return x, (x[:, 0] * x[:, 1] > 0).astype(np.float32)


def fitted(seed=0, members=2, settings=QUICK):
    network = TranslatorNetwork(config(members=members))
    return network, fit_network(network, separable(seed=1), separable(seed=2), settings, seed)


@pytest.mark.parametrize("view", ["raw", "centred", "both"])
def test_round_trip(tmp_path, view):
    translator = random_translator(view=view, members=3, model="mini", model_sha256="ab")
    base = translator.save(tmp_path / "edges")
    assert sorted(p.name for p in tmp_path.iterdir()) == ["edges.json", "edges.safetensors"]
    for path in (base, tmp_path / "edges.json", str(tmp_path / "edges.safetensors")):
        back = Translator.load(path)
        assert back.config == translator.config
        assert back.history == {"auc": 0.7}
        np.testing.assert_array_equal(back.logits(cube()), translator.logits(cube()))


def test_dots_in_the_name_stay(tmp_path):
    base = random_translator().save(tmp_path / "mini-v0.1")
    assert base.name == "mini-v0.1"
    assert Translator.load(base).config == config()


@pytest.mark.parametrize("suffix", [".json", ".safetensors"])
def test_a_missing_half_is_named(tmp_path, suffix):
    base = random_translator().save(tmp_path / "t")
    base.with_suffix(suffix).unlink()
    with pytest.raises(WeightsNotFoundError, match=rf"t\{suffix}"):
        Translator.load(base)


def test_tensors_of_another_translator_are_refused(tmp_path):
    base = random_translator(0).save(tmp_path / "a")
    other = random_translator(1).save(tmp_path / "b")
    base.with_suffix(".safetensors").write_bytes(other.with_suffix(".safetensors").read_bytes())
    with pytest.raises(WeightsError, match=r"is not the file .*a.json was written with"):
        Translator.load(base)


def test_a_flipped_bit_is_found(tmp_path):
    base = random_translator().save(tmp_path / "t")
    path = base.with_suffix(".safetensors")
    data = bytearray(path.read_bytes())
    data[-1] ^= 1
    path.write_bytes(data)
    with pytest.raises(WeightsError, match="is not the file"):
        Translator.load(base)


@pytest.mark.parametrize(
    "changes",
    [{"points": 4}, {"hidden": [8, 5]}, {"hidden": [8]}, {"members": 2}, {"view": "centred"}, {"view": "triple"}],
)
def test_a_config_of_another_network_is_refused(tmp_path, changes):
    base = random_translator(view="raw").save(tmp_path / "t")
    described = json.loads(base.with_suffix(".json").read_text())
    described["config"] |= changes
    base.with_suffix(".json").write_text(json.dumps(described))
    with pytest.raises(WeightsError):
        Translator.load(base)


@pytest.mark.parametrize(
    "text",
    ["", "{", "[]", "3", "{}", '{"config": {}}', '{"config": {"points": 3, "hidden": 3, "grid": []}, "sha256": ""}'],
)
def test_a_broken_description_is_refused(tmp_path, text):
    base = random_translator().save(tmp_path / "t")
    base.with_suffix(".json").write_text(text)
    with pytest.raises(WeightsError, match="does not describe a translator"):
        Translator.load(base)


def test_another_format_is_refused(tmp_path):
    base = random_translator().save(tmp_path / "t")
    described = json.loads(base.with_suffix(".json").read_text()) | {"format": "grn.translator/9"}
    base.with_suffix(".json").write_text(json.dumps(described))
    with pytest.raises(WeightsError, match=r"'grn.translator/9'; expected 'grn.translator/1'"):
        Translator.load(base)


@pytest.mark.parametrize("view", ["raw", "centred", "both"])
def test_nan_features_give_nan_there_only(view):
    translator, features = random_translator(view=view), cube()
    features[2, 1, 0] = np.nan
    features[4] = np.nan
    missing = np.zeros((5, 4), dtype=bool)
    missing[2, 1], missing[4] = True, True
    logits = translator.logits(features)
    assert logits.dtype == np.float32
    np.testing.assert_array_equal(np.isnan(logits), missing)
    np.testing.assert_allclose(translator.probability(features), 1 / (1 + np.exp(-logits)), rtol=1e-6)


def test_nothing_known_gives_nan_everywhere():
    logits = random_translator().logits(np.full((2, 3, 3), np.nan))
    assert logits.shape == (2, 3)
    assert np.isnan(logits).all()


@pytest.mark.parametrize("shape", [(5, 4), (5, 4, 2), (5, 4, 4), (20, 3)])
def test_features_of_another_shape_are_refused(shape):
    with pytest.raises(ParameterError, match=r"reads 3 values of 'vvp' per pair: \(targets, sources, 3\)"):
        random_translator().logits(np.zeros(shape, dtype=np.float32))


def test_probabilities_of_extreme_logits_are_quiet(recwarn):
    translator = random_translator(view="raw")
    for weight in translator.network.weights:
        weight.requires_grad_(requires_grad=False).mul_(1e3)
    probability = translator.probability(cube())
    assert np.abs(translator.logits(cube())).max() > 100
    assert ((probability >= 0) & (probability <= 1)).all()
    assert not [w for w in recwarn if issubclass(w.category, RuntimeWarning)]


@given(T=st.integers(2, 6), S=st.integers(2, 6), K=st.integers(1, 3), seed=st.integers(0, 99))
@settings(max_examples=30, deadline=None)
def test_double_centred_rows_and_columns_have_mean_zero(T, S, K, seed):
    centred = double_centred(cube(T, S, K, seed))
    assert centred.shape == (T, S, K)
    np.testing.assert_allclose(centred.mean(axis=0), 0, atol=1e-6)
    np.testing.assert_allclose(centred.mean(axis=1), 0, atol=1e-6)


@given(seed=st.integers(0, 99))
@settings(max_examples=20, deadline=None)
def test_row_and_column_effects_vanish(seed):
    rng = np.random.default_rng(seed)
    x, rows, columns = cube(seed=seed), rng.normal(size=(5, 1, 3)), rng.normal(size=(1, 4, 3))
    np.testing.assert_allclose(double_centred(x + rows + columns), double_centred(x), atol=1e-5)


def test_nan_does_not_count_in_the_means():
    x = cube().astype(np.float64)
    x[1, 2] = x[3] = np.nan
    rows = np.nanmean(x[[0, 1, 2, 4]], axis=1, keepdims=True)
    expected = x[[0, 1, 2, 4]] - rows - np.nanmean(x, axis=0, keepdims=True) + np.nanmean(x, axis=(0, 1))
    centred = double_centred(x)
    np.testing.assert_allclose(centred[[0, 1, 2, 4]], expected, atol=1e-6)
    assert np.isnan(centred[3]).all()


def test_one_source_or_target_is_centred_along_the_other_axis_only():
    x = cube(5, 1)
    np.testing.assert_allclose(double_centred(x), x - x.mean(axis=0), atol=1e-6)
    x = cube(1, 4)
    np.testing.assert_allclose(double_centred(x), x - x.mean(axis=1, keepdims=True), atol=1e-6)
    np.testing.assert_array_equal(double_centred(cube(1, 1)), cube(1, 1))


def test_views():
    x = cube()
    np.testing.assert_array_equal(view_of(x, config(view="raw")), x)
    np.testing.assert_array_equal(view_of(x, config(view="centred")), double_centred(x))
    np.testing.assert_array_equal(view_of(x, config()), np.concatenate([x, double_centred(x)], axis=-1))
    assert all(view_of(x.astype(np.float64), config(view=v)).dtype == np.float32 for v in ("raw", "centred", "both"))


@given(targets=st.permutations(range(5)), sources=st.permutations(range(4)))
@settings(max_examples=20, deadline=None)
def test_the_order_of_pairs_changes_nothing(targets, sources):
    translator, x = random_translator(), cube()
    np.testing.assert_allclose(
        translator.logits(x[targets][:, sources]), translator.logits(x)[targets][:, sources], rtol=1e-5, atol=1e-5
    )


def test_members_are_averaged():
    translator, x = random_translator(members=3), cube()
    features = torch.as_tensor(view_of(x, translator.config)).flatten(0, 1)
    each = translator.network(features).detach().numpy()
    assert np.ptp(each, axis=0).max() > 1e-3
    np.testing.assert_allclose(translator.logits(x).ravel(), each.mean(axis=0), rtol=1e-5, atol=1e-6)


def test_a_fit_learns_what_can_be_learnt():
    network, told = fitted(settings=FitSettings(epochs=80, lr=1e-2, batch_size=64))
    x, y = separable(seed=3)
    with torch.no_grad():
        right = (network(torch.as_tensor(x)).mean(0) > 0).numpy() == y
    assert right.mean() > 0.9
    assert told["mean"] < 0.4
    assert not any(p.requires_grad for p in network.parameters())


def test_a_fit_is_determined_by_its_seed():
    state = torch.random.get_rng_state()
    a, b, c = (fitted(seed)[0].state_dict() for seed in (0, 0, 1))
    assert all(torch.equal(a[k], b[k]) for k in a)
    assert not torch.equal(a["weights.0"], c["weights.0"])
    assert torch.equal(torch.random.get_rng_state(), state), "the global generator must not be touched"


def test_a_second_fit_starts_afresh():
    network, told = fitted()
    first = {k: v.clone() for k, v in network.state_dict().items()}
    again = fit_network(network, separable(seed=1), separable(seed=2), QUICK, 0)
    assert again == told
    assert all(torch.equal(first[k], v) for k, v in network.state_dict().items())


def test_members_are_different_networks():
    network, told = fitted(members=2)
    assert len(told["validation_loss"]) == 2
    assert not torch.equal(network.weights[0][0], network.weights[0][1])


def test_every_member_keeps_its_best_epoch():
    network, told = fitted(members=3)
    vx, vy = (torch.as_tensor(a) for a in separable(seed=2))
    with torch.no_grad():
        logits = network(vx)
        loss = torch.nn.functional.binary_cross_entropy_with_logits(logits, vy.expand_as(logits), reduction="none")
    np.testing.assert_allclose(loss.mean(1), told["validation_loss"], atol=2e-5)


def test_a_fit_that_gets_worse_stops_early_at_the_start():
    """Validation labels are the opposite of the training labels: the first epochs are the best ones."""
    x, y = separable()
    network = TranslatorNetwork(config())
    told = fit_network(network, (x, y), (x, 1 - y), FitSettings(epochs=100, patience=4, lr=1e-2, batch_size=50), 0)
    assert told["epochs"] < 30
    untrained = TranslatorNetwork(config())
    patient = FitSettings(epochs=told["epochs"] + 6, patience=100, lr=1e-2, batch_size=50)
    longer = fit_network(untrained, (x, y), (x, 1 - y), patient, 0)
    assert longer["validation_loss"] == told["validation_loss"]
    assert all(torch.equal(a, b) for a, b in zip(network.parameters(), untrained.parameters(), strict=True))


def test_standardisation_comes_from_the_training_pairs():
    x, y = separable()
    x = 5 * x + 3
    x[:, 2] = 7.0
    network = TranslatorNetwork(config())
    fit_network(network, (x, y), (x + 100, y), FitSettings(epochs=1), 0)
    np.testing.assert_allclose(network.mean, x.mean(0), rtol=1e-4)
    assert network.std[2] == 1.0
    np.testing.assert_allclose(network.std[[0, 1, 3]], x.std(0, ddof=1)[[0, 1, 3]], rtol=1e-4)


def test_one_outlier_does_not_rule():
    translator, x = random_translator(view="raw"), cube()
    x[0, 0] = 1e6
    far = translator.logits(x)[0, 0]
    x[0, 0] = 1e9
    assert translator.logits(x)[0, 0] == far
