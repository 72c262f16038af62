"""What a result's facts say, computed anew from its rows: originals, plan, draws, prompts, keys, digests."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from .columns import Originals, read_originals
from .drawing import DrawSettings, draw
from .generation import make_panel
from .mapping import PROVENANCE
from .planning import plan_classes
from .prompts import Renderer, load_prompt
from .records import JUDGES, ClassPlan, Prompt, SyntheticRow
from .seeding import canonical_json, digest
from .validators import Panel, Validator, make_validator

__all__ = ["EXAMPLES", "Recipe", "choose_examples", "originals_of", "rows_digest", "synthetic_of"]

EXAMPLES = 5


def rows_digest(rows: Any, text: str, label: str) -> str:
    """Return a digest of a split's rows in their order: text, label and provenance.

    Args:
        rows: a Dataset with the provenance columns.
        text: the text column.
        label: the label column.
    """
    sha = hashlib.sha256()
    names = [text, label, *PROVENANCE]
    for table in rows.select_columns(names).with_format("arrow").iter(batch_size=10_000):
        columns = [table.column(name).to_pylist() for name in names]
        for row in zip(*columns, strict=True):
            sha.update(canonical_json(row).encode("ascii") + b"\n")
    return sha.hexdigest()


def originals_of(rows: Any) -> Any:
    """Return the originals of an imputed split as they were: without synthetic rows and provenance columns."""
    flags = rows.with_format("arrow")["is_synthetic"]
    kept = [position for position, flag in enumerate(flags.to_pylist()) if not flag]
    return rows.select(kept).remove_columns([name for name in (*PROVENANCE, JUDGES) if name in rows.column_names])


def synthetic_of(rows: Any, text: str, label: str) -> Any:
    """Return the synthetic rows of an imputed split, without the user's other columns, which are empty in them.

    Args:
        rows: a Dataset with the provenance columns.
        text: the text column.
        label: the label column.
    """
    flags = rows.with_format("arrow")["is_synthetic"].to_pylist()
    ours = [name for name in rows.column_names if name in (text, label, *PROVENANCE, JUDGES)]
    return rows.select([place for place, flag in enumerate(flags) if flag]).select_columns(ours)


def choose_examples(rows: Iterable[SyntheticRow], names: Mapping[Any, str]) -> list[dict[str, str]]:
    """Return the first synthetic texts, taking turns among the classes, for a card.

    Args:
        rows: accepted rows.
        names: class names by label.
    """
    ordered = sorted(rows, key=lambda row: (row.draw, names[row.label]))
    return [{"class": names[row.label], "row_id": row.row_id, "text": row.text} for row in ordered[:EXAMPLES]]


@dataclass(frozen=True)
class Recipe:
    """How a result was made, read from its facts and applied to originals.

    Attributes:
        originals: read from the rows.
        classes: the plan, made anew.
        settings: how originals are drawn.
        renderer: makes prompts as the recorded generator got them.
        max_attempts: how often one text may be drawn.
        validators: what judged the texts.
        min_acceptance: share of its answers under which a class was given up.
    """

    originals: Originals
    classes: tuple[ClassPlan, ...]
    settings: DrawSettings
    renderer: Renderer
    max_attempts: int
    validators: tuple[Validator, ...]
    min_acceptance: float

    @classmethod
    def of(cls, facts: Mapping[str, Any], rows: Any, others: Mapping[str, Any]) -> Recipe:
        """Read the facts of a result.

        Args:
            facts: the content of ``synimpute.json``.
            rows: the originals of the imputed split.
            others: the other splits.

        Raises:
            SynimputeError: the facts do not fit these rows.
        """
        said, generator = facts["plan"]["settings"], facts["generator"]
        validators = tuple(make_validator(entry["name"], **entry["options"]) for entry in said["validators"])
        originals = read_originals(
            rows,
            text=said["text"],
            label=said["label"],
            id=said["id"],
            others=others,
            missing_label=said["missing_label"],
            shingles=any(validator.needs_shingles for validator in validators),
        )
        renderer = Renderer(
            load_prompt(facts["prompt"]),
            generator["form"],
            digest(generator),
            generator["context_tokens"],
            dict(said["category_descriptions"]),
            said["language"],
        )
        return cls(
            originals,
            plan_classes(originals.counts, None, dict(said["targets"]), said["n_examples"], said["contrast"]),
            DrawSettings(said["n_examples"], said["replacement"], said["seed"]),
            renderer,
            said["max_attempts"],
            validators,
            said["min_acceptance"],
        )

    def panel(self) -> Panel | None:
        """Return the validators, ready to judge.

        Raises:
            MissingPackageError: one of them needs a package that is not installed.
        """
        said = self.renderer
        return make_panel(self.validators, self.originals, said.descriptions, said.language)

    def prompts(self, name: str, number: int) -> Iterator[Prompt]:
        """Yield the prompts of one missing text, attempt by attempt."""
        for attempt in range(self.max_attempts):
            yield self.renderer.render(draw(self.originals.pools[name], number, attempt, self.settings))
