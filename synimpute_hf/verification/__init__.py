"""Verification: what a published dataset says about itself, computed anew by whoever has it, without us."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from ..errors import DataError, HubError, SynimputeError, first_line
from ..inputs import read_data
from ..outputs import JOURNAL, MANIFEST, read_manifest
from ..provenance import Recipe, originals_of
from .answers import check_answers
from .audit import check_audit
from .base import Check, Result
from .cards import check_card
from .crossval import check_crossval
from .replay import check_replay
from .rows import check_files, check_plan, check_rows

__all__ = ["Check", "verify"]

DRAWS = "plan, draws, prompts and keys"


def verify(
    source: str | Path,
    *,
    replay: bool = False,
    originals: str | None = None,
    revision: str | None = None,
    token: str | None = None,
    endpoint: str | None = None,
) -> list[Check]:
    """Check a result folder or a dataset on the Hub: its rows, files, facts, journal and card against each other.

    Args:
        source: a folder, or ``user/name``.
        replay: whether to rebuild the rows from the journal, with no model, and compare bytes.
        originals: DATA with the originals, where they were left out of the dataset.
        revision: branch, tag or commit on the Hub.
        token: for the Hub; None takes the one that is set.
        endpoint: of another Hub.

    Returns:
        One entry a check: passed, failed, or (None) not possible, with the reason.

    Raises:
        DataError: there is no result.
        HubError: the dataset cannot be downloaded.
    """
    if Path(source).is_dir():
        return _verify(Path(source), replay, originals)
    with tempfile.TemporaryDirectory(prefix="synimpute-verify-") as scratch:
        return _verify(_download(str(source), revision, token, endpoint, scratch), replay, originals)


def _download(repo_id: str, revision: str | None, token: str | None, endpoint: str | None, scratch: str) -> Path:
    import httpx2
    import huggingface_hub

    try:
        return Path(
            huggingface_hub.snapshot_download(
                repo_id,
                repo_type="dataset",
                revision=revision,
                token=token,
                endpoint=endpoint,
                local_dir=scratch,
            )
        )
    except (OSError, ValueError, httpx2.HTTPError) as error:
        raise HubError(
            f"{repo_id!r} is no folder here, and as a dataset of the Hub it cannot be downloaded: {first_line(error)}"
        ) from error


def _verify(folder: Path, replay: bool, originals: str | None) -> list[Check]:
    places = [path.parent for path in sorted(folder.glob(f"*/{MANIFEST}"))]
    if (folder / MANIFEST).is_file() or not places:
        places.insert(0, folder)
    checks: list[Check] = []
    for place in places:
        prefix = f"{place.name}: " if len(places) > 1 and place != folder else ""
        for entry in _config(folder, place, replay, originals):
            checks.append(Check(prefix + entry.name, entry.passed, entry.found))
    return checks


def _config(folder: Path, place: Path, replay: bool, originals: str | None) -> Iterator[Check]:
    facts = read_manifest(place)
    try:
        yield from check_files(place, facts)
        result = Result.read(folder, place, facts)
    except (KeyError, TypeError, ValueError, SynimputeError, OSError) as error:
        yield Check("data files can be read", False, _said(error))
        return
    yield from check_rows(result)
    try:
        parts = _originals(result, originals)
        recipe = None if parts is None else Recipe.of(facts, *_apart(parts, facts["split"]))
    except (SynimputeError, KeyError, TypeError, ValueError) as error:
        parts = recipe = None
        yield Check(DRAWS, False, _said(error))
    else:
        if recipe is None:
            yield Check(DRAWS, None, "the originals are not here: name them with --originals")
        else:
            yield from check_plan(result, recipe)
    if (place / JOURNAL).is_file():
        yield from check_answers(result, recipe)
    else:
        yield Check("answers in the journal", None, "the journal is not here")
    yield from check_card(result)
    yield from check_crossval(result)
    yield from check_audit(result)
    if replay:
        yield from check_replay(result, recipe, parts)


def _originals(result: Result, originals: str | None) -> dict[str, Any] | None:
    """Return the originals by split: those of the dataset, or those that are named; None where there are none."""
    if result.has_originals:
        return {name: originals_of(rows) for name, rows in result.splits.items()}
    return None if originals is None else read_data(originals, result.facts["split"])[0]


def _apart(parts: Mapping[str, Any], split: str) -> tuple[Any, dict[str, Any]]:
    """Return one split, and the others by name."""
    return parts[split], {name: part for name, part in parts.items() if name != split}


def _said(error: BaseException) -> str:
    if isinstance(error, KeyError):
        return f"the facts lack {error}"
    text = first_line(error)
    return text if isinstance(error, DataError) else f"{type(error).__name__}: {text}"
