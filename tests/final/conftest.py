from __future__ import annotations

import os
import sys
from pathlib import Path

import pytest
from final_tools import searched

from recsearch.run import RunView


@pytest.fixture(scope="session")
def noisy_run(tmp_path_factory: pytest.TempPathFactory) -> RunView:
    """Not to be changed: copy it."""
    return searched(tmp_path_factory.mktemp("noisy"))


@pytest.fixture
def log(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Where the noisy model writes every epoch that it trains."""
    monkeypatch.setenv("NOISY_LOG", str(tmp_path / "trained.log"))
    here = Path(__file__).parent
    monkeypatch.setenv("PYTHONPATH", os.pathsep.join([str(here), str(here.parent), *sys.path]))
    return tmp_path / "trained.log"
