"""A corpus in German: 261 messages to the citizens' hotline of an invented city, in four classes.

Run it with ``python -m synimpute_hf.dataset_scripts.buergertelefon --output DIR``.
"""

from __future__ import annotations

import tempfile
from pathlib import Path

from . import base

__all__ = ["CLASSES", "Buergertelefon", "write_folder"]

CLASSES = {
    "amt": "Ausweise, Anträge, Bescheide, Termine und Auskünfte der Ämter",
    "gruen": "Parks, Bäume, Spielplätze, Friedhöfe und Tiere",
    "hitze": "Hitze in der Stadt: fehlender Schatten, Trinkwasser, überhitzte Räume, Schutz der Schwächeren",
    "verkehr": "Straßen, Wege, Ampeln, Parken, Busse und Bahnen",
}


class Buergertelefon(base.ShippedCorpus):
    """Builds the corpus from the csv file that comes with the package."""

    stem = "buergertelefon"
    classes = CLASSES
    title = "Bürgertelefon (demo, German)"
    language = "de"


def write_folder(output: Path) -> None:
    """Write the corpus as parquet with its card, so that ``load_dataset(output)`` works.

    Args:
        output: folder; made when it is not there.
    """
    base.write_shipped(Buergertelefon, output)


def _main(output: base.Output = None, push_to_hub: base.PushToHub = None, public: base.Public = False) -> None:
    """Write the German corpus as a dataset folder."""
    with tempfile.TemporaryDirectory() as cache:
        base.deliver(Buergertelefon(cache_dir=cache), output, push_to_hub, public)


if __name__ == "__main__":
    base.run(_main)
