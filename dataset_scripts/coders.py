"""From several coders' codes to one class: rules, ties, and how far the coders agree."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass

from synimpute_hf.errors import DataError, nearest

__all__ = ["Agreement", "Rule", "agreement", "most_frequent"]

RULES = ("majority", "unanimous", "threshold:SHARE", "any", "at-least:CODERS")
Codes = Sequence[str | None]


@dataclass(frozen=True)
class Rule:
    """How one text's codes become one code.

    Attributes:
        kind: ``majority`` (more than half), ``unanimous``, ``threshold`` (at least a share), ``at-least`` (a number).
        number: the share (0 to 1], or the number of coders.
        digits: decimals to which a share is rounded before it is compared, so that 2 of 3 meet 0.67.
        minimum: codes that a text must have.
        positive: for ``at-least``, the code that is counted.
        negative: for ``at-least``, the code of the others.
    """

    kind: str
    number: float = 0.5
    digits: int = 2
    minimum: int = 1
    positive: str | None = None
    negative: str | None = None

    @classmethod
    def parse(cls, text: str, minimum: int = 1) -> Rule:
        """Read a rule as it is written on the command line; ``any`` is ``at-least:1``.

        Raises:
            DataError: there is no such rule, or its number is out of range.
        """
        if text in ("majority", "unanimous"):
            return cls(text, minimum=minimum)
        if text == "any":
            return cls("at-least", 1, minimum=minimum)
        if match := re.fullmatch(r"threshold:(\d*\.?(\d*))", text):
            share = float(match[1]) if match[1] not in ("", ".") else 0.0
            if 0 < share <= 1:
                return cls("threshold", share, max(2, len(match[2])), minimum)
        if (match := re.fullmatch(r"at-least:(\d+)", text)) and int(match[1]) > 0:
            return cls("at-least", int(match[1]), minimum=minimum)
        raise DataError(
            f"--rule expects {', '.join(RULES)}; for instance threshold:0.67 or at-least:3. Got {text!r}."
            f"{nearest(text, RULES)}"
        )

    def decide(self, codes: Codes) -> str | None:
        """Return the code that the rule gives, or None where it gives none. Coders without a code don't count."""
        given = [code for code in codes if code is not None]
        if len(given) < max(1, self.minimum):
            return None
        counts = Counter(given)
        if self.kind == "at-least":
            if counts[str(self.positive)] >= self.number:
                return self.positive
            return self.negative if len(given) >= self.number else None
        (code, top), *others = counts.most_common()
        share = top / len(given)
        enough = {
            "majority": share > 0.5,
            "unanimous": top == len(given),
            "threshold": round(share, self.digits) >= self.number,
        }[self.kind]
        return code if enough and not any(count == top for _, count in others) else None


def most_frequent(codes: Codes) -> str | None:
    """Return the code that most coders gave; among equally frequent ones that of the coder who is named first."""
    given = [code for code in codes if code is not None]
    return Counter(given).most_common(1)[0][0] if given else None  # equal counts keep the order of first sight


@dataclass(frozen=True)
class Agreement:
    """How far coders agree, over the texts with at least two codes.

    Attributes:
        texts: how many those are.
        percent: pairs of coders who gave one text the same code, in percent of all such pairs; None without pairs.
        alpha: Krippendorff's alpha for nominal data; None where only one code was ever given, or no text has two.
    """

    texts: int
    percent: float | None
    alpha: float | None


def agreement(texts: Sequence[Codes]) -> Agreement:
    """Return percent agreement and Krippendorff's alpha (nominal, missing codes allowed).

    With ``n_uc`` coders who gave code ``c`` to text ``u``, ``m_u`` their sum over ``c``, ``n_c`` over ``u``, ``n`` over
    both, texts with fewer than two codes left out:
    ``alpha = 1 - (n - 1) * sum_u(sum_c(n_uc * (m_u - n_uc)) / (m_u - 1)) / sum_c(n_c * (n - n_c))``.
    Source: K. Krippendorff, Computing Krippendorff's Alpha-Reliability (2011), section C.

    Args:
        texts: for each text its coders' codes, None where a coder gave none.
    """
    units = [Counter(code for code in codes if code is not None) for codes in texts]
    units = [unit for unit in units if unit.total() > 1]
    totals = sum(units, Counter[str]())
    n = totals.total()
    differing = [sum(count * (unit.total() - count) for count in unit.values()) for unit in units]
    pairs = sum(unit.total() * (unit.total() - 1) for unit in units)
    expected = sum(count * (n - count) for count in totals.values())
    observed = sum(differ / (unit.total() - 1) for differ, unit in zip(differing, units, strict=True))
    return Agreement(
        texts=len(units),
        percent=100 * (1 - sum(differing) / pairs) if pairs else None,
        alpha=1 - (n - 1) * observed / expected if expected else None,
    )
