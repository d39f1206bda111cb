"""Every reader under a fuzzer that is led by coverage, beside the blind one of test_documents_fuzz.py. `FUZZ_EXAMPLES` says how
many inputs it tries."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.unit.test_documents_fuzz import OPTIONS, READABLE, TARGETS, seeds

ROOT = Path(__file__).parents[2]
RUNS = int(os.environ.get("FUZZ_EXAMPLES", "60")) * 30
LIMITS = ("-timeout=30", "-rss_limit_mb=2048", "-max_len=4096", f"-max_total_time={RUNS // 10}")


@pytest.mark.parametrize("format_", READABLE)
def test_whatever_reaches_new_lines_is_read_or_refused(format_: str, tmp_path: Path) -> None:
    for number, seed in enumerate(seeds(format_)):
        for target in range(len(TARGETS)):
            (tmp_path / f"{number}-{target}").write_bytes(bytes([target, target % len(OPTIONS)]) + seed)
    command = (sys.executable, "-m", "tests.fuzz.readers", format_, f"-runs={RUNS}", *LIMITS)

    done = subprocess.run(
        (*command, f"-artifact_prefix={tmp_path}/", str(tmp_path)),
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
    )

    assert done.returncode == 0, done.stdout[-4_000:] + done.stderr[-4_000:]
    assert "DONE" in done.stderr
