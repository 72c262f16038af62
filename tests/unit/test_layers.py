"""The house rules that a machine can check: import direction, exports, sizes, no broad except."""

import ast
from pathlib import Path

import pytest

PACKAGE = Path(__file__).parents[2] / "synimpute_hf"
# Rooms from the top down; rooms of one line are siblings. Imports point up only.
ROOMS = [
    ["version", "errors", "tables"],
    ["records", "facts", "engines"],
    ["seeding", "registry", "prices", "stats", "audit_facts"],
    ["shingles"],
    [
        "journal",
        "columns",
        "budget",
        "pacing",
        "answers",
        "openai_wire",
        "pretrained",
        "fitstore",
        "learning",
        "sheets",
        "diversity",
    ],
    ["causal_lm", "encoder", "chat_client", "batch_client", "typeset"],
    ["planning", "drawing", "prompts", "generators", "corpus", "metrics", "augmenters"],
    ["classifiers", "validators"],
    ["generation", "mapping", "folds", "training"],
    ["progress", "arms", "two_sample"],
    ["imputer", "sample", "provenance", "trainer_sets"],
    ["assembly", "findings", "estimation"],
    ["predictions"],
    ["crossval"],
    ["calibration", "figures", "trainer_crossval"],
    ["inputs", "cards", "report", "audit_report", "experiment_report", "coding", "estimate_report", "methods"],
    ["callback", "outputs"],
    ["publishing", "audit"],
    ["finetune", "hub", "review", "verification"],
    ["experiments"],
    ["cli", "__init__"],
    ["__main__"],
]
# The one is the other on fewer classes, or in another language.
KIN = {("finegrained.py", "threshold"), ("multilingual.py", "prompt")}
LEVEL = {room: level for level, rooms in enumerate(ROOMS) for room in rooms}
FILES = sorted(PACKAGE.rglob("*.py"))


def room_of(path):
    return path.relative_to(PACKAGE).parts[0].removesuffix(".py")


def imported_rooms(path):
    """Yield the rooms that a file imports at run time, with the line; type-checking imports are free."""
    tree = ast.parse(path.read_text())
    skipped = {
        child
        for node in ast.walk(tree)
        if isinstance(node, ast.If) and "TYPE_CHECKING" in ast.unparse(node.test)
        for child in ast.walk(node)
    }
    depth = len(path.relative_to(PACKAGE).parts)
    for node in ast.walk(tree):
        if isinstance(node, ast.ImportFrom) and node.level and node not in skipped:
            inner = depth - node.level  # 1: a sibling of the file's own folder
            names = [node.module] if node.module else [alias.name for alias in node.names]
            for name in names:
                home = path.parent.name if inner else name.split(".")[0]
            # A door opens on all of its rooms.
            if not (
                path.name == "__init__.py"
                and inner
                and home in ("cli", "cards", "experiments", "review", "verification")
            ):
                yield home, name, node.lineno


@pytest.mark.parametrize("path", FILES, ids=lambda p: str(p.relative_to(PACKAGE)))
def test_imports_point_up(path):
    room = room_of(path)
    for other, name, line in imported_rooms(path):
        if other == room:
            assert name == "base" or (path.name, name) in KIN, f"{path.name}:{line} imports its sibling {name}"
        elif other != "version":
            assert LEVEL[other] < LEVEL[room], f"{path.name}:{line}: {room} imports {other}, which is not above it"


@pytest.mark.parametrize("path", FILES, ids=lambda p: str(p.relative_to(PACKAGE)))
def test_house_style(path):
    tree = ast.parse(path.read_text())
    for node in ast.walk(tree):
        if isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef)):
            assert node.end_lineno - node.lineno < 70, f"{path.name}: {node.name} is too long"
        if isinstance(node, ast.ExceptHandler):
            assert node.type is not None, f"{path.name}:{node.lineno}: bare except"
            broad = {"Exception", "BaseException"} & {n.id for n in ast.walk(node.type) if isinstance(n, ast.Name)}
            assert not broad, f"{path.name}:{node.lineno}: broad except"
    assert path.name not in ("utils.py", "helpers.py", "common.py")
    exports = [n for n in tree.body if isinstance(n, ast.Assign) and ast.unparse(n.targets[0]) == "__all__"]
    if path.name == "__main__.py":
        return
    (exported,) = exports
    names = ast.literal_eval(exported.value)
    assert len(names) == len(set(names))  # ruff sorts them
    defined = {n.name for n in tree.body if isinstance(n, (ast.FunctionDef, ast.ClassDef))}
    defined |= {a.asname or a.name for n in ast.walk(tree) if isinstance(n, ast.ImportFrom) for a in n.names}
    defined |= {ast.unparse(t) for n in tree.body if isinstance(n, ast.Assign) for t in n.targets}
    defined |= {ast.unparse(n.target) for n in tree.body if isinstance(n, ast.AnnAssign)}
    assert set(names) <= defined
