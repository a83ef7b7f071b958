"""Dask: processes of this machine, or a cluster that is there already. Needs the extra `sweep`."""

import pickle
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any

import dask
from distributed import Client, KilledWorker, LocalCluster, WorkerPlugin, as_completed

from cimc import __version__
from cimc.backends.noise.sources import Noise
from cimc.diagnostics import fail
from cimc.driving.scoring import Scoring, cores
from cimc.sweep.grid import Trial
from cimc.sweep.work import scored

LIVES = 5
"""How often a trial is given to another worker after it lost one."""

Scorings = Mapping[bytes, Scoring]

_held: dict[str, Scorings] = {}
"""What this worker scores, by sweep: handed over once, when it joins."""


class _Handover(WorkerPlugin):
    """A worker plugin: brings programs and data to every worker, also to those that join later."""

    idempotent = False

    def __init__(self, name: str, scorings: Scorings) -> None:
        self.name = name
        self._pickled = pickle.dumps(dict(scorings))

    def setup(self, worker: Any) -> None:
        _held[self.name] = pickle.loads(self._pickled)

    def teardown(self, worker: Any) -> None:
        _held.pop(self.name, None)


def _work(sweep: str, scoring: bytes, trial: Trial, noise: Noise | None) -> list[float]:
    return scored(_held[sweep][scoring], trial, noise)


def _version() -> str:
    return __version__


@contextmanager
def cluster(scheduler: str | None, workers: int | None) -> Iterator[Any]:
    """Open a client of the scheduler at an address, or of as many processes as this machine has processors."""
    if scheduler:
        with _connected(scheduler) as client:
            yield client
        return
    quiet = {"distributed.worker.memory.terminate": False, "distributed.admin.tick.limit": "1h"}
    with dask.config.set(quiet):
        local = LocalCluster(
            n_workers=workers or cores(),
            threads_per_worker=1,
            memory_limit=0,
            dashboard_address=None,
            silence_logs="CRITICAL",
        )
        with local, Client(local) as client:
            yield client


@contextmanager
def _connected(scheduler: str) -> Iterator[Any]:
    try:
        client = Client(scheduler, timeout="20s")
    except (OSError, ValueError, TimeoutError) as error:
        hint = "start one with `dask scheduler` and workers with `dask worker ADDRESS`"
        raise fail("CIM0003", f"--scheduler: no scheduler answers at {scheduler}: {error}", hint=hint) from None
    with client:
        _require_workers(client)
        yield client


def _require_workers(client: Any) -> None:
    """Refuse a cluster without workers, or with workers of another version."""
    try:
        versions = client.run(_version, on_error="return")
    except Exception as error:  # whatever the cluster raises
        raise fail("CIM0003", f"--scheduler: the workers do not answer: {error}") from None
    if not versions:
        hint = "start workers with `dask worker ADDRESS`"
        raise fail("CIM0003", "--scheduler: the cluster has no workers", hint=hint)
    for address, found in versions.items():
        if found != __version__:
            hint = "install the same version everywhere"
            raise fail("CIM0003", f"worker {address} answers {found!r}, this is cimc {__version__}", hint=hint)


def run(
    client: Any,
    name: str,
    scorings: Scorings,
    tasks: Sequence[tuple[bytes, Trial, Noise | None]],
    finished: Callable[[int, list[float]], None],
) -> None:
    """Score every task and hand each result over, with the task's number, in whatever order they come.

    A worker that dies costs its tasks one of LIVES. Raises CimcError of the first task that fails.
    """
    plugin = f"cimc-{name}"
    client.register_plugin(_Handover(plugin, scorings))
    lives = dict.fromkeys(range(len(tasks)), LIVES)

    def submit(index: int) -> Any:
        key = f"cimc-{name}-{index}-{lives[index]}"
        future = client.submit(_work, plugin, *tasks[index], key=key, pure=False)
        waiting[future.key] = index
        return future

    waiting: dict[Any, int] = {}
    pool = as_completed([submit(index) for index in lives])
    try:
        for future in pool:
            index = waiting.pop(future.key)
            try:
                finished(index, future.result())
            except KilledWorker as error:
                pool.add(_again(submit, lives, index, tasks[index][1], error))
    finally:
        client.unregister_worker_plugin(plugin)


def _again(submit: Callable[[int], Any], lives: dict[int, int], index: int, trial: Trial, error: Exception) -> Any:
    lives[index] -= 1
    if lives[index] == 0:
        hint = "a worker may be short of memory; what is finished is kept, repeat the sweep to go on"
        raise fail("CIM0207", f"{trial}: {LIVES} workers died with it ({type(error).__name__})", hint=hint)
    return submit(index)
