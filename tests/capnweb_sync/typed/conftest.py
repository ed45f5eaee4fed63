"""The typed API of `bank`, written and imported."""

import importlib.util
from pathlib import Path
from types import ModuleType

import pytest

from capnweb_sync.shell.api_module import write_module
from tests.capnweb_sync.typed.bank import Bank


@pytest.fixture(scope="session")
def bank_api_file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    file = tmp_path_factory.mktemp("typed") / "bank_api.py"
    file.write_text(write_module([Bank], "capnweb stubs bank:Bank"), encoding="utf-8")
    return file


@pytest.fixture(scope="session")
def bank_api(bank_api_file: Path) -> ModuleType:
    spec = importlib.util.spec_from_file_location("bank_api", bank_api_file)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module
