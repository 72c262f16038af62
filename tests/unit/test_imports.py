"""The doors open quickly: nothing heavy is loaded before it is needed."""

import subprocess
import sys
import time

import pytest

import synimpute_hf

HEAVY = (
    "torch",
    "transformers",
    "datasets",
    "openai",
    "pandas",
    "pyarrow",
    "sklearn",
    "scipy",
    "evaluate",
    "matplotlib",
    "joblib",
    "numpy",
    "rapidfuzz",
    "ray",
    "distributed",
)


def loaded(code):
    script = f"import sys\n{code}\nprint('loaded', *(m for m in {HEAVY!r} if m in sys.modules))"
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    return done.stdout.splitlines()[-1].split()[1:]


def test_importing_the_package_loads_nothing_heavy():
    assert loaded("import synimpute_hf") == []


def test_importing_the_command_line_loads_nothing_heavy():
    assert loaded("import synimpute_hf.cli") == []


@pytest.mark.parametrize("command", ["", "impute", "crossval", "calibrate", "report", "review"])
def test_help_loads_nothing_heavy(command):
    asked = f"sys.argv = ['synimpute', *{command.split()!r}, '--help']"
    code = f"from synimpute_hf.cli import main\n{asked}\ntry:\n    main()\nexcept SystemExit:\n    pass"
    assert loaded(code) == []


def test_what_reads_and_plans_a_cross_validation_loads_no_classifier():
    heavy = {"torch", "transformers", "sklearn", "scipy", "evaluate", "matplotlib", "ray", "distributed"}
    assert not heavy & set(loaded("import synimpute_hf.crossval, synimpute_hf.report, synimpute_hf.engines"))


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
