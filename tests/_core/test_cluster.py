"""Tasks on a dask cluster: what they see, in which order they come back, and what happens when something breaks."""

import pickle
import sys
import time
from types import SimpleNamespace

import pytest
import torch

import grn
from grn._core import cluster
from grn._core.cluster import check_client, check_workers, each, on_cpu
from grn.errors import ClusterError, GeneNameError, MissingDependencyError, ParameterError, StorageError


def power(_, rest, item):
    return item**rest


def wait_until(condition):
    for _ in range(100):
        if condition():
            return True
        time.sleep(0.05)
    return False


@pytest.mark.parametrize("ordered", [True, False])
def test_results_are_the_same_here_and_on_a_worker(near_client, ordered):
    wanted = [(i, i**2) for i in range(30)]
    assert list(each(power, None, 2, range(30))) == wanted
    found = list(each(lambda *given: power(*given), None, 2, iter(range(30)), client=near_client, ordered=ordered))
    assert (found if ordered else sorted(found)) == wanted
    assert list(each(power, None, 2, [], client=near_client)) == []


@pytest.mark.slow
def test_order_is_kept_over_several_workers(client):
    def sleepy(model, rest, item):
        time.sleep(0.3 * (item % 5 == 0))
        return item

    items = list(range(20))
    assert [found for _, found in each(sleepy, None, None, items, client=client)] == items
    free = [found for _, found in each(sleepy, None, None, items, client=client, ordered=False)]
    assert sorted(free) == items != free


def test_items_are_taken_as_tasks_are_finished(near_client):
    taken = []
    items = (taken.append(i) or i for i in range(1000))
    for number, _ in enumerate(each(power, None, 2, items, client=near_client)):
        assert len(taken) <= number + 8
        if number == 20:
            break
    assert len(taken) < 40


@pytest.mark.parametrize("error", [KeyboardInterrupt, RuntimeError])
def test_an_interruption_cancels_what_is_on_its_way(near_client, error):
    scheduler = near_client.cluster.scheduler
    slow = lambda model, rest, item: time.sleep(0.1)  # noqa: E731
    with pytest.raises(error):
        for _ in each(slow, None, None, range(50), client=near_client):
            raise error
    assert wait_until(lambda: not scheduler.tasks)


def test_an_error_of_a_worker_arrives_as_it_is(near_client):
    def wrong(model, rest, item):
        raise GeneNameError(f"no gene {item}")

    with pytest.raises(GeneNameError, match="no gene"):
        list(each(wrong, None, None, range(3), client=near_client))
    assert wait_until(lambda: not near_client.cluster.scheduler.tasks)


def test_a_worker_uses_as_many_torch_threads_as_it_has():
    from distributed import Client, LocalCluster

    settings = {"n_workers": 1, "threads_per_worker": 3, "processes": False, "dashboard_address": ":0"}
    with LocalCluster(**settings) as cluster, Client(cluster, set_as_default=False) as found:
        threads = list(each(lambda model, rest, item: torch.get_num_threads(), None, None, range(4), client=found))
    assert {n for _, n in threads} == {3}


def test_one_task_at_a_time_in_a_process():
    """Forward mode of torch has one level per process: two threads would spoil each other's tangents."""
    from distributed import Client, LocalCluster

    inside = []

    def alone(model, rest, item):
        inside.append(item)
        time.sleep(0.02)
        return inside.pop() == item and not inside

    settings = {"n_workers": 2, "threads_per_worker": 2, "processes": False, "dashboard_address": ":0"}
    with LocalCluster(**settings) as cluster, Client(cluster, set_as_default=False) as found:
        sys.modules["_grn_inside"] = SimpleNamespace(alone=alone)
        try:
            task = lambda model, rest, item: sys.modules["_grn_inside"].alone(model, rest, item)  # noqa: E731
            assert all(ok for _, ok in each(task, None, None, range(12), client=found))
        finally:
            del sys.modules["_grn_inside"]


def test_what_is_no_client_is_refused(near_client):
    from distributed import Client

    check_client(None)
    check_client(near_client)
    for wrong in ("tcp://10.0.0.1:8786", near_client.cluster, 3):
        with pytest.raises(ParameterError, match=rf"{type(wrong).__name__}; pass a dask.distributed.Client"):
            check_client(wrong)
    other = Client(near_client.cluster.scheduler_address, set_as_default=False)
    other.close()
    with pytest.raises(ParameterError, match="client is closed; connect a new"):
        list(each(power, None, 2, range(3), client=other))


def test_without_dask_the_extra_is_named(monkeypatch):
    monkeypatch.setitem(sys.modules, "distributed", None)
    with pytest.raises(MissingDependencyError, match=r"client=.*pip install 'grn\[dask\]'"):
        check_client(object())


@pytest.mark.parametrize(
    ("found", "told"),
    [
        ({"tcp://a:1": grn.__version__, "tcp://b:2": "0.0.1"}, "tcp://b:2 has grn 0.0.1, here is grn"),
        ({"tcp://a:1": ModuleNotFoundError("No module named 'grn'")}, "tcp://a:1 cannot import grn .*No module"),
    ],
)
def test_workers_with_another_version_are_named(found, told):
    fake = SimpleNamespace(run=lambda *_, **__: dict(found), run_on_scheduler=lambda _: grn.__version__)
    with pytest.raises(ClusterError, match=told):
        check_workers(fake)


def test_a_worker_that_has_left_meanwhile_is_no_matter():
    found = {"tcp://a:1": OSError("Stream is closed"), "tcp://b:2": grn.__version__}
    check_workers(SimpleNamespace(run=lambda *_, **__: found, run_on_scheduler=lambda _: grn.__version__))


def test_a_scheduler_without_the_package_is_named():
    def refuse(_):
        raise ModuleNotFoundError("No module named 'grn'")

    fake = SimpleNamespace(run=lambda *_, **__: {"tcp://a:1": grn.__version__}, run_on_scheduler=refuse)
    with pytest.raises(ClusterError, match="the scheduler cannot import grn"):
        check_workers(fake)


@pytest.mark.slow
def test_real_workers_are_asked_for_their_version(client, monkeypatch):
    check_workers(client)
    monkeypatch.setattr(grn, "__version__", "9.9")
    with pytest.raises(ClusterError, match=r"tcp://.* has grn (?!9.9).*, here is grn 9.9"):
        list(each(power, None, 2, range(3), client=client))


@pytest.mark.slow
def test_what_cannot_be_pickled_is_told(client):
    with pytest.raises(ClusterError, match="cannot be pickled"):
        list(each(power, None, (i for i in range(3)), [1], client=client))


def test_a_worker_lost_while_the_model_travels_changes_nothing(near_client, monkeypatch, caplog):
    send, lost = near_client.scatter, []

    def failing(*args, **kwargs):
        if not lost:
            lost.append(True)
            raise OSError("Stream is closed")
        return send(*args, **kwargs)

    monkeypatch.setattr(near_client, "scatter", failing)
    assert [found for _, found in each(power, None, 2, [1, 2, 3], client=near_client)] == [1, 4, 9]
    assert lost and "sending again" in caplog.text


def test_workers_that_are_always_lost_on_the_way_are_told(near_client, monkeypatch):
    def failing(*args, **kwargs):
        raise OSError("Stream is closed")

    monkeypatch.setattr(near_client, "scatter", failing)
    with pytest.raises(ClusterError, match="lost 3 times while they were sent the model"):
        list(each(power, None, 2, [1], client=near_client))


@pytest.mark.slow
def test_a_task_that_kills_its_workers_is_given_up(client, monkeypatch):
    def die(model, rest, item):
        import os

        os._exit(1)

    monkeypatch.setattr(client.cluster.scheduler, "allowed_failures", 0)
    with pytest.raises(ClusterError, match="lost its worker too often"):
        list(each(die, None, None, [1], client=client))
    client.wait_for_workers(2)
    assert [found for _, found in each(power, None, 2, range(3), client=client)] == [0, 1, 4]


def test_models_travel_on_the_cpu():
    class Elsewhere:
        device = "cuda:0"

        def to(self, device):
            self.device = device
            return self

    model, unknown = Elsewhere(), SimpleNamespace(to=lambda device: f"moved to {device}")
    assert on_cpu(model).device == "cpu" and model.device == "cuda:0"
    assert on_cpu(unknown) == "moved to cpu"
    here = SimpleNamespace(device=torch.device("cpu"))
    assert on_cpu(here) is here and on_cpu(None) is None


def test_an_unpickled_error_keeps_its_message():
    error = pickle.loads(pickle.dumps(ClusterError("all workers were lost")))
    assert isinstance(error, grn.errors.GrnError) and str(error) == "all workers were lost"


def test_a_disk_may_fail_once_and_other_errors_are_final(monkeypatch):
    from distributed.protocol.pickle import dumps

    def fail(model, error, item):
        raise error(f"{item} went wrong")

    worker = SimpleNamespace(state=SimpleNamespace(nthreads=1))
    monkeypatch.setattr("distributed.get_worker", lambda: worker)
    told = cluster._work(cluster._Shared(fail, None, ParameterError, grn.__version__), dumps("it"))
    assert isinstance(told, ParameterError) and str(told) == "it went wrong"
    with pytest.raises(StorageError, match="it went wrong"):  # dask then tries again
        cluster._work(cluster._Shared(fail, None, StorageError, grn.__version__), dumps("it"))
