"""``eda``: Easy Data Augmentation (Wei and Zou 2019, EMNLP, arXiv 1901.11196), for any language with blanks.

Each new text is the original after one of four operations: n words replaced by synonyms, n synonyms inserted, n swaps
of two words, or each word deleted with probability alpha; n = max(1, alpha * words). As in the authors' code the
operations come in equal numbers: four copies of one original use all four, in a random order.

Other than in the authors' code a text keeps its case, its punctuation and its letters outside a to z. Synonyms are no
part of this package; see ``EdaSettings.synonyms`` for where they come from and what is done without.
"""

from __future__ import annotations

import hashlib
import os
import sys
import unicodedata
import warnings
import zipfile
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from itertools import product
from pathlib import Path
from typing import Annotated, Any, ClassVar, Union

from pydantic import Field

from ..errors import PlanError, SynimputeWarning
from ..registry import Settings
from ..seeding import derive_seed, random_words
from .base import Augmenter

__all__ = ["PLUGIN", "EdaAugmenter", "EdaSettings"]

Draw = Callable[[int], int]
Folder = Union[Path, zipfile.Path]  # noqa: UP007

# What WordNet lists as a noun or a verb ("a" the vitamin, "in" the state) but a text means as a function word.
STOP_WORDS = """
a about above after again against all am an and any are as at be because been before being below between both but by
can did do does doing don down during each few for from further had has have having he her here hers herself him
himself his how i if in into is it its itself just me more most my myself no nor not now of off on once only or other
our ours ourselves out over own s same she should so some such t than that the their theirs them themselves then there
these they this those through to too under until up very was we were what when where which while who whom why will
with you your yours yourself yourselves
"""
# Endings that WordNet's own programs detach to find a base form (morphy(7WN)).
ENDINGS = {
    "noun": "s: ses:s ves:f xes:x zes:z ches:ch shes:sh men:man ies:y",
    "verb": "s: ies:y es:e es: ed:e ed: ing:e ing:",
    "adj": "er: est: er:e est:e",
    "adv": "",
}


@dataclass(frozen=True)
class EdaSettings(Settings):
    """Options of ``eda``.

    Attributes:
        alpha: share of a text's words that an operation changes, in (0, 1]; 0.1, as in the paper.
        synonyms: where synonyms come from.
            ``wordnet``: WordNet where this machine has it, as the authors use: what ``nltk.download("wordnet")`` or
            Debian's package ``wordnet-base`` brings.
            A path: a folder or zip archive of WordNet's files, or a UTF-8 file with words that may stand for each
            other on each line, with commas or tabs between them, in any language (``car, automobile, motor car``).
            ``none``: no synonyms. Nothing is replaced, and insertion repeats a word of the text at another place.
            Not given: likewise, with a warning.
    """

    alpha: Annotated[float, Field(gt=0, le=1)] = 0.1
    synonyms: str | None = None


class EdaAugmenter(Augmenter):
    """Replaces, inserts, swaps or deletes a few words."""

    key = "eda"
    settings_class = EdaSettings
    settings: EdaSettings

    operations: ClassVar[tuple[str, ...]] = ("replace", "insert", "swap", "delete")

    @classmethod
    def from_options(cls, argument: str, options: Mapping[str, Any]) -> Augmenter:
        """Make an augmenter; warns where nothing was said about synonyms."""
        made = super().from_options(argument, options)
        if options.get("synonyms") is None:
            warnings.warn(
                "eda has no synonyms: it replaces no word, and where the paper inserts a synonym it repeats a word of "
                "the text. Swaps and deletions are the paper's. Say eda:synonyms=wordnet (with WordNet on this "
                "machine), eda:synonyms=FILE with interchangeable words on each line, or eda:synonyms=none if that "
                "is what you want.",
                SynimputeWarning,
                stacklevel=2,
            )
        return made

    def __getstate__(self) -> dict[str, Any]:
        return {key: value for key, value in self.__dict__.items() if key != "_lexicon"}

    @property
    def parameters(self) -> Mapping[str, Any]:
        """Alpha, and a digest of the synonyms, wherever they stand; None without any."""
        return {"alpha": self.settings.alpha, "synonyms": self._lexicon.sha256 if self._lexicon else None}

    @cached_property
    def _lexicon(self) -> _Lexicon | None:
        asked = self.settings.synonyms
        if asked is None or asked == "none":
            return None
        if asked == "wordnet":
            return _read_wordnet(_find_wordnet())
        path = Path(asked)
        folder = zipfile.Path(path) if zipfile.is_zipfile(path) else path
        if path.is_file() and folder is path:
            return _read_groups(path)
        found = _wordnet_inside(folder)
        if found is None:
            raise PlanError(
                f"synonyms={asked}: there is neither a file with interchangeable words on each line nor a folder or "
                "zip archive of WordNet's files (data.noun and so on). Expected such a path, 'wordnet' or 'none'."
            )
        return _read_wordnet(found)

    def close(self) -> None:
        """Let go of the synonyms."""
        self.__dict__.pop("_lexicon", None)

    def augment(self, texts: Sequence[str], copies: int, seed: int) -> list[list[str]]:
        """Return for each text ``copies`` texts, each after one operation; of words with single blanks between.

        Raises:
            PlanError: the synonyms cannot be read.
        """
        return [[self._copy(text, number, seed) for number in range(copies)] for text in texts]

    def _copy(self, text: str, number: int, seed: int) -> str:
        words = text.split()
        if not words:
            return text
        operations = list(self.operations if self._lexicon else self.operations[1:])
        turn, place = divmod(number, len(operations))
        _shuffle(operations, _stream(self.key, seed, text, "order", turn))
        draw = _stream(self.key, seed, text, number)
        count = max(1, int(self.settings.alpha * len(words)))
        operation = operations[place]
        if operation == "replace":
            words = self._replace(words, count, draw)
        elif operation == "insert":
            self._insert(words, count, draw)
        elif operation == "swap":
            _swap(words, count, draw)
        else:
            words = _delete(words, self.settings.alpha, draw)
        return " ".join(words)

    def _replace(self, words: list[str], count: int, draw: Draw) -> list[str]:
        """Replace up to ``count`` different words, each wherever it stands."""
        chosen: dict[str, str] = {}
        order = list(dict.fromkeys(_bare(word).casefold() for word in words))
        _shuffle(order, draw)
        for word in order:
            if synonyms := self._synonyms(word):
                chosen[word] = synonyms[draw(len(synonyms))]
            if len(chosen) == count:
                break
        return [_dressed(chosen[bare], word) if (bare := _bare(word).casefold()) in chosen else word for word in words]

    def _insert(self, words: list[str], count: int, draw: Draw) -> None:
        """Insert synonyms of ``count`` words of the text, or without any synonyms those words themselves."""
        if self._lexicon is None:
            offers = [[_bare(word) or word] for word in words]
        else:
            offers = [found for word in words if (found := self._synonyms(_bare(word).casefold()))]
        for _ in range(count if offers else 0):
            offer = offers[draw(len(offers))]
            words.insert(draw(len(words) + 1), offer[draw(len(offer))])

    def _synonyms(self, word: str) -> list[str]:
        return self._lexicon.of(word) if self._lexicon else []


def _swap(words: list[str], count: int, draw: Draw) -> None:
    """Swap two words, ``count`` times."""
    for _ in range(count if len(words) > 1 else 0):
        first = draw(len(words))
        second = (first + 1 + draw(len(words) - 1)) % len(words)
        words[first], words[second] = words[second], words[first]


def _delete(words: list[str], probability: float, draw: Draw) -> list[str]:
    """Leave out each word with a probability; one word always stays."""
    kept = [word for word in words if draw(2**53) >= probability * 2**53]
    return kept or [words[draw(len(words))]]


def _stream(*parts: Any) -> Draw:
    """Return a function that draws from ``range(n)``, from a stream that belongs to the parts."""
    numbers = random_words(derive_seed(*parts))
    return lambda size: next(numbers) % size


def _shuffle(items: list[str], draw: Draw) -> None:
    for last in range(len(items) - 1, 0, -1):
        other = draw(last + 1)
        items[last], items[other] = items[other], items[last]


def _edges(word: str) -> tuple[int, int]:
    """Return where a word's inner part begins and ends, without the punctuation around it."""
    inner = [place for place, letter in enumerate(word) if unicodedata.category(letter)[0] in "LMN"]
    return (inner[0], inner[-1] + 1) if inner else (0, 0)


def _bare(word: str) -> str:
    start, end = _edges(word)
    return word[start:end]


def _dressed(synonym: str, word: str) -> str:
    """Put a synonym in a word's place, with its punctuation and its capital."""
    start, end = _edges(word)
    if word[start].isupper():
        synonym = synonym[:1].upper() + synonym[1:]
    return word[:start] + synonym + word[end:]


@dataclass
class _Lexicon:
    """Synonyms by word, for each part of speech, with irregular forms and endings.

    Attributes:
        sha256: digest of the files it was read from.
    """

    sha256: str
    synonyms: dict[str, dict[str, list[str]]]
    irregular: dict[str, dict[str, list[str]]] = field(default_factory=dict)
    skipped: frozenset[str] = frozenset()
    _known: dict[str, list[str]] = field(default_factory=dict)

    def of(self, word: str) -> list[str]:
        """Return a case-folded word's synonyms, sorted, without the word itself and its own base forms."""
        if word not in self._known:
            self._known[word] = sorted(self._find(word))
        return self._known[word]

    def _find(self, word: str) -> set[str]:
        if not word or word in self.skipped:
            return set()
        found: set[str] = set()
        own = {word}
        for part, table in self.synonyms.items():
            forms = {word, *self._base_forms(word, part)}
            own |= forms
            for form in forms:
                found.update(table.get(form, ()))
        return {synonym for synonym in found if synonym.casefold() not in own}

    def _base_forms(self, word: str, part: str) -> Iterator[str]:
        irregular = self.irregular.get(part, {}).get(word)
        if irregular:
            yield from irregular
            return
        for rule in ENDINGS.get(part, "").split():
            ending, _, instead = rule.partition(":")
            if word.endswith(ending):
                yield word[: -len(ending)] + instead


def _read_groups(path: Path) -> _Lexicon:
    """Read a file of interchangeable words, one group a line."""
    table: dict[str, list[str]] = {}
    try:
        data = path.read_bytes()
        lines = data.decode("utf-8-sig").splitlines()
    except (OSError, UnicodeDecodeError) as error:
        raise PlanError(f"The synonyms in {path} cannot be read as UTF-8 text: {error}") from error
    for line in lines:
        group = [" ".join(word.split()) for word in line.replace("\t", ",").split(",")]
        _add(table, [word for word in group if word])
    if not table:
        raise PlanError(
            f"There are no synonyms in {path}. Expected words that may stand for each other on each line, with commas "
            "or tabs between them: car, automobile, motor car"
        )
    return _Lexicon(hashlib.sha256(data).hexdigest(), {"": table})


def _add(table: dict[str, list[str]], group: Sequence[str]) -> None:
    if len(group) > 1:
        for word in group:
            table.setdefault(word.casefold(), []).extend(group)


def _wordnet_inside(folder: Folder) -> Folder | None:
    """Return where WordNet's files are: in the folder, or one below it as in nltk's archive."""
    if not folder.is_dir():
        return None
    places: list[Folder] = [folder, *(entry for entry in folder.iterdir() if entry.is_dir())]
    return next((place for place in places if (place / "data.noun").is_file()), None)


def _find_wordnet() -> Folder:
    """Return this machine's WordNet, from where nltk and Debian keep it.

    Raises:
        PlanError: there is none.
    """
    roots = [Path(part) for part in os.environ.get("NLTK_DATA", "").split(os.pathsep) if part]
    bases = (sys.prefix, Path(sys.prefix, "share"), Path(sys.prefix, "lib"), "/usr/share", "/usr/local/share")
    roots += [Path.home() / "nltk_data", *(Path(base) / "nltk_data" for base in (*bases, "/usr/lib", "/usr/local/lib"))]
    places = [root / "corpora" / name for root, name in product(roots, ("wordnet", "wordnet.zip"))]
    own = os.environ.get("WNSEARCHDIR")
    for path in [*([Path(own)] if own else []), *places, Path("/usr/share/wordnet")]:
        found = _wordnet_inside(zipfile.Path(path) if path.is_file() else path)
        if found is not None:
            return found
    raise PlanError(
        'eda:synonyms=wordnet finds no WordNet on this machine. Get it with nltk (pip install nltk; python -c "import '
        "nltk; nltk.download('wordnet')\") or from Debian (apt-get install wordnet-base), or say where its files are: "
        "eda:synonyms=FOLDER."
    )


def _read_wordnet(folder: Folder) -> _Lexicon:
    """Read the synonym sets and irregular forms from WordNet's files; their form is in wndb(5WN)."""
    sha = hashlib.sha256()
    synonyms: dict[str, dict[str, list[str]]] = {}
    irregular: dict[str, dict[str, list[str]]] = {}
    for part in ENDINGS:
        synonyms[part], irregular[part] = {}, {}
        data = (folder / f"data.{part}").read_bytes()
        sha.update(data)
        for line in data.decode("utf-8").splitlines():
            if line.startswith("  "):  # the licence
                continue
            fields = line.partition("|")[0].split(" ")
            # "galore(ip)" says where an adjective stands
            names = [name.partition("(")[0] for name in fields[4 : 4 + 2 * int(fields[3], 16) : 2]]
            _add(synonyms[part], [name.replace("_", " ") for name in names])
        forms = folder / f"{part}.exc"
        data = forms.read_bytes() if forms.is_file() else b""
        sha.update(data)
        for line in data.decode("utf-8").splitlines():
            form, *bases = line.split()
            irregular[part].setdefault(form, []).extend(bases)
    return _Lexicon(sha.hexdigest(), synonyms, irregular, frozenset(STOP_WORDS.split()))


PLUGIN = EdaAugmenter
