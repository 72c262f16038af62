"""``finegrained``: the threshold experiment among fine classes that are easily confused."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from ..corpus import read_corpus
from ..encoder import Encoder
from ..errors import PlanError
from ..facts import number, words
from ..sheets import Sheet
from .base import Bench, Run, Written
from .threshold import ThresholdExperiment, ThresholdSettings

__all__ = ["PLUGIN", "FinegrainedExperiment", "FinegrainedSettings"]


@dataclass(frozen=True)
class FinegrainedSettings(ThresholdSettings):
    """Options of ``finegrained``, besides those of ``threshold``.

    Attributes:
        neighbours: how many other classes stay: those nearest to the category.
        encoder: Hub id or path of an encoder; empty for the embedded one.
    """

    neighbours: int = 5
    encoder: str = ""


class FinegrainedExperiment(ThresholdExperiment):
    """Keeps the category and the classes nearest to it, and runs the threshold experiment."""

    key = "finegrained"
    question = "Do synthetic texts help among fine classes that are easily confused?"
    settings_class = FinegrainedSettings
    settings: FinegrainedSettings

    def prepare(self, bench: Bench) -> Bench:
        """Keep the category and its neighbours, by the cosine of the classes' mean vectors.

        Raises:
            PlanError: there are fewer classes than neighbours.
        """
        columns = {name: bench.settings.get(name) for name in ("text", "label", "id")}
        corpus = read_corpus(bench.dataset, **columns, missing_label=bench.settings.get("missing_label", -1))
        wanted = self.settings.neighbours
        if not 0 < wanted < len(corpus.names):
            raise PlanError(
                f"neighbours={wanted}: expected a number from 1 to {len(corpus.names) - 1}, the data have "
                f"{len(corpus.names)} classes."
            )
        bench.tell(f"looking for the {wanted} classes nearest to {bench.category!r}")
        vectors = Encoder(self.settings.encoder, cache=bench.output / "vectors.sqlite").encode(corpus.texts)
        means = np.stack([vectors[corpus.labels == code].mean(axis=0) for code in range(len(corpus.names))])
        means /= np.linalg.norm(means, axis=1, keepdims=True)
        place = corpus.names.index(bench.category)
        cosines = means @ means[place]
        order = [int(code) for code in np.argsort(-cosines, kind="stable") if code != place][:wanted]
        self._near = {corpus.names[code]: float(cosines[code]) for code in order}
        kept = {place, *order}
        rows = corpus.rows[[k for k, label in enumerate(corpus.labels) if label in kept]]
        counts = {name: bench.counts[name] for name in (bench.category, *self._near)}
        return replace(bench, dataset=bench.dataset.select(sorted(rows.tolist())), counts=counts)

    def analyse(self, bench: Bench, done: Sequence[Run | Written]) -> dict[str, Any]:
        """Add the neighbours, and what the category is taken for."""
        first = next(run for run in done if isinstance(run, Run))
        names = [entry["name"] for entry in first.facts["classes"]]
        place = names.index(bench.category)
        taken = {}
        for arm in ("original", "imputed", "ceiling"):
            cell = next(
                e["matrix"] for e in first.facts["confusion"] if (e["protocol"], e["arm"]) == ("seed_aware", arm)
            )
            row = np.array(cell[place], dtype=float)
            taken[arm] = dict(zip(names, (row / row.sum()).tolist(), strict=True))
        return {
            **super().analyse(bench, done),
            "neighbours": self._near,
            "taken_for": taken,
            "fewest": first.trial.keep,
        }

    @classmethod
    def sheets(cls, result: Mapping[str, Any]) -> list[Sheet]:
        """Return the tables of ``threshold``, and what the category is taken for."""
        rows = []
        for name in (result["category"], *result["neighbours"]):
            cosine = number(result["neighbours"].get(name), 2)
            shares = [number(100 * result["taken_for"][arm][name], 1) for arm in ("original", "imputed", "ceiling")]
            rows.append((words(name), cosine, *shares))
        caption = (
            f"The classes nearest to {words(result['category'])}, by the cosine of mean vectors, and what its tested "
            f"texts are taken for with {result['fewest']} originals, per cent."
        )
        columns = ("class", "cosine", "original, %", "imputed, %", "ceiling, %")
        return [*super().sheets(result), Sheet("taken", "What it is taken for", caption, columns, "lrrrr", tuple(rows))]


PLUGIN = FinegrainedExperiment
