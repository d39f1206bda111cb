"""What docs/sagas.md shows is what the tables say, and what it teaches works."""

import json
import re
import sys
from pathlib import Path
from types import ModuleType
from typing import Any
from uuid import UUID

import pytest

from headwater.wiring_sagas import SAGAS
from infra.schema_compiler import generate
from shared_kernel.saga import Definition
from shared_kernel.saga_diagram import diagram
from tests.orders import Told
from tests.unit.saga_story import Story

PAGE = (Path(__file__).parents[2] / "docs" / "sagas.md").read_text()
T = Told(UUID(int=7))


def blocks(language: str) -> list[str]:
    return re.findall(rf"^```{language}\n(.*?)^```", PAGE, re.MULTILINE | re.DOTALL)


def test_the_charts_are_what_the_tables_say() -> None:
    assert blocks("mermaid") == [f"{diagram(each)}\n" for each in SAGAS]


def test_every_word_of_a_table_is_in_its_chart() -> None:
    for each in SAGAS:
        chart = diagram(each)
        words = [event.__name__ for event in each.events] + [step.name for step in each.each_step()]
        assert [word for word in words if word not in chart] == []


@pytest.fixture
def parcels(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> ModuleType:
    """The tutorial's words, made into classes as `headwater schemas generate` does."""
    (schemas,) = blocks("json")
    (tmp_path / "parcels").mkdir()
    for schema in json.loads(schemas):
        name = re.sub(r"(?<!^)(?=[A-Z])", "_", schema["name"]).lower()
        (tmp_path / "parcels" / f"{name}.1.avsc").write_text(json.dumps(schema))
    (source,) = [text for path, text in generate(tmp_path).items() if path.parts[-2:] == ("parcels", "events.py")]
    module = ModuleType("schemas.parcels.events")
    monkeypatch.setitem(sys.modules, "schemas.parcels", ModuleType("schemas.parcels"))
    monkeypatch.setitem(sys.modules, module.__name__, module)
    exec(source, vars(module))  # noqa: S102
    return module


def test_the_step_of_the_tutorial_goes_on_gives_up_and_is_undone(
    parcels: ModuleType, monkeypatch: pytest.MonkeyPatch
) -> None:
    (source,) = blocks("python")
    tutorial = ModuleType("tutorial")
    monkeypatch.setitem(sys.modules, tutorial.__name__, tutorial)
    exec(source, vars(tutorial))  # noqa: S102
    definition: Definition[Any] = tutorial.WITH_INSURANCE
    insured = parcels.ParcelInsured(order_id=T.order_id, policy="p7")

    def story() -> Story:
        return Story(definition, T.placed).on(T.reserved)

    assert story().asks == ["InsureParcel"]
    assert story().on(insured).asks == ["AuthorizePayment"]
    assert story().on(insured).saga.data.policy == "p7"
    assert story().on(parcels.ParcelUninsurable(order_id=T.order_id)).asks == ["ReleaseStock"]
    assert story().silence().asks == ["EndInsurance"]
    back = story().on(insured, T.declined)
    assert back.asks == ["EndInsurance"]
    assert back.on(parcels.InsuranceEnded(order_id=T.order_id)).asks == ["ReleaseStock"]
