"""The demo corpus: 401 messages to the service line of an invented city, in five classes, two of them rare.

Run it with ``python -m synimpute_hf.dataset_scripts.city_service_line --output DIR``.
"""

from __future__ import annotations

import csv
import io
import tempfile
from collections.abc import Iterator
from importlib import resources
from pathlib import Path
from typing import Any

import datasets

from . import base

__all__ = ["CLASSES", "CityServiceLine", "write_folder"]

CLASSES = {
    "accessibility": "something keeps people with disabilities, older people or prams from using a place",
    "lighting": "street lamps and other public lights: broken, too bright, missing, or thanks for a repair",
    "noise": "noise from people, animals, traffic, building or events",
    "roads": "the state, marking, use or closing of roads and cycle lanes",
    "waste": "bins, recycling, litter, bulky items and street cleaning",
}
CITATION = "Written for the project synimpute_hf, 2026."


class CityServiceLine(base.LocalBuilder):
    """Builds the corpus from the csv file that comes with the package."""

    VERSION = datasets.Version("1.0.0")

    def _info(self) -> datasets.DatasetInfo:
        prose = resources.files("synimpute_hf.dataset_scripts").joinpath("data/city_service_line.md")
        return datasets.DatasetInfo(
            description=prose.read_text(encoding="utf-8").strip(),
            features=datasets.Features(
                {
                    "id": datasets.Value("string"),
                    "text": datasets.Value("string"),
                    "label": datasets.ClassLabel(names=sorted(CLASSES)),
                }
            ),
            license="apache-2.0",
            citation=CITATION,
        )

    def card(self) -> base.Card:
        """Return what the card says beside the ``DatasetInfo``."""
        return base.Card(
            title="City service line (demo)",
            language=("en",),
            source="The texts come with the package.",
            rights="Licence: Apache-2.0.",
            annotations="machine-generated",
            texts="machine-generated",
        )

    def sections(self) -> str:
        """Return what each class means."""
        return "## Classes\n\n" + "\n".join(f"- `{name}`: {meaning}" for name, meaning in CLASSES.items())

    def _split_generators(self, dl_manager: Any) -> list[datasets.SplitGenerator]:
        return [datasets.SplitGenerator(datasets.Split.TRAIN)]

    def _generate_examples(self) -> Iterator[tuple[str, dict[str, str]]]:
        source = resources.files("synimpute_hf.dataset_scripts").joinpath("data/city_service_line.csv")
        for row in csv.DictReader(io.StringIO(source.read_text(encoding="utf-8"))):
            yield row["id"], row


def write_folder(output: Path) -> None:
    """Write the corpus as parquet with its card, so that ``load_dataset(output)`` works.

    Args:
        output: folder; made when it is not there.
    """
    with tempfile.TemporaryDirectory() as cache:
        base.write_folder(CityServiceLine(cache_dir=cache), output)


def _main(output: base.Output = None, push_to_hub: base.PushToHub = None, public: base.Public = False) -> None:
    """Write the demo corpus as a dataset folder."""
    with tempfile.TemporaryDirectory() as cache:
        base.deliver(CityServiceLine(cache_dir=cache), output, push_to_hub, public)


if __name__ == "__main__":
    base.run(_main)
