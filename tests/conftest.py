"""Options and profiles of the whole suite."""

from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import settings

settings.register_profile("repeatable", derandomize=True, database=None, deadline=None)
settings.load_profile("repeatable")


def pytest_addoption(parser: pytest.Parser) -> None:
    """Add --bless: case files are rewritten with what the code gives now."""
    parser.addoption("--bless", action="store_true", help="rewrite the expected output of case files")


def pytest_configure(config: pytest.Config) -> None:
    """Refuse --bless with workers: two that rewrite one file lose what the other has written."""
    if config.getoption("--bless") and config.getoption("numprocesses", None):
        raise pytest.UsageError("--bless rewrites files that tests share: run it without -n")


@pytest.fixture
def bless(request: pytest.FixtureRequest) -> bool:
    """Whether expected outputs are to be rewritten."""
    return bool(request.config.getoption("--bless"))


SHARED_MODELS = Path(__file__).resolve().parents[2] / "shared" / "models"


@pytest.fixture(scope="session")
def shared_models() -> Path:
    """The folder of real trained models; tests that need it are skipped where it is absent."""
    if not SHARED_MODELS.is_dir():
        pytest.skip(f"no real models: {SHARED_MODELS.parent.name}/{SHARED_MODELS.name} beside the repository is absent")
    return SHARED_MODELS


@pytest.fixture(scope="session", autouse=True)
def without_float_check() -> Iterator[None]:
    """Compile without the check beside it, which has tests of its own: hundreds of compiles would wait for it."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("cimc.command_line.float_checking.SAMPLES", 0)
        yield
