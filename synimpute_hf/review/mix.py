"""Which texts a review shows: half originals, half synthetic, and some that belong to another class.

Two fifths of the texts are originals of the imputed classes, two fifths synthetic texts of the same classes, as many of
either in each class. One fifth are distractors: texts of other classes, so that "it belongs to the class" is not always
right; they are synthetic and original in turn where other classes have synthetic texts, and originals where none has.
A guess that such a text is an original's would then be a safe one, and so distractors never count for how often texts
are told apart. Where there is no other class, there are no distractors.

Texts are drawn by a digest of the seed and their row's id: the same rows, number and seed give the same sheet, whatever
the order of the rows. No two texts of a sheet are equal but for case and blanks.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ..columns import is_blank, plain_label
from ..errors import DataError, PlanError
from ..seeding import digest, normalise
from .base import Item, Mix

__all__ = ["draw_mix", "item_ids", "letters", "shown_text"]

LEAST = 4
# No vowel, so that no word comes out, and no digit, so that no spreadsheet takes an id for a number or a date.
LETTERS = "bcdfghjkmnpqrstvwxz"
INVISIBLE = dict.fromkeys(map(ord, "\u200b\u2060\ufeff\u00ad"))


@dataclass(frozen=True)
class _Row:
    name: str
    synthetic: bool
    row_id: str
    text: str


def shown_text(text: str) -> str:
    """Return a text as a review shows it, so that blanks, line ends and invisible signs don't tell who wrote it."""
    text = unicodedata.normalize("NFC", text.encode("utf-16", "surrogatepass").decode("utf-16", "replace"))
    text = re.sub("\r\n|[\r\x0b\x0c\x85\u2028\u2029]", "\n", text).translate(INVISIBLE)
    text = "".join(letter for letter in text if letter in "\n\t" or unicodedata.category(letter) != "Cc")
    lines = (re.sub(r"[^\S\n]+", " ", line).strip() for line in text.split("\n"))
    return re.sub(r"\n{3,}", "\n\n", "\n".join(lines)).strip()


def draw_mix(folder: Path, facts: Mapping[str, Any], n: int = 40, seed: int = 0) -> Mix:
    """Draw the texts of a review.

    Args:
        folder: the result.
        facts: the content of its ``synimpute.json``.
        n: texts of the sheet, 4 or more.
        seed: of the draw.

    Returns:
        The sheet; smaller than asked for, with a note, where the classes have too few texts.

    Raises:
        DataError: no class has both originals and synthetic texts, or the data files are gone.
        PlanError: ``n`` is too small.
    """
    if n < LEAST:
        raise PlanError(f"--n is {n}: expected {LEAST} texts or more.")
    rows = facts["splits"][facts["split"]]["digest"]
    pools = _Pools(_read_rows(folder, facts), seed)
    if not pools.classes:
        raise DataError(
            f"{folder} has no class with both originals and synthetic texts in its split {facts['split']!r}: there is "
            "nothing to review. Run `synimpute impute` first."
        )
    sheet = letters(digest("review", rows, n, seed), 8)
    wanted = max(1, 2 * n // 5) if pools.others else n // 2
    chosen = [*pools.pairs(wanted), *pools.distractors(n - 2 * wanted)]
    chosen.sort(key=lambda pair: digest("order", sheet, pair[0], pair[1].row_id))
    ids = item_ids(sheet, len(chosen))
    items = tuple(
        Item(id, asked, row.name, row.synthetic, row.row_id, row.text)
        for id, (asked, row) in zip(ids, chosen, strict=True)
    )
    definitions = facts["plan"]["settings"]["category_descriptions"]
    asked = {item.asked for item in items}
    missing = [name for name in pools.classes if name not in asked]
    notes = [f"The sheet has {len(items)} texts, not {n}: there are no more."] if len(items) < n else []
    if missing:
        notes.append(f"{len(missing)} imputed classes have no text in it ({', '.join(missing[:5])}): raise --n.")
    known = {name: shown_text(text) for name, text in definitions.items() if name in asked}
    return Mix(sheet, rows, str(facts["source"]), n, seed, items, known, tuple(notes))


class _Pools:
    """Rows by class and kind, in the order of the draw; a text is taken once."""

    def __init__(self, rows: Iterable[_Row], seed: int) -> None:
        self.seed = seed
        self._pools: dict[tuple[str, bool], list[_Row]] = {}
        self._seen: set[str] = set()
        for row in sorted(rows, key=lambda row: digest("text", seed, row.name, row.row_id)):
            self._pools.setdefault((row.name, row.synthetic), []).append(row)
        names = {name for name, synthetic in self._pools if synthetic and (name, False) in self._pools}
        self.classes = sorted(names, key=lambda name: digest("class", seed, name))
        self.others = len({name for name, _ in self._pools}) > 1

    def _take(self, names: Iterable[str], synthetic: bool) -> _Row | None:
        """Take the next text of some classes, in the order of the draw."""
        heads = []
        for name in names:
            pool = self._pools.get((name, synthetic), [])
            while pool and normalise(pool[0].text) in self._seen:
                pool.pop(0)
            heads += pool[:1]
        if not heads:
            return None
        row = min(heads, key=lambda row: digest("text", self.seed, row.name, row.row_id))
        self._seen.add(normalise(row.text))
        return self._pools[row.name, synthetic].pop(0)

    def pairs(self, wanted: int) -> Iterator[tuple[str, _Row]]:
        """Yield originals and synthetic texts, one of each a turn, the classes in turn."""
        turn, left = 0, list(self.classes)
        while turn < wanted and left:
            name = left.pop(0)
            original = self._take([name], False)
            synthetic = self._take([name], True) if original else None
            if original and synthetic:
                yield name, original
                yield name, synthetic
                turn += 1
                left.append(name)

    def distractors(self, wanted: int) -> Iterator[tuple[str, _Row]]:
        """Yield texts under a class that they do not have, synthetic and original in turn."""
        names = sorted({name for name, _ in self._pools})
        for turn in range(wanted):
            asked = self.classes[turn // 2 % len(self.classes)]
            others = [name for name in names if name != asked]
            row = self._take(others, turn % 2 == 0) or self._take(others, turn % 2 == 1)
            if row is not None:
                yield asked, row


def _read_rows(folder: Path, facts: Mapping[str, Any]) -> Iterator[_Row]:
    """Yield the labelled rows of the imputed split that have a text."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    said, split = facts["plan"]["settings"], facts["splits"][facts["split"]]
    names = {entry["label"]: entry["name"] for entry in facts["plan"]["classes"]}
    columns = [said["text"], said["label"], "is_synthetic", "row_id"]
    for file in split["files"]:
        try:
            table = pq.read_table(folder / file["file"], columns=columns)
        except (OSError, pa.ArrowException) as error:
            raise DataError(
                f"{folder / file['file']} cannot be read ({error}): the folder is not whole. Run the same `synimpute "
                "impute` command again; nothing is asked twice."
            ) from error
        for text, label, synthetic, row_id in zip(*(table[name].to_pylist() for name in columns), strict=True):
            label = plain_label(label)
            if label in names and not is_blank(text) and (shown := shown_text(str(text))):
                yield _Row(names[label], synthetic, row_id, shown)


def letters(hexadecimal: str, count: int) -> str:
    """Return so many letters that depend on a digest, for the id of a sheet or an item."""
    number, found = int(hexadecimal, 16), ""
    for _ in range(count):
        number, rest = divmod(number, len(LETTERS))
        found += LETTERS[rest]
    return found


def item_ids(sheet: str, count: int) -> list[str]:
    """Return ids that depend on the sheet and the place in it, and on no text."""
    found: dict[str, None] = {}
    turn = 0
    while len(found) < count:
        found[letters(digest("item", sheet, turn), 6)] = None
        turn += 1
    return list(found)
