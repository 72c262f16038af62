"""Where fits run: processes on this machine, or a cluster that joblib reaches."""

from __future__ import annotations

import importlib.util
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

from .errors import MissingPackageError, PlanError, nearest

__all__ = ["ENGINES", "engine"]


@contextmanager
def _loky(jobs: int) -> Iterator[None]:
    import joblib

    with joblib.parallel_config(backend="loky", n_jobs=jobs):
        yield


@contextmanager
def _ray(jobs: int) -> Iterator[None]:
    """Fits on a Ray cluster: the one of ``RAY_ADDRESS``, or one on this machine; a GPU a fit where it has some."""
    _need("ray", 'pip install "synimpute-hf[ray]"')
    import joblib
    import ray
    from ray.util.joblib import register_ray

    ours = not ray.is_initialized()
    if ours:
        ray.init(logging_level="ERROR", log_to_driver=False)
    register_ray()
    gpus = {"ray_remote_args": {"num_gpus": 1}} if ray.cluster_resources().get("GPU") else {}
    try:
        with joblib.parallel_config(backend="ray", n_jobs=jobs, **gpus):
            yield
    finally:
        if ours:
            ray.shutdown()


@contextmanager
def _dask(jobs: int) -> Iterator[None]:
    """Fits on a Dask cluster: the one of ``DASK_SCHEDULER_ADDRESS``, or one on this machine, a thread a worker."""
    _need("distributed", 'pip install "dask[distributed]"')
    import dask
    import joblib
    from distributed import Client, LocalCluster

    cluster = None
    if not dask.config.get("scheduler-address", None):
        workers = joblib.cpu_count() if jobs < 1 else jobs
        cluster = LocalCluster(n_workers=workers, threads_per_worker=1, dashboard_address=None)
    try:
        with Client(cluster) as client, joblib.parallel_config(backend="dask", n_jobs=jobs):
            client.wait_for_workers(1)
            yield
    finally:
        if cluster is not None:
            cluster.close()


def _need(package: str, install: str) -> None:
    if importlib.util.find_spec(package) is None:
        raise MissingPackageError(f"This backend needs {package}. Install it with: {install}")


ENGINES: dict[str, Callable[[int], Any]] = {"loky": _loky, "ray": _ray, "dask": _dask}


def engine(name: str, jobs: int | None = None) -> Any:
    """Return a context in which fits run on an engine.

    Args:
        name: ``loky`` (processes on this machine), ``ray`` or ``dask``.
        jobs: fits at a time; None takes all that the engine has.

    Raises:
        PlanError: there is no such engine.
        MissingPackageError: it is not installed.
    """
    if name not in ENGINES:
        raise PlanError(f"There is no backend {name!r}. There are: {', '.join(ENGINES)}.{nearest(name, ENGINES)}")
    return ENGINES[name](jobs or -1)
