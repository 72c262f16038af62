"""The one place that holds the package's version, and tells those of the libraries beside it."""

import platform
from collections.abc import Iterable
from importlib import metadata

__all__ = ["__version__", "versions"]

__version__ = "0.1.0"


def versions(libraries: Iterable[str]) -> dict[str, str]:
    """Return the versions of this package, of Python, and of those of some libraries that are installed."""
    found = {"synimpute_hf": __version__, "python": platform.python_version()}
    for name in libraries:
        try:
            found[name] = metadata.version(name)
        except metadata.PackageNotFoundError:
            continue
    return found
