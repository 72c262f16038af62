"""Which originals a prompt shows: a pure function of the class's originals, the settings, number and attempt."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import islice

import numpy as np

from .columns import Pool
from .errors import PlanError, nearest
from .records import ClassPlan, Draw
from .seeding import derive_seed, digest, random_words

__all__ = ["REPLACEMENTS", "DrawSettings", "draw", "plan_digest"]

REPLACEMENTS = ("across", "within", "fixed")


@dataclass(frozen=True)
class DrawSettings:
    """How originals are drawn.

    Attributes:
        n_examples: originals shown in one prompt, 1 or more (the paper's five).
        replacement: ``across``: no original twice in one prompt, all of them again for the next (the paper's code);
            ``within``: the same original may stand twice in one prompt (the paper's words); ``fixed``: one set for
            the whole class (for the ablation).
        seed: the user's seed.
    """

    n_examples: int = 5
    replacement: str = "across"
    seed: int = 0

    def __post_init__(self) -> None:
        if self.replacement not in REPLACEMENTS:
            raise PlanError(
                f"Unknown replacement {self.replacement!r}. Expected one of "
                f"{', '.join(map(repr, REPLACEMENTS))}.{nearest(self.replacement, REPLACEMENTS)}"
            )
        if self.n_examples < 1:
            raise PlanError(f"n_examples={self.n_examples}: a prompt must show at least one original.")


def draw(pool: Pool, number: int, attempt: int, settings: DrawSettings) -> Draw:
    """Return the draw of one missing text.

    The draw depends on the originals of its own class, not on the rest of the dataset: a row more
    in another class leaves every paid answer of this one valid.

    Args:
        pool: the class's originals.
        number: which missing text, from 0.
        attempt: 0 for the first try.
        settings: how to draw.

    Raises:
        PlanError: no original of the class can be an anchor.
    """
    if not pool.anchorable.any():
        raise PlanError(
            f"Every text of class {pool.name!r} stands more than once, so that no row can be told from its twin. "
            "Remove the duplicates, or name a column with unique row ids (id='…', --id)."
        )
    base = (pool.digest, settings.n_examples, settings.replacement, settings.seed, pool.name)
    seed = derive_seed("draw", *base, number, attempt)
    words = random_words(seed)
    shown_by = random_words(derive_seed("fixed", *base)) if settings.replacement == "fixed" else words
    size = len(pool.ids)
    if settings.replacement == "within":
        positions = [word % size for word in islice(words, settings.n_examples)]
    else:
        positions = list(_without_replacement(shown_by, size, min(settings.n_examples, size)))
    candidates = [p for p in dict.fromkeys(positions) if pool.anchorable[p]]
    if candidates:
        anchor = candidates[next(words) % len(candidates)]
    else:
        # Rare: all five are twins. One of them makes room for an original that can be told from others.
        choices = np.flatnonzero(pool.anchorable)
        anchor = int(choices[next(words) % len(choices)])
        positions[-1] = anchor
    return Draw(
        name=pool.name,
        label=pool.label,
        number=number,
        attempt=attempt,
        seed=seed,
        anchor=pool.ids[anchor].as_py(),
        source_ids=tuple(pool.ids[p].as_py() for p in positions),
        texts=tuple(pool.texts[p].as_py().decode("utf-8", "surrogatepass") for p in positions),
    )


def plan_digest(pools: Mapping[str, Pool], classes: Sequence[ClassPlan], settings: DrawSettings) -> str:
    """Return a digest of the originals that a plan may show and of all that shapes its draws.

    Args:
        pools: originals by class.
        classes: the plan's classes.
        settings: how originals are drawn.
    """
    return digest(
        "plan",
        {entry.name: pools[entry.name].digest for entry in classes if entry.to_write},
        settings.n_examples,
        settings.replacement,
        settings.seed,
        {entry.name: entry.target for entry in classes},
    )


def _without_replacement(words: Iterator[int], size: int, count: int) -> Iterator[int]:
    """Yield ``count`` different positions below ``size``, by a sparse Fisher-Yates shuffle."""
    moved: dict[int, int] = {}
    for step in range(count):
        other = step + next(words) % (size - step)
        yield moved.get(other, other)
        moved[other] = moved.get(step, step)
