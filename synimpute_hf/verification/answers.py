"""Rows against the journal: every text is what the model answered, and every rejection is accounted for."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator

from ..answers import read_answer
from ..errors import JournalError
from ..journal import Journal
from ..outputs import JOURNAL
from ..provenance import Recipe
from ..records import Candidate, Prompt, Verdict
from .base import Check, Result, check, compare

__all__ = ["check_answers"]


def check_answers(result: Result, recipe: Recipe | None) -> Iterator[Check]:
    """Compare texts, verdicts, requests and counts with the journal."""
    keys = [row["journal_key"] for row in result.synthetic]
    try:
        with Journal(result.place / JOURNAL, create=False) as journal:
            answers = journal.get(keys)
            requests = journal.requests(keys)
            verdicts = journal.verdicts(result.facts["outcome"]["run"])
            generators = journal.generators()
            judged = journal.get(list(verdicts))
    except JournalError as error:
        yield Check("answers in the journal", False, str(error))
        return
    known = result.facts["generator"] in generators or not keys
    yield Check("generator in the journal", known, result.facts["generator"]["name"])
    texts = _texts(result)
    yield check("texts and answers", _text_problems(result, answers, verdicts, texts), len(keys))
    if recipe is None:
        return
    if any(requests.values()):
        yield check("requests", _request_problems(result, recipe, requests), len(keys))
    yield compare("judged answers", *_account(result, recipe, verdicts, judged))


def _texts(result: Result) -> dict[str, str]:
    return {row["row_id"]: str(row[result.columns.text]) for row in result.rows if not row["is_synthetic"]}


def _text_problems(
    result: Result, answers: dict[str, Candidate], verdicts: dict[str, Verdict], texts: dict[str, str]
) -> Iterator[str]:
    generator = result.facts["generator"]
    structured = bool(generator["parameters"].get("structured"))
    for row in result.synthetic:
        answer, verdict = answers.get(row["journal_key"]), verdicts.get(row["journal_key"])
        if answer is None:
            yield f"{row['row_id']!r}: its answer is not in the journal"
            continue
        shown = tuple(texts[source] for source in row["source_ids"] if source in texts)
        reading = read_answer(
            answer.text,
            answer.finish_reason,
            shown,
            form=generator["form"],
            structured=structured and answer.text.lstrip().startswith(("{", "```")),
        )
        if reading.text != row[result.columns.text]:
            yield f"{row['row_id']!r}: the text is not what the model answered"
        elif verdict is None or not verdict.accepted:
            yield f"{row['row_id']!r}: the journal says {verdict.reason if verdict else 'nothing'!r}, not accepted"


def _request_problems(result: Result, recipe: Recipe, requests: dict[str, dict[str, object]]) -> Iterator[str]:
    for row in result.synthetic:
        prompt = _prompt(result, recipe, row)
        if prompt is not None and requests.get(row["journal_key"]) != prompt.request():
            yield f"{row['row_id']!r}: another prompt was sent"


def _prompt(result: Result, recipe: Recipe, row: dict[str, object]) -> Prompt | None:
    name = result.class_names(row[result.columns.label])
    if name not in recipe.originals.pools:
        return None
    prompts = recipe.prompts(name, int(str(row["draw"])))
    return next((prompt for prompt in prompts if prompt.key == row["journal_key"]), None)


def _account(
    result: Result, recipe: Recipe, verdicts: dict[str, Verdict], answers: dict[str, Candidate]
) -> tuple[dict[str, object], dict[str, object]]:
    """Return rejections and tokens by the facts, and counted from the verdicts of the plan's draws."""
    outcome = result.facts["outcome"]
    said: dict[str, object] = {name: outcome[name] for name in ("prompt_tokens", "answer_tokens", "cached_tokens")}
    found: dict[str, object] = {}
    costs: list[float | None] = []
    tokens = Counter(dict.fromkeys(said, 0))
    for entry in outcome["classes"]:
        plan = next((plan for plan in recipe.classes if plan.name == entry["name"]), None)
        rejected: Counter[str] = Counter()
        for number in range(plan.to_write if plan else 0):
            for prompt in recipe.prompts(entry["name"], number):
                verdict, answer = verdicts.get(prompt.key), answers.get(prompt.key)
                if verdict is None or answer is None:
                    break
                for name in tokens:
                    tokens[name] += getattr(answer, name) or 0
                costs.append(answer.cost_usd)
                if verdict.accepted:
                    break
                rejected[verdict.reason] += 1
        said[f"{entry['name']}: rejected"] = dict(sorted(entry["rejected"].items()))
        found[f"{entry['name']}: rejected"] = dict(sorted(rejected.items()))
    if outcome["cost_usd"] is not None and None not in costs:
        said["cost_usd"] = outcome["cost_usd"]
        found["cost_usd"] = sum(filter(None, costs)) + outcome["uncertain_usd"]
    return said, {**tokens, **found}
