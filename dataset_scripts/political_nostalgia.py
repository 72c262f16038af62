"""Political nostalgia: 1,200 sentences of European party manifestos that four coders read.

The data are Müller and Proksch's; download them yourself, then run
``python -m synimpute_hf.dataset_scripts.political_nostalgia --data-dir nostalgia_data.csv --output DIR``.
"""

from __future__ import annotations

import re
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any

import datasets
import typer

from synimpute_hf.errors import ColumnError, DataError, nearest

from . import base
from .spreadsheets import Sheet, each_row, read_sheets, sheet_files, typed

__all__ = ["NAMES", "PoliticalNostalgia", "PoliticalNostalgiaConfig"]

NAMES = ["not nostalgic", "nostalgic"]
ENOUGH = (1, 2, 3, 4)
VERSION = "1.0.0"
HOMEPAGE = (
    "https://www.cambridge.org/core/journals/british-journal-of-political-science/article/"
    "nostalgia-in-european-party-politics-a-textbased-measurement-approach/41C48D60B039F3081EB522FB76646E96"
)
CITATION = """\
@article{muller2024nostalgia,
  author = {Müller, Stefan and Proksch, Sven-Oliver},
  title = {Nostalgia in European Party Politics: A Text-Based Measurement Approach},
  journal = {British Journal of Political Science},
  year = {2024},
  note = {Published online 13 November 2023}
}"""


@dataclass
class PoliticalNostalgiaConfig(base.FilesConfig):
    """How many of the four coders must have called a sentence nostalgic, and the licence, where a user knows it."""

    enough: int = 3
    license: str = base.UNKNOWN

    @property
    def label(self) -> str:
        """The column that holds the label."""
        return f"nostalgic_at_least_{self.enough}"

    def files(self) -> list[Path]:
        """Return the spreadsheets among which the data should be."""
        return sheet_files(self.data_dir)


class PoliticalNostalgia(base.LocalBuilder):
    """Builds the dataset from the authors' file; its other columns are kept, and the election's year is added."""

    BUILDER_CONFIG_CLASS = PoliticalNostalgiaConfig
    BUILDER_CONFIGS = [  # noqa: RUF012  (the library's own form)
        PoliticalNostalgiaConfig(name=f"at_least_{enough}", version=datasets.Version(VERSION), enough=enough)
        for enough in ENOUGH
    ]
    DEFAULT_CONFIG_NAME = "at_least_3"
    sheet: Sheet
    columns: dict[str, list[Any]]

    def _info(self) -> datasets.DatasetInfo:
        self.sheet = _find(self.config)
        self.columns = _columns(self.sheet, self.config.label)
        kinds = {int: "int64", float: "float64"}
        features = {}
        for name, values in self.columns.items():
            kind = next((type(value) for value in values if value is not None), str)
            features[name] = datasets.Value("string" if name in ("id", "text") else kinds.get(kind, "string"))
        features["label"] = datasets.ClassLabel(names=NAMES)
        return datasets.DatasetInfo(
            description=f"{len(self.columns['text']):,} sentences from European party manifestos, machine-translated "
            "into English, each read by four coders. A sentence is `nostalgic` if at least "
            f"{self.config.enough} of the four called it so.",
            features=datasets.Features(features),
            homepage=HOMEPAGE,
            license=self.config.license,
            citation=CITATION,
        )

    def card(self) -> base.Card:
        """Return what the card says beside the ``DatasetInfo``."""
        stated = f"Licence, as whoever built this dataset stated it: {self.config.license}."
        return base.Card(
            title=f"Political nostalgia (at least {self.config.enough} of 4 coders)",
            language=("en",),
            source="Hand-coded by Müller and Proksch; the sentences come from the Manifesto Project's corpus, whose "
            "terms of use (<https://manifesto-project.wzb.eu>) apply to them.",
            rights="The published replication files state no licence: use them for research, and don't pass them on."
            if self.config.license == base.UNKNOWN
            else stated,
        )

    def notes(self) -> list[str]:
        """Return what was noticed in the file."""
        lost = len(self.sheet.rows) - len(self.columns["text"])
        return [*self.sheet.notes, *([f"{lost} rows without a sentence were left out."] if lost else [])]

    def _split_generators(self, dl_manager: Any) -> list[datasets.SplitGenerator]:
        return [datasets.SplitGenerator(datasets.Split.TRAIN)]

    def _generate_examples(self) -> Iterator[tuple[int, dict[str, Any]]]:
        for place, values in enumerate(zip(*self.columns.values(), strict=True)):
            yield place, dict(zip(self.columns, values, strict=True))


def _find(config: PoliticalNostalgiaConfig) -> Sheet:
    """Return the one table with the columns of the authors' file.

    Raises:
        ColumnError: no table has them.
        DataError: several have them.
    """
    sheets = [sheet for path in config.files() for sheet in read_sheets(path)]
    wanted = ("text", config.label)
    found = [sheet for sheet in sheets if all(name in sheet.columns for name in wanted)]
    if len(found) == 1:
        return found[0]
    if found:
        raise DataError(
            f"Several files look like the coded sentences: {', '.join(sheet.source for sheet in found)}. Name one: "
            "--data-dir FILE."
        )
    seen = "; ".join(f"{sheet.source} has {', '.join(sheet.columns[:12])}" for sheet in sheets)
    hint = "".join(nearest(name, sheet.columns) for sheet in sheets for name in wanted if name not in sheet.columns)
    raise ColumnError(
        f"Expected the coded sentences of Müller and Proksch, with the columns {' and '.join(map(repr, wanted))} "
        f"(nostalgia_data.csv). Found: {seen}.{hint} For other coded texts there is "
        "`python -m synimpute_hf.dataset_scripts.hand_coded`."
    )


def _columns(sheet: Sheet, label: str) -> dict[str, list[Any]]:
    """Return the dataset's columns: id, text, label, year, and the file's others as they are (``NA`` becomes null)."""
    rows = [(number, row) for _, number, row in each_row([sheet]) if row["text"] is not None]
    for number, row in rows:
        if row[label] not in ("0", "1"):
            raise DataError(
                f"{sheet.source}, row {number}: expected 0 or 1 in column {label!r}, got {row[label]!r}. Download the "
                "file anew."
            )
    columns: dict[str, list[Any]] = {
        "id": [row.get("doc_id") or f"{sheet.source}:{number}" for number, row in rows],
        "text": [row["text"] for _, row in rows],
        "label": [int(row[label] or 0) for _, row in rows],
    }
    if "manifesto_id" in sheet.columns:  # party and election day: 14810 2007-03-18
        days = [re.search(r" (\d{4})-\d\d-\d\d", row["manifesto_id"] or "") for _, row in rows]
        columns["year"] = [int(day[1]) if day else None for day in days]
    for name in sheet.columns:
        if name not in ("doc_id", *columns):
            columns[name] = typed([None if row[name] == "NA" else row[name] for _, row in rows])
    return columns


def _main(
    data_dir: base.DataDir,
    output: base.Output = None,
    push_to_hub: base.PushToHub = None,
    public: base.Public = False,
    enough: Annotated[
        int, typer.Option(min=1, max=4, help="Coders of the four who must have called a sentence nostalgic.")
    ] = 3,
    license: base.License = base.UNKNOWN,
) -> None:
    """Turn the coded manifesto sentences of Müller and Proksch (2024) into a dataset."""
    with tempfile.TemporaryDirectory() as cache:
        builder = PoliticalNostalgia(
            cache_dir=cache, config_name=f"at_least_{enough}", data_dir=str(data_dir), license=license
        )
        base.deliver(builder, output, push_to_hub, public)


if __name__ == "__main__":
    base.run(_main)
