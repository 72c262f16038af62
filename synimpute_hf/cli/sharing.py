"""``synimpute push`` and ``verify``."""

from __future__ import annotations

import json
from dataclasses import asdict
from pathlib import Path
from typing import Annotated

import typer

from .base import SHORT, app, hide_bars, option, say

__all__ = ["push", "verify"]


@app.command()
def push(
    folder: Annotated[
        Path, typer.Argument(help="Folder that impute, train, report or a builder wrote.", exists=True, file_okay=False)
    ],
    repo_id: Annotated[str, typer.Argument(help="user/name on the Hub; made when it is not there.")],
    public: Annotated[bool, typer.Option("--public", help="A new repository is private unless you say so.")] = False,
    revision: Annotated[str | None, option("Branch; made when it is not there (default main).")] = None,
    create_pr: Annotated[bool, typer.Option("--create-pr", help="Open a pull request instead.")] = False,
    tag: Annotated[str | None, option("Name of the new state, such as v1.")] = None,
    config: Annotated[str, option("Configuration, for several datasets in one repository.")] = "default",
    synthetic_only: Annotated[
        bool, typer.Option("--synthetic-only", help="Leave the originals out, where they may not be shared.")
    ] = False,
    journal: Annotated[
        str, option("What of the journal is published: none (default), answers, or full, which quotes originals.")
    ] = "none",
    report: Annotated[Path | None, option("Folder of a cross-validation of these rows, for the card.")] = None,
    license: Annotated[str | None, option("License, as the Hub names it; by default that of the source.")] = None,
    language: Annotated[list[str] | None, option("Code such as en; by default that of the source.")] = None,
    dataset_id: Annotated[str | None, option("Of a classifier: the Hub id of the rows that trained it.")] = None,
    largest_mb: Annotated[float, option("Million bytes of a data file, at most (default 500).")] = 500.0,
    space: Annotated[bool, typer.Option("--space", help="Push a report's pages as a static Space.")] = False,
    collection: Annotated[str | None, option("Title of a collection to add it to; made when it is not there.")] = None,
    as_json: Annotated[bool, option("Print JSON.", "--json")] = False,
) -> None:
    """Push a dataset, classifier or report to the Hub with its card, in one commit. Run again, and it goes on."""
    from ..hub import push as push_folder
    from ..publishing import Publication

    how = Publication(
        config, synthetic_only, journal, report, license, tuple(language or ()), dataset_id, largest_mb, space
    )
    hide_bars()
    done = push_folder(
        folder,
        repo_id,
        public=public,
        revision=revision,
        create_pr=create_pr,
        tag=tag,
        collection=collection,
        how=how,
        say=lambda text: typer.echo(text, err=True),
    )
    if as_json:
        typer.echo(json.dumps(asdict(done), indent=2))
        return
    changed = (
        f"{len(done.added)} files added or replaced, {len(done.deleted)} deleted" if done.changed else "nothing new"
    )
    say(f"Pushed: {done.pull_request or done.url}   commit {done.commit[:8]}: {changed}")
    if done.collection:
        say(f"Collection: {done.collection}")


@app.command()
def verify(
    source: Annotated[str, typer.Argument(help="Result folder, or user/name on the Hub.", show_default=False)],
    replay: Annotated[
        bool, typer.Option("--replay", help="Rebuild the rows from the journal, without a model, and compare bytes.")
    ] = False,
    originals: Annotated[
        str | None, option("DATA with the originals, where they were left out: file, folder or Hub id.")
    ] = None,
    revision: Annotated[str | None, option("Branch, tag or commit on the Hub.")] = None,
    as_json: Annotated[bool, option("Print JSON instead of a table.", "--json")] = False,
) -> None:
    """Recompute digests, ids, prompts, keys, counts and card from the rows. Exit status 1 when something differs."""
    from ..tables import checks_table
    from ..verification import verify as check

    hide_bars()
    checks = check(source, replay=replay, originals=originals, revision=revision)
    wrong = [entry for entry in checks if entry.passed is False]
    if as_json:
        typer.echo(json.dumps([asdict(entry) for entry in checks], ensure_ascii=False, indent=2))
    else:
        skipped = sum(entry.passed is None for entry in checks)
        passed = f"All checks that were possible passed; {skipped} were not." if skipped else "All checks passed."
        failed = f"{len(wrong)} checks failed: this is not what its facts say."
        say(checks_table(checks), failed if wrong else passed)
    if wrong:
        raise typer.Exit(SHORT)
