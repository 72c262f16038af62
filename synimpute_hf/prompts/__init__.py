"""Prompts: YAML files that say how a new text is asked for, rendered for chat models and for plain continuation.

The text of an original reaches the model as data, unchanged: it is a variable's value in a sandboxed Jinja
environment, and is never itself read as a template.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import yaml
from jinja2 import StrictUndefined, TemplateError, TemplateSyntaxError, meta
from jinja2.sandbox import SandboxedEnvironment
from pydantic import BaseModel, ConfigDict, ValidationError

from ..errors import PromptError, nearest
from ..records import Draw, Message, Prompt
from ..registry import plugin_file, plugin_names
from ..seeding import canonical_json

__all__ = ["DEFAULT_PROMPT", "VARIABLES", "PromptTemplate", "Renderer", "estimate_tokens", "load_prompt"]

DEFAULT_PROMPT = "general"
VARIABLES = {
    "examples": "list of the originals' texts",
    "n_examples": "how many originals are shown",
    "number": "number of the text to write: n_examples + 1",
    "length": "the length instruction, rendered",
    "mean_length": "mean length of the originals shown",
    "length_unit": "'words', or 'characters' for scripts without blanks",
    "vary": "list of what the new text should vary",
    "unit": "what one text is called",
    "category": "the class's name; empty where the class is only a number",
    "description": "the class's definition from the codebook; may be empty",
    "language": "language to write in; empty: that of the examples",
    "fence": "a line of quotes that stands in none of the originals",
}
REQUIRED = ("examples", "length")
BYTES_PER_TOKEN = 4.0
# Shortening must never let a prompt overflow: tokenizers spend two bytes a token or more on nearly all text.
CAUTIOUS_BYTES_PER_TOKEN = 2.0
ANSWER_MARGIN = 24

_ENVIRONMENT = SandboxedEnvironment(
    undefined=StrictUndefined, trim_blocks=True, lstrip_blocks=True, autoescape=False, keep_trailing_newline=True
)


def estimate_tokens(text: str) -> int:
    """Estimate the tokens of a text without a tokenizer: four UTF-8 bytes a token."""
    return max(1, round(len(text.encode("utf-8", "surrogatepass")) / BYTES_PER_TOKEN))


class PromptTemplate(BaseModel):
    """A checked prompt file.

    Attributes:
        name: short name.
        summary: one sentence on what it is for.
        unit: what one text is called: text, sentence, tweet, speech.
        vary: what the new text should vary.
        length: length instruction; may use ``mean_length`` and ``length_unit``.
        system: system message of the chat form.
        user: user message of the chat form.
        continuation: the text that a base model continues.
        stop: strings that end a continuation; one that stands in an original shown is left out.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    name: str
    summary: str = ""
    unit: str = "text"
    vary: tuple[str, ...]
    length: str
    system: str
    user: str
    continuation: str
    stop: tuple[str, ...] = ("\n",)


def load_prompt(source: str | Path | Mapping[str, Any] | None = None) -> PromptTemplate:
    """Load a prompt that ships with the package, comes from an entry point, or is a user's own.

    Args:
        source: ``general`` (default), ``sentences``, ``messages``, ``speeches``, ``nachrichten``, a path to a YAML
            file, or the fields of such a file.

    Raises:
        PromptError: there is no such prompt, or a field or variable is unknown or missing; all are named.
    """
    if isinstance(source, Mapping):
        return _template(str(source.get("name", "given as fields")), dict(source))
    name = str(source or DEFAULT_PROMPT)
    path = plugin_file("prompts", name, ".yaml")
    if path is None:
        path = Path(name)
        if not path.is_file():
            names = plugin_names("prompts", ".yaml")
            raise PromptError(
                f"There is no prompt {name!r}: neither a file of that name nor one of "
                f"{', '.join(names)}.{nearest(name, names)}"
            )
    try:
        content = yaml.safe_load(Path(str(path)).read_text(encoding="utf-8"))
    except (yaml.YAMLError, UnicodeDecodeError) as error:
        raise PromptError(f"The prompt file {name} is not valid YAML: {error}") from error
    if not isinstance(content, dict):
        raise PromptError(
            f"The prompt file {name} must hold fields such as 'user:' and 'length:', found {type(content).__name__}."
        )
    content.setdefault("name", Path(name).stem)
    return _template(name, content)


def _template(name: str, content: dict[str, Any]) -> PromptTemplate:
    """Check a prompt's fields and variables."""
    try:
        template = PromptTemplate(**content)
    except ValidationError as error:
        raise PromptError(_field_errors(name, error)) from error
    _check_variables(name, template)
    return template


def _field_errors(name: str, error: ValidationError) -> str:
    lines = []
    for item in error.errors():
        field = ".".join(map(str, item["loc"]))
        if item["type"] == "extra_forbidden":
            lines.append(f"unknown field {field!r}.{nearest(field, PromptTemplate.model_fields)}")
        elif item["type"] == "missing":
            lines.append(f"missing field {field!r}")
        else:
            lines.append(f"field {field!r}: {item['msg']}")
    return f"The prompt file {name} is not right: {'; '.join(lines)}. Fields: {', '.join(PromptTemplate.model_fields)}."


def _check_variables(name: str, template: PromptTemplate) -> None:
    """Check every template's variables, and render once with made-up examples to find other mistakes."""
    problems = []
    fields = {
        "length": template.length,
        "system": template.system,
        "user": template.user,
        "continuation": template.continuation,
        **{f"stop[{i}]": s for i, s in enumerate(template.stop)},
    }
    used: dict[str, set[str]] = {}
    for field, source in fields.items():
        try:
            used[field] = meta.find_undeclared_variables(_ENVIRONMENT.parse(source))
        except TemplateSyntaxError as error:
            raise PromptError(
                f"The prompt file {name}, field {field!r}, line {error.lineno}: {error.message}. "
                "Write a literal brace as {{ '{' }}."
            ) from error
        for variable in sorted(used[field] - set(VARIABLES)):
            problems.append(f"field {field!r} uses the unknown variable {variable!r}.{nearest(variable, VARIABLES)}")
    for form, shown in (("user", used["user"] | used["system"]), ("continuation", used["continuation"])):
        missing = [variable for variable in REQUIRED if variable not in shown]
        problems.extend(
            f"field {form!r} misses the variable {variable!r} ({VARIABLES[variable]})" for variable in missing
        )
    if problems:
        raise PromptError(
            f"The prompt file {name} is not right: {'; '.join(problems)}. Known variables: {', '.join(VARIABLES)}."
        )
    trial = Draw("class", "class", 0, 0, 0, "a", ("a", "b"), ("One text.", "Another text."))
    for form in ("chat", "continuation"):
        try:
            renderer = Renderer(template, form, "")
        except TemplateSyntaxError as error:
            raise PromptError(f"The prompt file {name}: {error.message}.") from error
        renderer.render(trial)


class Renderer:
    """Turns draws into prompts, for one prompt file, one form and one generator.

    Args:
        template: the prompt file.
        form: ``chat`` or ``continuation``: what the generator's model wants.
        identity: digest of everything else that could change an answer (model, parameters, server).
        context_tokens: the model's context, or None when there is no limit worth minding.
        descriptions: definitions by class name.
        language: language to write in, or None for that of the examples.
    """

    def __init__(
        self,
        template: PromptTemplate,
        form: str,
        identity: str,
        context_tokens: int | None = None,
        descriptions: dict[str, str] | None = None,
        language: str | None = None,
    ) -> None:
        self.template = template
        self.form = form
        # Compiled here and not in the template, which must stay a value that can be pickled.
        self._compiled = {
            name: _ENVIRONMENT.from_string(getattr(template, name).rstrip("\n"))
            for name in ("length", "system", "user", "continuation")
        }
        self._stops = [_ENVIRONMENT.from_string(mark) for mark in template.stop]
        self._identity = identity
        self._context = context_tokens
        self.descriptions = descriptions or {}
        self.language = language or ""

    def render(self, draw: Draw) -> Prompt:
        """Return the prompt of a draw.

        Raises:
            PromptError: the template fails on these values.
        """
        texts, shortened = self._fit_context(draw)
        max_tokens = _answer_limit(texts)
        values = self._values(draw, texts)
        templates = self._compiled
        try:
            values["length"] = templates["length"].render(values)
            messages: tuple[Message, ...] = ()
            text = ""
            stop: tuple[str, ...] = ()
            if self.form == "chat":
                messages = (
                    Message("system", templates["system"].render(values)),
                    Message("user", templates["user"].render(values)),
                )
            else:
                text = templates["continuation"].render(values)
                stops = [mark.render(values) for mark in self._stops]
                stop = tuple(mark for mark in stops if mark and not any(mark in shown for shown in texts))
        except (TemplateError, TypeError, ValueError, ArithmeticError) as error:
            raise PromptError(f"The prompt {self.template.name!r} cannot be rendered: {error}") from error
        seen: dict[str, Any] = {
            "max_tokens": max_tokens,
            "stop": stop,
            "text": text,
            "messages": [[m.role, m.content] for m in messages],
        }
        sha = hashlib.sha256(canonical_json(seen).encode("ascii")).hexdigest()
        place = canonical_json([self._identity, sha, draw.name, draw.number, draw.attempt, draw.seed])
        key = hashlib.sha256(place.encode("ascii")).hexdigest()
        return Prompt(draw, messages, text, stop, max_tokens, shortened, sha, key)

    def _fit_context(self, draw: Draw) -> tuple[tuple[str, ...], int]:
        """Return the originals as they will be shown, and how many of them had to be cut."""
        if self._context is None:
            return draw.texts, 0
        template = self.template
        frame = template.system + template.user if self.form == "chat" else template.continuation
        frame += "".join(template.vary) + self.descriptions.get(draw.name, "") + 2 * draw.name
        # The answer may take twice a mean original, at four bytes a token: as much room as one original has.
        room = self._context * CAUTIOUS_BYTES_PER_TOKEN - len(frame.encode("utf-8", "surrogatepass"))
        return _shorten(draw.texts, (room - ANSWER_MARGIN) * len(draw.texts) / (len(draw.texts) + 1))

    def _values(self, draw: Draw, texts: Sequence[str]) -> dict[str, Any]:
        words = [len(text.split()) for text in texts]
        characters = [len(text) for text in texts]
        # Scripts without blanks (Chinese, Thai, ...) have very long "words": count characters there.
        spaced = sum(characters) <= 20 * sum(words)
        lengths = words if spaced else characters
        fence = '"""'
        while any(fence in text for text in texts):
            fence += '"'
        return {
            "examples": texts,
            "n_examples": len(texts),
            "number": len(texts) + 1,
            "mean_length": max(1, round(sum(lengths) / len(lengths))),
            "length_unit": "words" if spaced else "characters",
            "vary": list(self.template.vary),
            "unit": self.template.unit,
            "category": "" if re.fullmatch(r"[-+\d.]+|True|False", draw.name) else draw.name,
            "description": self.descriptions.get(draw.name, ""),
            "language": self.language,
            "fence": fence,
        }


def _answer_limit(texts: Sequence[str]) -> int:
    """Return twice the tokens of the mean original, and some: room to be longer, an end to rambling."""
    mean = sum(len(text.encode("utf-8", "surrogatepass")) for text in texts) / len(texts)
    return ANSWER_MARGIN + round(2 * mean / BYTES_PER_TOKEN)


def _shorten(texts: tuple[str, ...], room: float) -> tuple[tuple[str, ...], int]:
    """Cut the longest originals to one common length, so that all fit into so many bytes.

    Returns:
        The texts, and how many were cut. A cut text ends at a word, with an ellipsis.
    """
    sizes = [len(text.encode("utf-8", "surrogatepass")) for text in texts]
    if sum(sizes) <= room:
        return texts, 0
    cap = _common_cap(sizes, max(room, 64.0 * len(texts)))
    cut = tuple(text if size <= cap else _cut(text, cap) for text, size in zip(texts, sizes, strict=True))
    return cut, sum(size > cap for size in sizes)


def _common_cap(sizes: Sequence[int], room: float) -> int:
    """Return the size to which the largest items must be cut so that all fit (water filling)."""
    left, count = room, len(sizes)
    for size in sorted(sizes):
        if size * count > left:
            break
        left -= size
        count -= 1
    return int(left / max(count, 1))


def _cut(text: str, cap: int) -> str:
    kept = text.encode("utf-8", "surrogatepass")[: max(cap - 4, 1)].decode("utf-8", "ignore")
    whole = re.match(r".*\s", kept, re.DOTALL)
    # A script without blanks has no word to end at nearby: there the cut falls where it falls.
    return (whole[0].rstrip() if whole and len(whole[0]) > 0.8 * len(kept) else kept) + " …"
