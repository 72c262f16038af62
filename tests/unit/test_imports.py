"""The doors open quickly: nothing heavy is loaded before it is needed."""

import subprocess
import sys
import time

import pytest

import synimpute_hf

HEAVY = ("torch", "transformers", "datasets", "openai", "pandas", "pyarrow", "sklearn")


def loaded(code):
    script = f"import sys\n{code}\nprint(' '.join(m for m in {HEAVY!r} if m in sys.modules))"
    return subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True).stdout.split()


def test_importing_the_package_loads_nothing_heavy():
    assert loaded("import synimpute_hf") == []


def test_importing_the_command_line_loads_nothing_heavy():
    assert loaded("import synimpute_hf.cli") == []


def test_the_imputer_needs_no_torch():
    assert not {"torch", "transformers", "openai"} & set(loaded("from synimpute_hf import SyntheticImputer"))


def test_help_is_quick():
    best = 9.0
    for _ in range(3):
        start = time.perf_counter()
        subprocess.run([sys.executable, "-m", "synimpute_hf", "--help"], check=True, capture_output=True)
        best = min(best, time.perf_counter() - start)
    assert best < 1.5  # half a second on an idle core; this machine may be busy


def test_public_names():
    assert dir(synimpute_hf) == sorted(synimpute_hf.__all__)
    for name in synimpute_hf.__all__:
        assert getattr(synimpute_hf, name) is not None
    with pytest.raises(AttributeError, match="nothing_here"):
        _ = synimpute_hf.nothing_here
