"""The import table of docs/architecture.md, enforced on the source and on what really loads."""

from __future__ import annotations

import ast
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent

FORBIDDEN: dict[str, tuple[str, ...]] = {
    "recsearch/store": (
        "ray", "lenskit", "recsearch.models", "recsearch.data", "recsearch.evaluation",
        "recsearch.tuning", "recsearch.trial", "recsearch.run", "recsearch.cli", "analysis",
    ),
    "recsearch/data": (
        "ray", "torch", "recsearch.models", "recsearch.store", "recsearch.evaluation",
        "recsearch.tuning", "recsearch.trial", "recsearch.run", "analysis",
    ),
    "recsearch/evaluation": (
        "ray", "lenskit", "torch", "recsearch.models", "recsearch.store", "recsearch.tuning",
        "recsearch.trial", "recsearch.run", "analysis",
    ),
    "recsearch/models": (
        "ray", "recsearch.store", "recsearch.tuning", "recsearch.trial", "recsearch.run",
        "analysis",
    ),
    "recsearch/display": (
        "ray", "lenskit", "torch", "recsearch.models", "recsearch.store", "recsearch.tuning",
        "recsearch.cli", "analysis",
    ),
    "recsearch/suggest": ("ray", "lenskit", "torch", "recsearch.tuning", "recsearch.run"),
    "recsearch/tracking": (
        "ray", "lenskit", "torch", "recsearch.models", "recsearch.data", "recsearch.store",
        "recsearch.tuning", "recsearch.request", "analysis",
    ),
    "analysis": (
        "ray", "torch", "lenskit", "recsearch.tuning", "recsearch.models", "recsearch.data",
        "recsearch.loading", "recsearch.measuring", "recsearch.samples", "recsearch.profiling",
    ),
}  # fmt: skip
"""Room to the modules that nothing in it may import."""


def imports(path: Path) -> Iterator[tuple[str, bool]]:
    """Every module imported by a file, and whether at module level (as it runs on import)."""
    tree = ast.parse(path.read_text(encoding="utf-8"))
    typing_only = {
        id(inner)
        for node in ast.walk(tree)
        if isinstance(node, ast.If) and "TYPE_CHECKING" in ast.unparse(node.test)
        for inner in ast.walk(node)
    }
    inside = {
        id(inner)
        for node in ast.walk(tree)
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)
        for inner in ast.walk(node)
    }
    for node in ast.walk(tree):
        if id(node) in typing_only:
            continue
        if isinstance(node, ast.Import):
            for alias in node.names:
                yield alias.name, id(node) not in inside
        elif isinstance(node, ast.ImportFrom) and node.module:
            yield node.module, id(node) not in inside


def sources() -> list[Path]:
    return sorted([*ROOT.glob("recsearch/**/*.py"), *ROOT.glob("analysis/**/*.py")])


def within(module: str, package: str) -> bool:
    return module == package or module.startswith(f"{package}.")


@pytest.mark.parametrize("room", FORBIDDEN)
def test_rooms_import_only_what_they_may(room: str) -> None:
    files = sorted((ROOT / room).glob("**/*.py"))
    assert files
    wrong = [
        f"{path.relative_to(ROOT)} imports {module}"
        for path in files
        for module, _ in imports(path)
        if any(within(module, name) for name in FORBIDDEN[room])
    ]
    assert wrong == []


def test_only_tuning_imports_ray() -> None:
    wrong = [
        str(path.relative_to(ROOT))
        for path in sources()
        if "recsearch/tuning/" not in path.as_posix()
        and any(within(module, "ray") for module, _ in imports(path))
    ]
    assert wrong == []


def test_lenskit_and_torch_stay_in_models_and_data() -> None:
    allowed = ("recsearch/models/", "recsearch/data/")
    wrong = [
        f"{path.relative_to(ROOT)}: {module}"
        for path in sources()
        if not any(room in path.as_posix() for room in allowed)
        for module, at_top in imports(path)
        if at_top and (within(module, "lenskit") or within(module, "torch"))
    ]
    assert wrong == []


def test_tools_are_imported_where_they_are_fed_and_on_use() -> None:
    tools = ("wandb", "mlflow", "tensorboardX", "optuna", "sqlalchemy")
    rooms = {"tracking", "studies.py", "study_export.py"}
    wrong = [
        f"{path.relative_to(ROOT)}: {module}"
        for path in sources()
        for module, at_top in imports(path)
        if any(within(module, tool) for tool in tools)
        and (at_top or not {path.name, path.parent.name} & rooms)
        and "analysis/" not in path.as_posix()
    ]
    assert wrong == []


def test_the_store_needs_torch_only_where_a_tensor_is_handed_in() -> None:
    allowed = {"tensors.py", "torch_hook.py", "torch_state.py", "transfer.py"}
    wrong = {
        path.name
        for path in (ROOT / "recsearch/store").glob("*.py")
        if any(within(module, "torch") for module, _ in imports(path))
    } - allowed
    assert wrong == set()


def test_nothing_imports_the_command_line() -> None:
    wrong = [
        str(path.relative_to(ROOT))
        for path in sources()
        if "recsearch/cli/" not in path.as_posix()
        and path.name != "__main__.py"
        and any(within(module, "recsearch.cli") for module, _ in imports(path))
    ]
    assert wrong == []


def test_nothing_reads_code_from_disk_or_network() -> None:
    banned = {"pickle", "cPickle", "dill", "cloudpickle", "marshal", "shelve"}
    wrong = [
        f"{path.relative_to(ROOT)}: {module}"
        for path in sources()
        for module, _ in imports(path)
        if module.partition(".")[0] in banned
    ]
    assert wrong == []


@pytest.mark.parametrize(
    "arguments",
    [
        ["--help"],
        ["search", "--help"],
        ["store", "--help"],
        ["track", "--help"],
        ["export", "--help"],
    ],
)
def test_help_loads_neither_ray_nor_torch_nor_lenskit(arguments: list[str]) -> None:
    script = (
        "import sys\n"
        "from recsearch.cli import main\n"
        f"try: main({arguments!r})\n"
        "except SystemExit as end: assert not end.code, end.code\n"
        "heavy = {'ray', 'torch', 'lenskit', 'matplotlib', 'pandas', 'hyperopt', 'numba',\n"
        "         'optuna', 'sklearn', 'wandb', 'mlflow', 'tensorboardX'}\n"
        "loaded = heavy & set(sys.modules)\n"
        "assert not loaded, loaded\n"
    )
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
