"""The demo corpus: 401 messages to the service line of an invented city, in five classes, two of them rare.

Run it with ``python -m synimpute_hf.dataset_scripts.city_service_line --output DIR``.
"""

from __future__ import annotations

import tempfile
from pathlib import Path

from . import base

__all__ = ["CLASSES", "CityServiceLine", "write_folder"]

CLASSES = {
    "accessibility": "something keeps people with disabilities, older people or prams from using a place",
    "lighting": "street lamps and other public lights: broken, too bright, missing, or thanks for a repair",
    "noise": "noise from people, animals, traffic, building or events",
    "roads": "the state, marking, use or closing of roads and cycle lanes",
    "waste": "bins, recycling, litter, bulky items and street cleaning",
}


class CityServiceLine(base.ShippedCorpus):
    """Builds the corpus from the csv file that comes with the package."""

    stem = "city_service_line"
    classes = CLASSES
    title = "City service line (demo)"
    language = "en"


def write_folder(output: Path) -> None:
    """Write the corpus as parquet with its card, so that ``load_dataset(output)`` works.

    Args:
        output: folder; made when it is not there.
    """
    base.write_shipped(CityServiceLine, output)


def _main(output: base.Output = None, push_to_hub: base.PushToHub = None, public: base.Public = False) -> None:
    """Write the demo corpus as a dataset folder."""
    with tempfile.TemporaryDirectory() as cache:
        base.deliver(CityServiceLine(cache_dir=cache), output, push_to_hub, public)


if __name__ == "__main__":
    base.run(_main)
