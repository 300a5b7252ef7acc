import json
import random

import pytest
import torch

from grn._core.errors import WeightsError
from grn.models._training_state import resume, save_state

KEY = json.dumps({"steps": 3, "lr": 0.1})
CPU = torch.device("cpu")


def trained(seed=0, width=3):
    """A small network after a step, so that the optimiser has a state."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        network = torch.nn.Linear(width, 2)
        optimizer = torch.optim.AdamW(network.parameters(), lr=0.1)
        network(torch.randn(4, width)).square().sum().backward()
    optimizer.step()
    return network, optimizer


def same(a, b):
    return all(torch.equal(x, y) for x, y in zip(a.state_dict().values(), b.state_dict().values(), strict=True))


@pytest.fixture
def state(tmp_path):
    path = tmp_path / "run.state"
    save_state(*trained(), KEY, 2, path)
    return path


def test_a_run_goes_on_where_it_was(state):
    (network, optimizer), (expected, _) = trained(seed=9), trained()
    assert resume(network, optimizer, KEY, state, CPU) == 2
    assert same(network, expected)
    moments = [entry["exp_avg"] for entry in optimizer.state_dict()["state"].values()]
    wanted = [entry["exp_avg"] for entry in trained()[1].state_dict()["state"].values()]
    assert all(torch.equal(a, b) for a, b in zip(moments, wanted, strict=True))


@pytest.mark.parametrize("key", [{"steps": 3, "lr": 0.2}, {"steps": 4, "lr": 0.1}, {"steps": 3}])
def test_another_call_does_not_resume(state, key):
    network, optimizer = trained(seed=9)
    with pytest.raises(WeightsError, match=r"run.state was written with another schedule"):
        resume(network, optimizer, json.dumps(key), state, CPU)
    assert same(network, trained(seed=9)[0])


@pytest.mark.parametrize("kind", ["empty", "text", "pickle", "object", "number", "truncated", "keys"])
def test_a_broken_state_is_refused(state, kind):
    if kind in ("number", "object", "keys"):
        torch.save({"number": 3, "object": random.Random(0), "keys": {"step": 1}}[kind], state)
    else:
        data = {"empty": b"", "text": b"not a training state", "pickle": b"\x80\x04K\x01."}
        state.write_bytes(data.get(kind, state.read_bytes()[:-500]))
    with pytest.raises(WeightsError, match=r"run\.state is not a readable training state"):
        resume(*trained(), KEY, state, CPU)


def test_no_flipped_bit_of_a_state_is_trained_on(state):
    text, chance, refused = state.read_bytes(), random.Random(0), 0
    for _ in range(60):
        at = chance.randrange(8 * len(text))
        flipped = bytearray(text)
        flipped[at // 8] ^= 1 << at % 8
        state.write_bytes(bytes(flipped))
        network, optimizer = trained(seed=9)
        try:
            resume(network, optimizer, KEY, state, CPU)
        except WeightsError:
            refused += 1
        else:
            assert same(network, trained()[0])  # a bit that says nothing, such as of a date
    assert refused > 20


def test_a_state_of_another_network_is_refused(state):
    with pytest.raises(WeightsError, match=r"run\.state"):
        resume(*trained(width=5), KEY, state, CPU)
