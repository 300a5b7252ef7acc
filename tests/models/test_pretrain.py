import dataclasses
import random

import numpy as np
import pytest
import torch

from grn._core.errors import WeightsError
from grn.models._pretrain import Schedule, batch, fit, initial_embedding
from grn.models._training_cells import cell_sets
from grn.models.mini import MiniConfig, MiniNetwork

CPU = torch.device("cpu")
SCHEDULE = Schedule(steps=12, batch_size=8, visible=20, queries=20, lr=3e-3, precision="float32", seed=3)


@pytest.fixture
def sets(make_planted, make_adata):
    values, _ = make_planted()
    vocabulary = {f"G{i:02d}": i for i in range(60)}
    adatas = {"a": make_adata(values[:60]), "b": make_adata(values[60:])[:, 10:].copy()}
    return cell_sets(adatas, vocabulary, min_genes=5)


def train(make_mini, sets, schedule=SCHEDULE, **given):
    network = make_mini(seed=4).network
    return network, fit(network, sets, schedule, device=CPU, show=False, **given)


def same(a, b):
    return all(torch.equal(x, y) for x, y in zip(a.state_dict().values(), b.state_dict().values(), strict=True))


def test_a_step_shows_and_asks_different_genes(sets):
    for step in range(20):
        tokens, values, queries, truth = batch(sets, SCHEDULE, step, CPU)
        assert values.shape == (8, len(tokens)) == (8, 20)
        assert truth.shape == (8, len(queries)) == (8, 20)
        assert len({*tokens.tolist(), *queries.tolist()}) == 40
        assert values.dtype == truth.dtype == torch.float32


def test_a_step_depends_on_seed_and_number_only(sets):
    first, again = batch(sets, SCHEDULE, 5, CPU), batch(sets, SCHEDULE, 5, CPU)
    assert all(torch.equal(a, b) for a, b in zip(first, again, strict=True))
    other_step = batch(sets, SCHEDULE, 6, CPU)
    other_seed = batch(sets, dataclasses.replace(SCHEDULE, seed=4), 5, CPU)
    assert not any(torch.equal(first[0], other[0]) for other in (other_step, other_seed))
    assert len({tuple(batch(sets, SCHEDULE, step, CPU)[0].tolist()) for step in range(20)}) == 20


@pytest.mark.parametrize(("visible", "queries"), [(1, 1000), (1000, 1), (30, 30), (1000, 1000)])
def test_small_data_sets_are_shared_out(sets, visible, queries):
    schedule = dataclasses.replace(SCHEDULE, visible=visible, queries=queries)
    for step in range(6):
        tokens, _, asked, truth = batch(sets, schedule, step, CPU)
        assert len(tokens) >= 1
        assert len(asked) >= 1
        assert truth.numel() > 0


@pytest.mark.parametrize(("fraction", "zeros"), [(0.0, False), (1.0, True)])
def test_sparse_context_hides_values_of_visible_genes_only(sets, fraction, zeros):
    schedule = dataclasses.replace(SCHEDULE, sparse_context=fraction)
    drawn = [batch(sets, schedule, step, CPU) for step in range(30)]
    hidden = np.mean([float((b[1] == 0).float().mean()) for b in drawn])
    assert (hidden > 0.3) == zeros
    assert not any((b[3] == 0).float().mean() > 0.1 for b in drawn)


def test_twenty_steps_reduce_the_loss(sets):
    """From the planted factors, but with a linear path that predicts nothing yet."""
    schedule = dataclasses.replace(SCHEDULE, steps=20, batch_size=16, sparse_context=0.0, lr=0.3)
    torch.manual_seed(0)
    network = MiniNetwork(MiniConfig(n_genes=60, d=4, encoder_blocks=1, d_feedforward=16, d_value=8))
    embedding, _ = initial_embedding(sets, 60, 4)
    network.start_from(torch.as_tensor(embedding), ridge=1.0)
    torch.nn.init.zeros_(network.factors.weight)
    unseen = [batch(sets, schedule, step, CPU) for step in range(1000, 1010)]

    def error():
        with torch.no_grad():
            parts = [torch.nn.functional.mse_loss(network(*seen), truth) for *seen, truth in unseen]
        return float(torch.stack(parts).mean())

    before = error()
    losses = fit(network, sets, schedule, device=CPU, show=False)
    assert len(losses) == 20
    assert error() < 0.5 * before
    assert not network.training
    assert not any(p.requires_grad for p in network.parameters())


@pytest.mark.parametrize("stop", [4, 9, 11])
def test_a_resumed_run_is_bit_identical(make_mini, sets, tmp_path, stop):
    whole, losses = train(make_mini, sets)

    def interrupt(step, loss):
        if step == stop:
            raise KeyboardInterrupt

    state = tmp_path / "run.state"
    with pytest.raises(KeyboardInterrupt):
        train(make_mini, sets, checkpoint=state, save_every=4, on_step=interrupt)
    steps = []
    network = make_mini(seed=99).network
    rest = fit(
        network, sets, SCHEDULE, device=CPU, checkpoint=state, show=False, on_step=lambda step, _: steps.append(step)
    )
    saved = stop // 4 * 4
    assert steps == list(range(saved, 12))
    assert rest == losses[saved:]
    assert same(network, whole)
    assert list(tmp_path.iterdir()) == [state]


def test_a_finished_run_is_read_back(make_mini, sets, tmp_path):
    state = tmp_path / "run.state"
    whole, _ = train(make_mini, sets, checkpoint=state)
    network = make_mini(seed=99).network
    assert fit(network, sets, SCHEDULE, device=CPU, checkpoint=state, show=False) == []
    assert same(network, whole)


def test_the_global_generator_plays_no_part(make_mini, sets):
    first = train(make_mini, sets)[1]
    torch.manual_seed(1)
    np.random.seed(1)
    assert train(make_mini, sets)[1] == first


@pytest.mark.parametrize("change", [{"lr": 1e-4}, {"seed": 4}, {"steps": 13}])
def test_another_schedule_does_not_resume(make_mini, sets, tmp_path, change):
    state = tmp_path / "run.state"
    train(make_mini, sets, checkpoint=state)
    with pytest.raises(WeightsError, match=r"run.state was written with another schedule"):
        train(make_mini, sets, dataclasses.replace(SCHEDULE, **change), checkpoint=state)


@pytest.mark.parametrize("kind", ["empty", "text", "pickle", "object", "number", "truncated", "keys"])
def test_a_broken_state_is_refused(make_mini, sets, tmp_path, kind):
    state = tmp_path / "run.state"
    train(make_mini, sets, dataclasses.replace(SCHEDULE, steps=1), checkpoint=state)
    if kind in ("number", "object", "keys"):
        torch.save({"number": 3, "object": dataclasses.replace(SCHEDULE), "keys": {"step": 1}}[kind], state)
    else:
        data = {"empty": b"", "text": b"not a training state", "pickle": b"\x80\x04K\x01."}.get(
            kind, state.read_bytes()[:-500]
        )
        state.write_bytes(data)
    with pytest.raises(WeightsError, match=r"run\.state is not a readable training state"):
        train(make_mini, sets, dataclasses.replace(SCHEDULE, steps=1), checkpoint=state)


def test_no_flipped_bit_of_a_state_is_trained_on(make_mini, sets, tmp_path):
    state, chance = tmp_path / "run.state", random.Random(0)
    short = dataclasses.replace(SCHEDULE, steps=1)
    whole, _ = train(make_mini, sets, short, checkpoint=state)
    text, refused = state.read_bytes(), 0
    for _ in range(60):
        at = chance.randrange(8 * len(text))
        flipped = bytearray(text)
        flipped[at // 8] ^= 1 << at % 8
        state.write_bytes(bytes(flipped))
        network = make_mini(seed=99).network
        try:
            fit(network, sets, short, device=CPU, checkpoint=state, show=False)
        except WeightsError:
            refused += 1
        else:
            assert same(network, whole)  # a bit that says nothing, such as of a date
    assert refused > 20


def test_a_state_of_another_network_is_refused(make_mini, sets, tmp_path):
    state = tmp_path / "run.state"
    train(make_mini, sets, checkpoint=state)
    with pytest.raises(WeightsError, match=r"run\.state"):
        fit(make_mini(d=32).network, sets, SCHEDULE, device=CPU, checkpoint=state, show=False)


def test_the_initial_embedding_spans_the_planted_factors(make_planted, make_adata):
    values, loadings = make_planted(n_cells=300, rank=3)
    sets = cell_sets(make_adata(values), {f"G{i:02d}": i for i in range(60)}, min_genes=5)
    embedding, eigenvalues = initial_embedding(sets, 60, 8)
    assert embedding.shape == (60, 8)
    assert embedding.dtype == np.float32
    np.testing.assert_allclose(np.square(embedding).mean(), 1, rtol=1e-5)
    assert (np.diff(eigenvalues) <= 0).all()
    assert eigenvalues[2] > 3 * eigenvalues[3]
    scaled = loadings / np.linalg.norm(loadings, axis=1, keepdims=True)
    first = embedding[:, :3]
    fitted = first @ np.linalg.lstsq(first, scaled, rcond=None)[0]
    assert np.square(scaled - fitted).sum() / np.square(scaled).sum() < 0.1


def test_the_initial_embedding_is_pooled_over_pairs_measured_together(make_planted, make_adata):
    values, _ = make_planted(n_cells=200)
    adata = make_adata(values)
    vocabulary = {f"G{i:02d}": i for i in range(60)}
    halves = [adata[:, :40].copy(), adata[:, 20:].copy()]
    embedding, _ = initial_embedding(cell_sets(halves, vocabulary, min_genes=5), 60, 4)
    again, _ = initial_embedding(cell_sets(halves[::-1], vocabulary, min_genes=5), 60, 4)
    np.testing.assert_allclose(embedding, again, atol=1e-3)
    assert (np.linalg.norm(embedding, axis=1) > 0).all()


def test_eigenvalues_are_those_of_the_mean_correlation(make_planted, make_adata):
    values, _ = make_planted(n_cells=80)
    vocabulary = {f"G{i:02d}": i for i in range(60)}
    parts = {"a": make_adata(values[:20]), "b": make_adata(values[20:])}
    sets = cell_sets(parts, vocabulary, min_genes=5)
    weights = np.sqrt([20, 60])
    mean = np.average([np.corrcoef(values[:20].T), np.corrcoef(values[20:].T)], axis=0, weights=weights)
    np.fill_diagonal(mean, 0)
    expected = np.linalg.eigvalsh(mean)[::-1][:5]
    np.testing.assert_allclose(initial_embedding(sets, 60, 5)[1], expected, rtol=0.02)
