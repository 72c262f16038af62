"""The demo corpus: 401 messages to the service line of an invented city, in five classes, two of them rare.

Run it with ``python -m synimpute_hf.dataset_scripts.city_service_line --output DIR``.
"""

from __future__ import annotations

import csv
import tempfile
from collections.abc import Iterator
from importlib import resources
from pathlib import Path
from typing import Annotated, Any

import datasets
import typer

__all__ = ["CLASSES", "CityServiceLine", "write_folder"]

CLASSES = {
    "accessibility": "something keeps people with disabilities, older people or prams from using a place",
    "lighting": "street lamps and other public lights: broken, too bright, missing, or thanks for a repair",
    "noise": "noise from people, animals, traffic, building or events",
    "roads": "the state, marking, use or closing of roads and cycle lanes",
    "waste": "bins, recycling, litter, bulky items and street cleaning",
}
CITATION = "Written for the project synimpute_hf, 2026."


class CityServiceLine(datasets.GeneratorBasedBuilder):  # type: ignore[misc]
    """Builds the corpus from the csv file that comes with the package."""

    VERSION = datasets.Version("1.0.0")

    def _info(self) -> datasets.DatasetInfo:
        return datasets.DatasetInfo(
            description="Residents' messages to the service line of the invented city of Wexbridge.",
            features=datasets.Features(
                {
                    "id": datasets.Value("string"),
                    "text": datasets.Value("string"),
                    "label": datasets.ClassLabel(names=sorted(CLASSES)),
                }
            ),
            license="Apache-2.0",
            citation=CITATION,
        )

    def _split_generators(self, dl_manager: Any) -> list[datasets.SplitGenerator]:
        return [datasets.SplitGenerator(datasets.Split.TRAIN)]

    def _generate_examples(self) -> Iterator[tuple[str, dict[str, str]]]:
        source = resources.files("synimpute_hf.dataset_scripts").joinpath("data/city_service_line.csv")
        with source.open(encoding="utf-8", newline="") as lines:
            for row in csv.DictReader(lines):
                yield row["id"], row


def write_folder(output: Path) -> None:
    """Write the corpus as parquet with its card, so that ``load_dataset(output)`` works.

    Args:
        output: folder; made when it is not there.
    """
    with tempfile.TemporaryDirectory() as cache:
        builder = CityServiceLine(cache_dir=cache)
        builder.download_and_prepare()
        rows = builder.as_dataset(split="train")
        (output / "data").mkdir(parents=True, exist_ok=True)
        rows.to_parquet(str(output / "data" / "train.parquet"))
        card = resources.files("synimpute_hf.dataset_scripts").joinpath("data/city_service_line.md")
        (output / "README.md").write_text(card.read_text(encoding="utf-8"), encoding="utf-8")


def _main(output: Annotated[Path, typer.Option(help="Folder of the dataset.")]) -> None:
    """Write the demo corpus as a dataset folder."""
    datasets.disable_progress_bars()
    write_folder(output)
    typer.echo(f"Dataset: {output}")


if __name__ == "__main__":
    typer.run(_main)
