"""``ray:SPEC``: another generator on several Ray workers, on this machine or on the cluster that Ray is connected to.

``ray:transformers:Qwen/Qwen3-0.6B,workers=4,gpus_per_worker=1``. Answers are kept under the inner generator's identity:
a journal does not care how many machines have filled it.
"""

from __future__ import annotations

import importlib.util
import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from functools import cached_property
from itertools import islice
from typing import Annotated, Any

from pydantic import BeforeValidator, NonNegativeFloat, PositiveInt

from ..errors import GeneratorError, MissingPackageError
from ..prices import Price
from ..records import Prompt
from ..registry import load_plugin, parse_spec
from .base import Answers, Generator, Settings

__all__ = ["PLUGIN", "RayGenerator", "RaySettings"]

RESTARTS = 2


def _json(value: Any) -> Any:
    return json.loads(value) if isinstance(value, str) else value


@dataclass(frozen=True)
class RaySettings(Settings):
    """Options of the workers.

    Attributes:
        workers: processes, each with a model of its own.
        cpus_per_worker: what Ray sets aside for one.
        gpus_per_worker: likewise; may be a fraction.
        chunk: prompts that a worker gets at a time.
        options: options of the inner generator, a dict or JSON.
    """

    workers: PositiveInt = 2
    cpus_per_worker: NonNegativeFloat = 1.0
    gpus_per_worker: NonNegativeFloat = 0.0
    chunk: PositiveInt = 32
    options: Annotated[dict[str, Any], BeforeValidator(_json)] = field(default_factory=dict)


def _made(spec: str, options: Mapping[str, Any]) -> Generator:
    """Make the inner generator."""
    name, argument, _ = parse_spec(spec)
    plugin: type[Generator] = load_plugin("generators", name, GeneratorError)
    return plugin.from_options(argument, options)


class Worker:
    """One process with a model."""

    def __init__(self, spec: str, options: dict[str, Any]) -> None:
        self._generator = _made(spec, options)

    def answer(self, prompts: list[Prompt]) -> list[Any]:
        """Answer some prompts."""
        return [pair for group in self._generator.generate(iter(prompts)) for pair in group]


class RayGenerator(Generator):
    """Shares prompts out among workers; who is done first gets the next ones."""

    key = "ray"
    settings_class = RaySettings
    takes_argument = "another generator, such as transformers:Qwen/Qwen3-0.6B"
    settings: RaySettings

    @cached_property
    def _inner(self) -> Generator:
        inner = _made(self.argument, self.settings.options)
        if inner.price is None or inner.price.output > 0:
            raise GeneratorError(
                f"ray:{self.argument} would share out a paid server's calls, which workers can't keep within a budget. "
                "Use it alone: it has many calls in flight by itself."
            )
        return inner

    @property
    def form(self) -> str:
        """As the inner generator."""
        return self._inner.form

    @property
    def name(self) -> str:
        """As the inner generator."""
        return self._inner.name

    @property
    def context_tokens(self) -> int | None:
        """As the inner generator."""
        return self._inner.context_tokens

    @property
    def parameters(self) -> Mapping[str, Any]:
        """As the inner generator."""
        return self._inner.parameters

    @property
    def price(self) -> Price | None:  # type: ignore[override]
        """As the inner generator."""
        return self._inner.price

    def generate(self, prompts: Iterator[Prompt]) -> Iterator[Answers]:
        """Answer in chunks, one in work and one waiting at each worker.

        Raises:
            GeneratorError: the model can't be loaded, or workers die again and again.
            MissingPackageError: Ray is not installed.
        """
        import ray

        running: dict[Any, Any] = {}
        idle = [worker for worker in self._workers for _ in range(2)]
        while True:
            while idle and (chunk := list(islice(prompts, self.settings.chunk))):
                worker = idle.pop()
                running[worker.answer.remote(chunk)] = worker
            if not running:
                return
            (done, *_), _ = ray.wait(list(running))
            idle.append(running.pop(done))
            try:
                answers = ray.get(done)
            except ray.exceptions.RayTaskError as error:
                raise GeneratorError(f"A worker failed: {error.cause}") from error
            except ray.exceptions.RayActorError as error:
                raise GeneratorError(f"A worker died {RESTARTS + 1} times: {error}") from error
            yield answers

    @cached_property
    def _workers(self) -> list[Any]:
        if importlib.util.find_spec("ray") is None:
            raise MissingPackageError(
                "The generator 'ray' needs Ray. Install it with: pip install \"synimpute-hf[ray]\""
            )
        import ray

        if not ray.is_initialized():
            ray.init(log_to_driver=False, configure_logging=False)
        have = ray.cluster_resources()
        for kind, each in (("CPU", self.settings.cpus_per_worker), ("GPU", self.settings.gpus_per_worker)):
            if self.settings.workers * each > have.get(kind, 0):
                raise GeneratorError(
                    f"{self.settings.workers} workers with {each:g} {kind}s each need more than Ray has: "
                    f"{have.get(kind, 0):g}. Ask for fewer with workers=…, or connect to a larger cluster "
                    "with RAY_ADDRESS."
                )
        options = {
            "num_cpus": self.settings.cpus_per_worker,
            "num_gpus": self.settings.gpus_per_worker,
            "max_restarts": RESTARTS,
            "max_task_retries": RESTARTS,
        }
        worker = ray.remote(**options)(Worker)
        return [worker.remote(self.argument, self.settings.options) for _ in range(self.settings.workers)]

    def close(self) -> None:
        """End the workers."""
        for worker in self.__dict__.pop("_workers", []):
            import ray

            ray.kill(worker)


PLUGIN = RayGenerator
