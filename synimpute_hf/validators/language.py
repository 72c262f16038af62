"""``language``: in a language of the originals."""

from __future__ import annotations

import warnings
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from importlib import metadata
from typing import Annotated, Any

from pydantic import Field

from ..errors import MissingPackageError, SynimputeWarning
from .base import Case, Finding, Reference, Settings, Validator

__all__ = ["PLUGIN", "LanguageSettings", "LanguageValidator", "load_detector"]

OTHER = "another language"
RARE = 0.02
SURE = 0.5
SAMPLE = 200
# What people write for a language, apart from its code: its name in English and its own.
_NAMES = """ar arabic; bg bulgarian; bn bengali; ca catalan; cs czech; cy welsh; da danish dansk; de german deutsch;
el greek; en english; es spanish español castellano; et estonian eesti; eu basque euskara; fa persian farsi;
fi finnish suomi; fr french français; ga irish gaeilge; gl galician galego; he hebrew; hi hindi; hr croatian hrvatski;
hu hungarian magyar; hy armenian; id indonesian; is icelandic; it italian italiano; ja japanese; ka georgian;
ko korean; lt lithuanian; lv latvian; mk macedonian; nl dutch nederlands; no norwegian norsk; pl polish polski;
pt portuguese português; ro romanian română; ru russian; sk slovak; sl slovenian; sq albanian shqip; sr serbian;
sv swedish svenska; sw swahili; th thai; tr turkish türkçe; uk ukrainian; ur urdu; vi vietnamese; zh chinese"""
# Languages that a detector cannot keep apart in a sentence or two.
_ALIKE = ({"nb", "nn", "no", "da"}, {"hr", "sr", "bs"}, {"zh", "wuu", "yue"}, {"id", "ms"}, {"de", "lb"}, {"en", "pcm"})


@dataclass(frozen=True)
class LanguageSettings(Settings):
    """Options.

    Attributes:
        confidence: probability of one other language from which a text is rejected, where also
        least: the probability of all languages of the originals together is below this. Of very short texts no detector
            is sure; those pass.
    """

    confidence: Annotated[float, Field(gt=0, lt=1)] = 0.3
    least: Annotated[float, Field(gt=0, lt=1)] = 0.01


def load_detector() -> Any:
    """Return the detector of languages: ``classify(text)`` gives the likeliest language and its probability.

    Raises:
        MissingPackageError: py3langid is not installed.
    """
    try:
        from py3langid.langid import MODEL_FILE, LanguageIdentifier
    except ModuleNotFoundError as error:
        raise MissingPackageError(
            "The validator 'language' needs py3langid. Install it with: pip install \"synimpute-hf[quality]\""
        ) from error
    # One of our own: the module's has settings that others may change.
    return LanguageIdentifier.from_model_file(MODEL_FILE, norm_probs=True)


class LanguageValidator(Validator):
    """py3langid: naive Bayes over byte n-grams, 139 languages, 5 MB, without a network; the same answer each time."""

    key = "language"
    settings_class = LanguageSettings
    cost = 1
    needs = "py3langid"
    costs = "a tenth of a millisecond a text"
    settings: LanguageSettings

    def prepare(self, reference: Reference) -> None:
        """Find the languages of each class's originals, or take the one that was asked for.

        Raises:
            MissingPackageError: py3langid is not installed.
        """
        self._detector = load_detector()
        self._asked = self._code(reference.language)
        self._own = {name: self._languages(texts) for name, texts in reference.texts.items()}

    @property
    def identity(self) -> dict[str, Any]:
        """The options, and the detector by its version."""
        detector = next((f"py3langid {found.version}" for found in metadata.distributions(name="py3langid")), "none")
        return {"name": self.key, "parameters": {**self.settings.__dict__, "detector": detector}}

    def judge(self, cases: Sequence[Case]) -> Sequence[Finding]:
        """Return the probability of the languages that a text may be in as the figure."""
        return [self._judge(case) for case in cases]

    def _judge(self, case: Case) -> Finding:
        own = self._own.get(case.name) or self._languages(case.shown) if self._asked is None else self._asked
        if not own:
            return Finding()
        ranked = self._detector.rank(case.text)
        (top, probability), share = ranked[0], sum(p for language, p in ranked if language in own)
        other = top not in own and probability >= self.settings.confidence and share < self.settings.least
        return Finding(OTHER if other else "", round(float(share), 4))

    def _languages(self, texts: Sequence[str]) -> frozenset[str]:
        """Return the languages of the texts of which the detector is sure, without strays."""
        sure: Counter[str] = Counter()
        for text in texts[:SAMPLE]:
            language, probability = self._detector.classify(text)
            sure[language] += probability >= SURE
        found = {language for language, times in sure.items() if times > RARE * sure.total()}
        return _with_alike(found)

    def _code(self, asked: str) -> frozenset[str] | None:
        """Return the code of a language as a user writes it, and of those like it; None where nothing was asked."""
        word = asked.strip().lower()
        if not word:
            return None
        names = {name: entry.split()[0] for entry in _NAMES.split(";") for name in entry.split()}
        first = word.replace("_", "-").split("-")[0]
        code = names.get(word) or names.get(first) or (first if first in self._detector.labels else "")
        if not code:
            warnings.warn(
                f"The validator 'language' does not know the language {asked!r}, and lets every text pass. Write its "
                "name in English or its ISO 639-1 code, such as 'German' or 'de', or leave the validator out.",
                SynimputeWarning,
                stacklevel=2,
            )
        return _with_alike({code} if code else set())


def _with_alike(languages: set[str]) -> frozenset[str]:
    return frozenset(languages.union(*(group for group in _ALIKE if group & languages)))


PLUGIN = LanguageValidator
