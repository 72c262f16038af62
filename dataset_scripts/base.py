"""What the builders share: a cache key that knows the files, the dataset folder with its card, the command."""

from __future__ import annotations

import csv
import hashlib
import io
import os
import re
import shutil
import sys
import tempfile
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, fields
from importlib import resources
from pathlib import Path
from typing import Annotated, Any, ClassVar

import datasets
import pyarrow.parquet as pq
import typer
import yaml

from synimpute_hf.errors import DataError, OutputError, SynimputeError
from synimpute_hf.seeding import digest
from synimpute_hf.typeset import md_cell
from synimpute_hf.version import __version__

__all__ = [
    "Card",
    "DataDir",
    "FilesConfig",
    "License",
    "LocalBuilder",
    "Output",
    "Public",
    "PushToHub",
    "ShippedCorpus",
    "deliver",
    "run",
    "write_folder",
    "write_shipped",
]

WRONG = 2
UNKNOWN = "unknown"
"""What the Hub calls a licence that nobody has stated."""
SIZES = ((1_000, "n<1K"), (10_000, "1K<n<10K"), (100_000, "10K<n<100K"), (1_000_000, "100K<n<1M"))
MADE = "Made with synimpute_hf"
SHOWN_CLASSES = 25

DataDir = Annotated[Path, typer.Option(help="Folder with the source files, or one such file.", show_default=False)]
Output = Annotated[Path | None, typer.Option(help="Folder to write the dataset to.", show_default=False)]
PushToHub = Annotated[str | None, typer.Option(help="Dataset on the Hub to push to: user/name.", show_default=False)]
Public = Annotated[bool, typer.Option("--public", help="Make a new dataset on the Hub public (default: private).")]
License = Annotated[
    str, typer.Option("--license", help="The texts' licence, as the Hub names it (cc-by-4.0, …), if you know it.")
]


@dataclass(frozen=True)
class Card:
    """What a card says beside what the builder's ``DatasetInfo`` says.

    Attributes:
        title: heading and ``pretty_name``.
        language: codes of the texts' languages; empty when not known.
        source: where the texts came from, in a sentence or two.
        rights: what is known about the licence, in a sentence or two.
        annotations: the Hub's word for who labelled the texts.
        texts: the Hub's word for who wrote them.
    """

    title: str
    language: tuple[str, ...]
    source: str
    rights: str
    annotations: str = "expert-generated"
    texts: str = "found"


@dataclass
class FilesConfig(datasets.BuilderConfig):  # type: ignore[misc]
    """A configuration whose cache key holds every setting and the bytes of every file.

    The library's own key holds the folder's name alone, and so would go on serving what stood there before an edit.
    """

    def files(self) -> Sequence[Path]:
        """Return the files that are read.

        Raises:
            DataError: there is none.
        """
        raise NotImplementedError

    def create_config_id(self, config_kwargs: dict[str, Any], custom_features: Any = None) -> str:
        """Return the name with a digest of settings and contents; two folders with equal files share a cache."""
        paths = {"data_dir", "data_files", "description"}
        settings = {field.name: repr(getattr(self, field.name)) for field in fields(self) if field.name not in paths}
        contents = [[path.name, hashlib.sha256(path.read_bytes()).hexdigest()] for path in self.files()]
        return f"{self.name}-{digest(settings, contents, repr(custom_features))[:24]}"


class LocalBuilder(datasets.GeneratorBasedBuilder):  # type: ignore[misc]
    """A builder that reads files on this machine and knows what its card should say.

    Subclasses have a ``label`` column that is a ``ClassLabel``.
    """

    def card(self) -> Card:
        """Return what the card says beside the ``DatasetInfo``."""
        raise NotImplementedError

    def notes(self) -> Sequence[str]:
        """Return what was noticed in the files, in sentences; they are printed, and stand in the card."""
        return ()

    def sections(self) -> str:
        """Return further sections of the card, as Markdown."""
        return ""

    def extra_files(self) -> Mapping[str, str]:
        """Return further text files of the dataset folder, by name."""
        return {}


class ShippedCorpus(LocalBuilder):
    """Builds a corpus from the csv file and the description that come with the package.

    Class attributes:
        stem: of the files in ``data/``: a csv with ``id``, ``text`` and ``label``, and a Markdown description.
        classes: what each class means.
        title: heading of the card.
        language: code of the texts' language.
    """

    VERSION = datasets.Version("1.0.0")
    stem: ClassVar[str]
    classes: ClassVar[Mapping[str, str]]
    title: ClassVar[str]
    language: ClassVar[str]

    def _read(self, ending: str) -> str:
        source = resources.files("synimpute_hf.dataset_scripts").joinpath(f"data/{self.stem}.{ending}")
        return source.read_text(encoding="utf-8")

    def _info(self) -> datasets.DatasetInfo:
        return datasets.DatasetInfo(
            description=self._read("md").strip(),
            features=datasets.Features(
                {
                    "id": datasets.Value("string"),
                    "text": datasets.Value("string"),
                    "label": datasets.ClassLabel(names=sorted(self.classes)),
                }
            ),
            license="apache-2.0",
            citation="Written for the project synimpute_hf, 2026.",
        )

    def card(self) -> Card:
        """Return what the card says beside the ``DatasetInfo``."""
        return Card(
            title=self.title,
            language=(self.language,),
            source="The texts come with the package.",
            rights="Licence: Apache-2.0.",
            annotations="machine-generated",
            texts="machine-generated",
        )

    def sections(self) -> str:
        """Return what each class means."""
        return "## Classes\n\n" + "\n".join(f"- `{name}`: {meaning}" for name, meaning in self.classes.items())

    def _split_generators(self, dl_manager: Any) -> list[datasets.SplitGenerator]:
        return [datasets.SplitGenerator(datasets.Split.TRAIN)]

    def _generate_examples(self) -> Iterator[tuple[str, dict[str, str]]]:
        for row in csv.DictReader(io.StringIO(self._read("csv"))):
            yield row["id"], row


def write_shipped(corpus: type[ShippedCorpus], output: Path) -> None:
    """Write a corpus as parquet with its card, so that ``load_dataset(output)`` works.

    Args:
        corpus: its builder.
        output: folder; made when it is not there.
    """
    with tempfile.TemporaryDirectory() as cache:
        write_folder(corpus(cache_dir=cache), output)


def write_folder(builder: LocalBuilder, output: Path) -> dict[str, Counter[str]]:
    """Write a dataset folder, ``data/*.parquet`` and a card, that ``load_dataset(output)`` loads.

    The same files and settings give the same bytes. A file's name holds a digest of its content, because ``datasets``
    caches a folder by its card: under a name that stays, ``load_dataset`` would return what stood here before.

    Args:
        builder: not prepared yet.
        output: made when it is not there; an earlier result in it is replaced.

    Returns:
        Rows by class and by split; rows without a class under an empty name.

    Raises:
        OutputError: the folder holds something else, or can't be written.
    """
    extra = builder.extra_files()
    _check_folder(output, {"README.md", "data", "codebook.yaml", *extra})
    try:
        output.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(dir=output, prefix=".unfinished-") as temporary:
            made, cache = Path(temporary, "folder"), Path(temporary, "cache")
            builder.download_and_prepare(output_dir=str(cache), file_format="parquet")
            (made / "data").mkdir(parents=True)
            files, counts = {}, {}
            for split in builder.info.splits:
                files[str(split)], counts[str(split)] = _take_split(builder, str(split), cache, made)
            for name, text in {**extra, "README.md": _card_text(builder, files, counts)}.items():
                (made / name).write_text(text, encoding="utf-8")
            shutil.rmtree(output / "data", ignore_errors=True)
            (output / "codebook.yaml").unlink(missing_ok=True)
            for entry in sorted(made.iterdir()):
                os.replace(entry, output / entry.name)
    except OSError as error:
        raise OutputError(
            f"The dataset could not be written to {output}: {error.strerror or error}. Make room, or choose another "
            "folder with --output."
        ) from error
    return counts


def _check_folder(output: Path, ours: set[str]) -> None:
    """Refuse a folder that holds anything but an earlier result: its ``data`` will be replaced."""
    if output.is_dir():
        there = [entry.name for entry in output.iterdir() if not entry.name.startswith(".")]
        there += [f"data/{path.name}" for path in (output / "data").glob("*") if path.suffix != ".parquet"]
        foreign = sorted(name for name in there if name not in ours and not name.endswith(".parquet"))
        card = output / "README.md"
        if not there or (not foreign and card.is_file() and "synimpute_hf" in card.read_text(encoding="utf-8")):
            return
        shown = ", ".join(foreign or sorted(there))
    elif output.exists():
        shown = "it is a file"
    else:
        return
    raise OutputError(
        f"The output folder {output} already holds something else ({shown[:200]}). Choose an empty or new folder with "
        "--output."
    )


def _take_split(builder: LocalBuilder, split: str, cache: Path, made: Path) -> tuple[list[str], Counter[str]]:
    """Move a split's parquet files to their place; return their names and the rows of each class."""
    parts = sorted(cache.glob(f"{builder.dataset_name}-{split}*.parquet"))
    names, counts = [], Counter[str]()
    feature = builder.info.features["label"]
    for number, part in enumerate(parts):
        sha = hashlib.sha256(part.read_bytes()).hexdigest()
        names.append(f"data/{split}-{number:05d}-of-{len(parts):05d}-{sha[:8]}.parquet")
        for label in pq.read_table(part, columns=["label"])["label"].to_pylist():
            counts[feature.int2str(label) if label is not None and label >= 0 else ""] += 1
        os.replace(part, made / names[-1])
    return names, counts


def _card_text(builder: LocalBuilder, files: Mapping[str, list[str]], counts: Mapping[str, Counter[str]]) -> str:
    card, info = builder.card(), builder.info
    rows = sum(sum(found.values()) for found in counts.values())
    splits = [{"split": split, "path": paths} for split, paths in files.items()]
    metadata = {
        "license": (info.license or UNKNOWN).lower(),
        **({"language": list(card.language)} if card.language else {}),
        "task_categories": ["text-classification"],
        "size_categories": [next((name for limit, name in SIZES if rows < limit), "1M<n<10M")],
        "annotations_creators": [card.annotations],
        "language_creators": [card.texts],
        "source_datasets": ["original"],
        "pretty_name": card.title,
        "configs": [{"config_name": "default", "data_files": splits}],
    }
    table = [f"| class | {' | '.join(counts)} |", f"|---|{'---:|' * len(counts)}"]
    table += ["| " + " | ".join(map(md_cell, row)) + " |" for row in _sizes(builder, counts)]
    notes = "\n".join(f"- {md_cell(note)}" for note in builder.notes())
    parts = [
        f"# {card.title}",
        info.description,
        "## Sizes",
        "\n".join(table),
        *(("## Noticed in the files", notes) if notes else ()),
        builder.sections().strip(),
        "## Source and licence",
        f"{card.source} {card.rights}".strip(),
        *((f"Home: <{info.homepage}>",) if info.homepage else ()),
        *(("## Citation", f"```\n{info.citation.strip()}\n```") if info.citation else ()),
        f"{MADE} {__version__}, builder version {builder.config.version}.",
    ]
    front = yaml.safe_dump(metadata, sort_keys=False, allow_unicode=True, width=1000)
    return f"---\n{front}---\n\n" + "\n\n".join(part for part in parts if part) + "\n"


def _sizes(builder: LocalBuilder, counts: Mapping[str, Counter[str]]) -> list[list[str]]:
    """Return a row a class, the largest first, and their sum: name and rows in each split."""
    names = list(builder.info.features["label"].names)
    names.sort(key=lambda name: -sum(found[name] for found in counts.values()))
    rows = [[name, *(f"{found[name]:,}" for found in counts.values())] for name in names]
    if any(found[""] for found in counts.values()):
        rows.append(["(no class: -1)", *(f"{found['']:,}" for found in counts.values())])
    return [*rows, ["all", *(f"{sum(found.values()):,}" for found in counts.values())]]


def deliver(
    builder: LocalBuilder, output: Path | None, push_to_hub: str | None, public: bool = False, hint: str = ""
) -> None:
    """Write the dataset, push it where that is asked for, and print what it holds.

    Args:
        builder: not prepared yet.
        output: where to write it; None for the Hub only.
        push_to_hub: ``user/name``, or None.
        public: whether a new dataset on the Hub is public.
        hint: what to type next, printed last.

    Raises:
        DataError: neither place is named, or data of an unknown licence should become public.
    """
    if output is None and push_to_hub is None:
        raise DataError("Where should the dataset go? Say --output FOLDER, --push-to-hub user/name, or both.")
    if push_to_hub and not re.fullmatch(r"[\w.-]+/[\w.-]+", push_to_hub):
        raise DataError(f"--push-to-hub expects user/name, got {push_to_hub!r}.")
    if push_to_hub and public and (builder.info.license or UNKNOWN) == UNKNOWN:
        raise DataError(
            "The licence of these texts is not known, so they can't be made public. Leave out --public, or, if you "
            "know that they may be published, name their licence with --license."
        )
    with tempfile.TemporaryDirectory() as temporary:
        folder = output or Path(temporary) / "dataset"
        counts = write_folder(builder, folder)
        for note in builder.notes():
            typer.echo(f"Note: {note}")
        _show(builder, counts)
        if output:
            typer.echo(f"Dataset: {output}")
        if push_to_hub:
            from synimpute_hf.hub import push

            typer.echo(f"Pushed: {push(folder, push_to_hub, public=public).url}")
    if hint:
        typer.echo(hint)


def _show(builder: LocalBuilder, counts: Mapping[str, Counter[str]]) -> None:
    rows = _sizes(builder, counts)
    if len(rows) > SHOWN_CLASSES + 1:
        more = [f"… and {len(rows) - SHOWN_CLASSES - 1} more classes", *("" for _ in counts)]
        rows = [*rows[:SHOWN_CLASSES], more, rows[-1]]
    rows.insert(0, ["class", *counts])
    widths = [max(len(row[column]) for row in rows) for column in range(len(rows[0]))]
    for row in rows:
        cells = (cell.rjust(width) for cell, width in zip(row[1:], widths[1:], strict=True))
        typer.echo("  ".join([row[0].ljust(widths[0]), *cells]).rstrip())


def run(command: Callable[..., None]) -> None:
    """Run a module's command; the package's own errors become a message and exit status 2."""
    app = typer.Typer(add_completion=False, pretty_exceptions_enable=False, rich_markup_mode=None)
    app.command()(command)
    datasets.disable_progress_bars()
    try:
        app()
    except SynimputeError as error:
        typer.echo(f"Error: {error}", err=True)
        sys.exit(WRONG)
