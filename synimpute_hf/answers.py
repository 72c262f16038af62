"""Reads a chat model's answer: the text that was asked for, without what models put around it, or why it is none.

Nothing is taken away that an original shows too: where the originals are numbered, a number is part of a text.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Sequence
from typing import NamedTuple

__all__ = ["Reading", "read_answer"]

CUT_OFF = "cut off at the length limit"
EMPTY = "empty"
REFUSAL = "refusal"
FILTERED = "stopped by the content filter"
THOUGHT_ONLY = "reasoning without an answer"
NOT_JSON = "not the JSON that was asked for"
SEVERAL = "several texts instead of one"
PREAMBLE_ONLY = "preamble without a text"

NAMES = "think|thinking|thought|reasoning|reflection|scratchpad"
OPENED = re.compile(rf"<({NAMES})>", re.IGNORECASE)
CLOSED = re.compile(rf"</({NAMES})>\s*", re.IGNORECASE)
# gpt-oss and its kin, where a server leaves the channels in.
FINAL = re.compile(r"<\|channel\|>final<\|message\|>")
CONTROL = re.compile(r"\s*(?:<\|(?:im_end|endoftext|eot_id|end|return)\|>|</s>)\s*\Z")

APOLOGY = r"(?:sorry|apologies|unfortunately|i apologi[sz]e|i(?:'m| am) (?:very |really |so |truly )?sorry)\b"
DO = r"(?:assist|help|comply|fulfil+|provide|generate|create|write|produce|engage|continue|do (?:that|this)|support)\b"
REFUSED = re.compile(
    rf"(?:{APOLOGY}[^.\n]{{0,40}}?[,.;:\u2013\u2014-]? *(?:but )? *)?(?:as an? (?:ai|artificial)\b[^,\n]{{0,60}}, *)?"
    + "(?:"
    + "|".join(
        (
            rf"i (?:can't|cannot|can not|won't|will not) {DO}(?! (?:but|it)\b)",
            rf"i(?:'m| am) (?:sorry,? but )?(?:not able|unable) to {DO}",
            r"i must (?:respectfully )?(?:decline|refuse)\b",
            rf"i(?:'d| would) (?:rather|prefer) not to {DO}",
            r"(?:this|your|the) request (?:goes against|violates)\b",
            r"(?:es )?tut mir leid, (?:aber )?(?:ich kann|dabei|das kann)\b",
            r"ich kann (?:diese[rsn]? (?:anfrage|bitte)|dabei|ihnen dabei|dir dabei)\b[^.\n]{0,60}nicht\b",
            r"(?:je suis )?(?:vraiment )?d\u00e9sol\u00e9e?, (?:mais )?je ne (?:peux|puis) pas\b",
            r"je ne (?:peux|puis) pas (?:vous )?(?:aider|fournir|g\u00e9n\u00e9rer|r\u00e9pondre \u00e0)\b",
            r"lo siento, (?:pero )?no puedo\b",
            r"no puedo (?:ayudar|cumplir|generar|proporcionar|asistir)",
        )
    )
    + ")",
    re.IGNORECASE,
)

FENCE = re.compile(r"\A```[\w+-]*[ \t]*\n(.*?)\n?[ \t]*```\Z", re.DOTALL)
THING = (
    r"(?:texts?|textos?|textes?|examples?|beispiele?|ejemplos?|exemples?|sentences?|sentiments?|posts?|tweets?|messages?|"
    r"comments?|reviews?|answers?|responses?|versions?|paragraphs?|articles?|statements?|entr(?:y|ies)|quer(?:y|ies)|"
    r"questions?|replies|reply|headlines?)"
)
# A line of its own, or before a colon, that speaks of the text to come.
WILLING = r"(?:sure|certainly|of course|absolutely)"
HERE = (
    r"(?:here(?:'s| is| are| goes)|below is|the following is|i(?:'ve| have) written|"
    r"hier (?:ist|kommt|sind)|voici|aqu\u00ed (?:est\u00e1|tienes?|hay))"
)
PREAMBLE = re.compile(
    rf"(?:(?:{WILLING}|okay|ok|alright|great|got it|understood)\b[^\n:]{{0,20}}?[!.,:]\s*)?"
    + "(?:"
    + "|".join(
        (
            # To the end of the line, or in words that speak of a text.
            rf"{HERE}\b[^\n:]{{0,150}}:(?=[ \t]*(?:\n|\Z))",
            rf"{HERE} (?:(?:another|one|a new)\b[^\n:]{{0,80}}|[^\n:]{{0,60}}\b{THING}\b[^\n:]{{0,60}}):(?=\s)",
            rf"this is\b[^\n:]{{0,60}}\b{THING}\b[^\n:]{{0,60}}:",
            rf"(?:a |the |my )?(?:new|generated|synthetic|additional|rewritten|original) {THING}\b[^\n:]{{0,40}}:",
            rf"{WILLING}[!.](?=\s*(?:\n|\Z))",
        )
    )
    + r")\s*",
    re.IGNORECASE,
)
LABEL = re.compile(
    rf"\A(?:\*\*|#+\s*)?(?:(?:new|generated|synthetic)\s+)?(?:{THING}|output|beispiel|texte?|ejemplo|exemple)"
    r"\s*(?:#\s*)?\d{0,3}\s*(?:\*\*\s*:|:\s*\*\*|:)\s*",
    re.IGNORECASE,
)
HEADING = re.compile(rf"\A(?:\*\*|#+\s*)[^\n]{{0,20}}\b{THING}\s*\d{{0,3}}(?:\*\*)?\s*\n+", re.IGNORECASE)
BULLET = r"(?:\(?\d{1,3}[.)]|[-*\u2022\u2013])[ \t]+(?=\S)"
NUMBER = re.compile(BULLET)
ITEM = re.compile(rf"^[ \t]*{BULLET}", re.MULTILINE)
LABELLED = re.compile(rf"^(?:\*\*|#+\s*)?{THING}\s*#?\s*\d{{1,3}}\s*(?:\*\*)?\s*:", re.IGNORECASE | re.MULTILINE)
BOLD = re.compile(r"\A(\*\*|__)(?=\S)((?:(?!\1).)+)(?<=\S)\1\Z", re.DOTALL)
QUOTES = {
    '"': '"',
    "'": "'",
    "`": "`",
    "\u201c": "\u201d",
    "\u201e": "\u201c",
    "\u2018": "'",  # apostrophes are made plain first
    "\u00ab": "\u00bb",
    "\u300c": "\u300d",
}
CLOSING = re.compile(
    r"\n\s*\n\s*\(?(?:"
    + "|".join(
        (
            r"(?:please )?let me know\b",
            r"feel free\b",
            r"i hope (?:this|that)\b",
            r"hope this helps\b",
            r"would you like (?:me|another)\b",
            r"do you want me\b",
            r"is there anything\b",
            r"(?:note|explanation|disclaimer):",
            rf"this (?:new )?{THING} (?:captures|reflects|mirrors|follows|maintains|keeps|uses|is similar)\b",
        )
    )
    + r")[^\n]*\Z",
    re.IGNORECASE,
)


class Reading(NamedTuple):
    """What was read: the text, and why it can't be taken, or an empty reason."""

    text: str
    reason: str


def read_answer(
    text: str, finish_reason: str, shown: Sequence[str], *, form: str = "chat", structured: bool = False
) -> Reading:
    """Read a model's answer.

    Args:
        text: the raw answer.
        finish_reason: as the server gave it: ``stop``, ``length``, ``content_filter``, ``refusal`` …
        shown: the originals that the model was shown.
        form: ``chat``, or ``continuation``, where the model's own next text is taken as it is.
        structured: JSON with one field ``text`` was asked for.

    Returns:
        The text and an empty reason, or what is left of it and the reason why it is rejected.
    """
    text = text.strip()
    if form != "chat":
        reason = CUT_OFF if finish_reason == "length" else "" if text else EMPTY
        return Reading(text, reason)
    if finish_reason in ("content_filter", "safety", "SAFETY"):
        return Reading(text, FILTERED)
    if finish_reason == "refusal":
        return Reading(text, REFUSAL)
    answer = _without_thoughts(text)
    if finish_reason == "length":
        return Reading(answer, CUT_OFF if answer or not text else THOUGHT_ONLY)
    if not answer:
        return Reading("", THOUGHT_ONLY if text else EMPTY)
    if structured:
        return _structured(answer)
    if _refuses(answer, shown):
        return Reading(answer, REFUSAL)
    return _unwrapped(answer, shown)


def _structured(answer: str) -> Reading:
    """Read the JSON object that was asked for; some servers put it into a fence."""
    fenced = FENCE.match(answer)
    try:
        parsed = json.loads(fenced.group(1) if fenced else answer)
        text = parsed["text"]
    except (ValueError, TypeError, KeyError):
        return Reading(answer, REFUSAL if _refuses(answer, ()) else NOT_JSON)
    if not isinstance(text, str):
        return Reading(answer, NOT_JSON)
    text = text.strip()
    return Reading(text, EMPTY if not text else REFUSAL if _refuses(text, ()) else "")


def _without_thoughts(text: str) -> str:
    """Take a reasoning trace away; where it was never closed, all of it was reasoning."""
    final = FINAL.search(text)
    if final:
        text = text[final.end() :]
    text = CONTROL.sub("", text)
    opened = OPENED.match(text)
    if opened:
        end = re.compile(rf"</{opened.group(1)}>", re.IGNORECASE).search(text)
        return text[end.end() :].strip() if end else ""
    # Some chat templates open the trace themselves, and the answer holds only its end.
    closed = CLOSED.search(text)
    return text[closed.end() :].strip() if closed and not OPENED.search(text) else text


def _refuses(answer: str, shown: Sequence[str]) -> bool:
    return bool(REFUSED.match(_plain(answer))) and not any(REFUSED.match(_plain(text.strip())) for text in shown)


def _plain(text: str) -> str:
    """Return the text with plain apostrophes; all else stays in its place."""
    return text.replace("\u2019", "'")


def _quoted(text: str) -> str | None:
    """Return what stands between one pair of quotes around all of the text; None when there is none."""
    end = QUOTES.get(text[:1])
    if end is None or len(text) < 3 or _plain(text[-1]) != end:
        return None
    # 'One,' she said, 'two' is not quoted as a whole; an apostrophe within a word is no quote.
    inner = re.sub(r"(?<=\w)'(?=\w)", "", _plain(text[1:-1]))
    return None if text[0] in inner or end in inner or not inner.strip() else text[1:-1].strip()


def _fenced(text: str) -> str | None:
    match = FENCE.match(text)
    return match.group(1).strip() if match and "```" not in match.group(1) else None


def _bold(text: str) -> str | None:
    match = BOLD.match(text)
    return match.group(2).strip() if match else None


def _stripper(pattern: re.Pattern[str]) -> Callable[[str], str | None]:
    def strip(text: str) -> str | None:
        match = pattern.match(_plain(text))
        return text[match.end() :].strip() if match else None

    return strip


def _unclosed(text: str) -> str | None:
    match = CLOSING.search(text)
    return text[: match.start()].strip() if match else None


STEPS: tuple[Callable[[str], str | None], ...] = (
    _fenced,
    _stripper(PREAMBLE),
    _stripper(HEADING),
    _stripper(LABEL),
    _unclosed,
    _bold,
    _quoted,
    _stripper(NUMBER),
)


def _unwrapped(answer: str, shown: Sequence[str]) -> Reading:
    """Take away what stands around the text, layer by layer; each kind only where no original has it."""
    originals = [text.strip() for text in shown]
    steps = [step for step in STEPS if not any(step(text) is not None for text in originals)]
    if not any(_several(text) for text in originals) and _several(answer, started=_starts(answer)):
        return Reading(answer, SEVERAL)
    text, changed = answer, True
    while changed and text:
        changed = False
        for step in steps:
            inner = step(text)
            if inner is not None:
                text, changed = inner, True
    if not text:
        return Reading(answer, PREAMBLE_ONLY)
    return Reading(text, "")


def _starts(answer: str) -> bool:
    """Whether a preamble comes first, so that a list that follows is a list of texts."""
    return bool(PREAMBLE.match(_plain(answer)))


def _several(text: str, started: bool = False) -> bool:
    """Whether this is a list of two or more texts: all lines are items, or labels number them."""
    if len(LABELLED.findall(text)) > 1:
        return True
    body = PREAMBLE.sub("", _plain(text), count=1) if started else text
    return len(ITEM.findall(body)) > 1 and bool(ITEM.match(body))
