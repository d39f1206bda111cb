"""What commands print for people."""

from uuid import uuid4

import pytest
from rich.console import Console

from headwater import console


def test_ids_stay_whole_in_a_narrow_terminal(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(console, "out", Console(highlight=False, soft_wrap=True, width=40))
    ids, prose = (str(uuid4()), str(uuid4())), "a word " * 20

    console.show([{"id": ids[0], "order_id": ids[1]}], as_json=False)
    assert capsys.readouterr().out.split() == ["id", "order_id", *ids]

    console.show([{"id": ids[0], "order_id": ids[1], "what": prose}], as_json=False)
    printed = capsys.readouterr().out
    assert all(each in printed for each in ids)
    assert len(printed.splitlines()) > 3  # words go into lines
