"""`pytest --bless` rewrites files that several tests share: workers would undo what others have written."""

import subprocess
import sys
from pathlib import Path

import pytest

TESTS = Path(__file__).parent


@pytest.mark.parametrize(("workers", "status"), [("2", pytest.ExitCode.USAGE_ERROR), ("0", pytest.ExitCode.OK)])
def test_blessing_is_refused_with_workers(workers: str, status: int) -> None:
    line = ["--bless", "-n", workers, "--collect-only", "-q", "-p", "no:cacheprovider", "isa/test_documents.py"]
    done = subprocess.run(
        [sys.executable, "-m", "pytest", *line], cwd=TESTS, capture_output=True, text=True, check=False
    )
    assert done.returncode == status, done.stderr
    assert ("run it without -n" in done.stderr) == (workers == "2")
