"""The whole house on servers behind TLS, and what somebody is told whose settings are wrong."""

import asyncio
import contextlib
import re
from collections.abc import AsyncIterator, Callable, Iterator
from time import monotonic
from uuid import uuid4

import pytest
import structlog
from structlog.testing import capture_logs
from typer.testing import CliRunner

from headwater import wiring
from headwater.cli import app
from headwater.configured import kafka_config
from headwater.environment import load
from headwater.roles import checks
from headwater.settings import Settings, SettingsError
from headwater.wiring import House
from infra import kafka_client, postgres, topics
from infra.access_tokens import SharedKeyTokens
from infra.consumer import ConsumerRunner
from infra.health import Health
from infra.kafka_log import KafkaLog
from infra.kafka_reader import KafkaReader
from infra.local.ports import LOOPBACK
from infra.postgres import Database, is_transient
from shared_kernel.errors import Unavailable
from tests.conftest import SECRET
from tests.contract.test_event_log import sent
from tests.integration.conftest import rest_client
from tests.integration.tls_servers import SCRAM_USER, TlsServers, tls_servers
from tests.probes import eventually

PATIENCE_S = 60.0  # on a busy machine
WRONG = "wr0ng-passw0rd"

Environment = dict[str, str]

pytestmark = pytest.mark.connected


@pytest.fixture(scope="module")
def behind_tls(tmp_path_factory: pytest.TempPathFactory) -> Iterator[TlsServers]:
    with tls_servers(tmp_path_factory.mktemp("tls")) as servers:
        yield servers


@pytest.fixture(scope="module")
def right(behind_tls: TlsServers) -> Environment:
    """Return what docs/security.md says one sets."""
    return {
        "HEADWATER_KAFKA_BOOTSTRAP_SERVERS": behind_tls.kafka_scram,
        "HEADWATER_KAFKA_SECURITY_PROTOCOL": "SASL_SSL",
        "HEADWATER_KAFKA_SASL_MECHANISM": "SCRAM-SHA-512",
        "HEADWATER_KAFKA_SASL_USERNAME": SCRAM_USER,
        "HEADWATER_KAFKA_SASL_PASSWORD": behind_tls.scram_password,
        "HEADWATER_KAFKA_SSL_CA_FILE": str(behind_tls.authority),
        "HEADWATER_DATABASE_URL": behind_tls.database_url,
        "HEADWATER_DATABASE_SSL_CA_FILE": str(behind_tls.authority),
        "HEADWATER_SCHEMA_REGISTRY_URL": behind_tls.registry_url,
        "HEADWATER_SCHEMA_REGISTRY_CA_FILE": str(behind_tls.authority),
        "HEADWATER_SECRET_KEY": SECRET,
        "HEADWATER_JWT_HS256_SECRET": SECRET,
    }


@pytest.fixture(scope="module")
def mutual(behind_tls: TlsServers, right: Environment) -> Environment:
    """Return the same for the broker's other listener, which asks for a certificate in place of a password."""
    others = {name: value for name, value in right.items() if "_SASL_" not in name}
    return others | {
        "HEADWATER_KAFKA_BOOTSTRAP_SERVERS": behind_tls.kafka_mutual,
        "HEADWATER_KAFKA_SECURITY_PROTOCOL": "SSL",
        "HEADWATER_KAFKA_SSL_CERTIFICATE_FILE": str(behind_tls.client_certificate),
        "HEADWATER_KAFKA_SSL_KEY_FILE": str(behind_tls.client_key),
    }


@pytest.fixture(scope="module")
async def secure(right: Environment) -> AsyncIterator[House]:
    """A connected house on the prepared servers."""
    settings = load(right)
    await asyncio.to_thread(wiring.prepare, settings)
    house = wiring.build(settings)
    await house.start()
    yield house
    await house.close()


@pytest.fixture
def wrong(request: pytest.FixtureRequest, behind_tls: TlsServers, right: Environment) -> Settings:
    """Settings of which one variable is wrong; the test's parameter says which, and how."""
    variable, value = request.param
    name = f"HEADWATER_{variable}"
    how: dict[str, Callable[[str], str]] = {
        "stranger": lambda _: str(behind_tls.stranger),
        "unset": lambda _: "",
        "by address": lambda url: url.replace("localhost", LOOPBACK),
        "other password": lambda url: re.sub(r":[^:/]+@", f":{WRONG}@", url),
        "plain": lambda url: url.replace("https", "http"),
        "without TLS": lambda url: f"{url}?sslmode=disable",
    }
    changed = right | {name: how[value](right[name]) if value in how else value}
    return load({name: value for name, value in changed.items() if value})


async def refusal(settings: Settings) -> str:
    """Return what `headwater prepare` says. It must say it soon, and no secret with it."""
    began = monotonic()
    with pytest.raises((Unavailable, SettingsError)) as refused:
        await asyncio.to_thread(wiring.prepare, settings)
    words = str(refused.value)
    assert monotonic() - began < PATIENCE_S
    passwords = (settings.kafka_sasl_password, settings.database_url, settings.secret_key)
    assert not [each for each in passwords if each and each.get_secret_value() in words]
    assert WRONG not in words
    return words


async def test_a_message_goes_through_broker_group_and_database(secure: House, tokens: SharedKeyTokens) -> None:
    ann, bob = uuid4(), uuid4()
    (history,) = [each for module in secure.modules for each in module.consumers if each.group == "messaging.history"]
    runner = ConsumerRunner(history, secure.broker, secure.codec, secure.groups["messaging"], secure.bulk)
    task = asyncio.create_task(runner.run())
    try:
        async with rest_client(secure, tokens, ann) as api:
            body = {"participants": [str(ann), str(bob)], "body": "over TLS", "client_id": "1"}
            answer = await api.post("/messages", json=body, headers={"Prefer": "wait=10"})
            assert answer.is_success, answer.text
            read = await api.get(f"/conversations/{answer.json()['conversation_id']}/messages")
    finally:
        task.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await task

    assert [message["body"] for message in read.json()["data"]] == ["over TLS"]


async def test_a_reader_without_a_group_sees_the_record(secure: House) -> None:
    message = sent(uuid4())
    position = await KafkaLog(secure.commands, secure.codec).publish(message)
    place = (position.partition, position.offset)

    async with KafkaReader(secure.kafka).open([position.topic]) as reader:
        reader.seek({(position.topic, position.partition): position.offset})
        records = (raw async for batch in reader.batches() for raw in batch)
        raw = await anext(raw async for raw in records if (raw.partition, raw.offset) == place)
        recorded = reader.recorded(raw, secure.codec)

    assert recorded is not None
    assert recorded.event == message


async def test_the_house_is_ready(secure: House) -> None:
    ready, report = await Health(("web",), checks(secure)).ready()

    assert ready, report


async def test_the_topics_are_as_they_were_made(secure: House) -> None:
    assert {report.outcome for report in await wiring.make_topics(secure.settings)} == {"as declared"}


async def test_a_client_certificate_opens_the_listener_that_demands_one(secure: House, mutual: Environment) -> None:
    settings = load(mutual)

    assert all(report.ok for report in await wiring.make_topics(settings))
    assert await KafkaReader(kafka_config(settings)).has("messages")


async def test_without_a_client_certificate_that_listener_stays_shut(
    mutual: Environment, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(topics, "TIMEOUT_S", 2)
    settings = load(
        {name: value for name, value in mutual.items() if "CERTIFICATE" not in name and "KEY_F" not in name}
    )

    assert "certificate required" in await refusal(settings)


KAFKA = {
    "another authority": (("KAFKA_SSL_CA_FILE", "stranger"), "certificate verify failed"),
    "another password": (("KAFKA_SASL_PASSWORD", WRONG), "invalid credentials with SASL mechanism SCRAM-SHA-512"),
    "another mechanism": (("KAFKA_SASL_MECHANISM", "PLAIN"), "supported mechanisms: SCRAM-SHA-512"),
    "plain text": (("KAFKA_SECURITY_PROTOCOL", "PLAINTEXT"), "over PLAINTEXT: .*is that the protocol of this address?"),
}


@pytest.mark.parametrize(("wrong", "words"), KAFKA.values(), ids=KAFKA, indirect=["wrong"])
async def test_the_broker_refuses_and_the_cause_is_told(
    secure: House, wrong: Settings, words: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(topics, "TIMEOUT_S", 2)  # to plain text the broker never answers

    assert re.match(f"broker_unavailable: .*{words}", await refusal(wrong))


READER = {
    "another authority": (("KAFKA_SSL_CA_FILE", "stranger"), "CERTIFICATE_VERIFY_FAILED"),
    "another password": (("KAFKA_SASL_PASSWORD", WRONG), "invalid credentials with SASL mechanism SCRAM-SHA-512"),
    "another mechanism": (("KAFKA_SASL_MECHANISM", "PLAIN"), "UnsupportedSaslMechanism"),
    "plain text": (("KAFKA_SECURITY_PROTOCOL", "PLAINTEXT"), "Connection at .* closed"),
}


@pytest.mark.parametrize(("wrong", "words"), READER.values(), ids=READER, indirect=["wrong"])
async def test_a_reader_is_refused_and_the_cause_is_told(wrong: Settings, words: str) -> None:
    reader = KafkaReader(kafka_config(wrong))

    async with asyncio.timeout(PATIENCE_S):
        with pytest.raises(Unavailable, match=words) as refused:
            await reader.has("messages")
        with pytest.raises(Unavailable, match=words):
            await reader.open(["messages"]).__aenter__()

    assert WRONG not in str(refused.value)


@pytest.mark.parametrize("wrong", [("KAFKA_SASL_PASSWORD", WRONG)], indirect=True)
async def test_a_process_that_the_broker_refuses_is_not_ready_and_logs_why_once(
    secure: House, wrong: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(kafka_client, "_noted", {})
    # A logger keeps what was configured when it was first used, by whatever test that was.
    monkeypatch.setattr(kafka_client, "log", structlog.get_logger())
    house = wiring.build(wrong)
    with capture_logs() as logs:
        await house.start()
        ready, report = await Health(("web",), checks(house)).ready()

        async def refusals() -> list[str]:
            return [str(line["error"]) for line in logs if line["event"] == "kafka.refused"]

        try:
            (refused,) = await eventually(refusals)
        finally:
            await house.close()

    assert not ready
    assert not report["checks"]["kafka"]["ok"]
    assert report["checks"]["postgres"]["ok"]
    assert "invalid credentials" in refused
    assert WRONG not in str(logs)


DATABASE = {
    "another authority": (
        ("DATABASE_SSL_CA_FILE", "stranger"),
        "certificate verify failed: unable to get local issuer",
    ),
    "the system's authorities": (("DATABASE_SSL_CA_FILE", "unset"), "no encryption"),
    "a name that is not in the certificate": (("DATABASE_URL", "by address"), f"not valid for '{LOOPBACK}'"),
    "another password": (("DATABASE_URL", "other password"), 'password authentication failed for user "headwater"'),
    "plain text": (("DATABASE_URL", "without TLS"), "no pg_hba.conf entry for .* no encryption"),
}


@pytest.mark.parametrize(("wrong", "words"), DATABASE.values(), ids=DATABASE, indirect=["wrong"])
async def test_the_database_refuses_and_the_cause_is_told(
    secure: House, wrong: Settings, words: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(postgres, "CONNECT_TIMEOUT_S", PATIENCE_S)  # what is told, not how soon a busy machine tells it

    assert re.match(f"(database_unavailable:|the database refuses us) .*{words}", await refusal(wrong))


@pytest.mark.parametrize(
    "wrong", [("DATABASE_SSL_CA_FILE", "stranger"), ("DATABASE_URL", "other password")], indirect=True
)
async def test_a_database_that_refuses_us_buries_no_message(wrong: Settings) -> None:
    assert wrong.database_url
    database = Database(wrong.database_url.get_secret_value(), ssl_ca_file=wrong.database_ssl_ca_file)

    with pytest.raises(Unavailable) as refused:
        async with database.transaction():
            raise AssertionError("let in")

    assert is_transient(refused.value)


@pytest.mark.parametrize(
    ("parameters", "by_address", "with_authority", "outcome"),
    [
        ("", False, True, "TLS"),
        ("?sslmode=verify-full", False, True, "TLS"),
        ("?sslmode=verify-full", True, True, "IP address mismatch"),
        ("?sslmode=verify-full", False, False, "certificate verify failed"),  # the system's authorities did not sign it
        ("?sslmode=verify-ca", True, True, "TLS"),
        ("?sslmode=verify-ca", True, False, "certificate verify failed"),
        ("?sslmode=require", True, True, "TLS"),
        ("?sslmode=require", True, False, "TLS"),
        ("?sslmode=disable", False, True, "no encryption"),
        ("", False, False, "no encryption"),
    ],
)
async def test_sslmode_says_how_much_is_verified(
    behind_tls: TlsServers, parameters: str, by_address: bool, with_authority: bool, outcome: str
) -> None:
    url = behind_tls.database_url.replace("localhost", LOOPBACK) if by_address else behind_tls.database_url
    database = Database(url + parameters, ssl_ca_file=behind_tls.authority if with_authority else None)

    async def found() -> str:
        try:
            async with database.driver() as connection:
                query = "select version from pg_stat_ssl where pid = pg_backend_pid()"
                return str(await connection.fetchval(query))
        except Unavailable as error:
            return error.detail

    assert outcome in await found()
    await database.close()


async def test_a_stranger_with_sslmode_require_is_refused_when_an_authority_is_named(behind_tls: TlsServers) -> None:
    database = Database(behind_tls.database_url + "?sslmode=require", ssl_ca_file=behind_tls.stranger)

    with pytest.raises(Unavailable, match="certificate verify failed"):
        await database.ping()


@pytest.mark.parametrize("parameters", ["?sslmode=prefer", "?sslmode=verify_full", "?sslrootcert=ca.pem"])
def test_what_would_not_protect_is_refused_before_anything_is_sent(right: Environment, parameters: str) -> None:
    settings = load(right | {"HEADWATER_DATABASE_URL": right["HEADWATER_DATABASE_URL"] + parameters})

    with pytest.raises(SettingsError, match=r"^HEADWATER_DATABASE_URL: .*sslmode"):
        wiring.build(settings)


REGISTRY = {
    "another authority": (("SCHEMA_REGISTRY_CA_FILE", "stranger"), "certificate verify failed"),
    "the system's authorities": (("SCHEMA_REGISTRY_CA_FILE", "unset"), "certificate verify failed"),
    "plain text": (("SCHEMA_REGISTRY_URL", "plain"), "Server disconnected"),
}


@pytest.mark.parametrize(("wrong", "words"), REGISTRY.values(), ids=REGISTRY, indirect=["wrong"])
async def test_the_registry_refuses_and_the_cause_is_told(secure: House, wrong: Settings, words: str) -> None:
    assert re.match(f"schema_registry_unavailable: .*{words}", await refusal(wrong))


@pytest.mark.parametrize(
    ("command", "says"),
    [("topics", "certificate verify failed"), ("audit tail messages --no-follow", "CERTIFICATE_VERIFY_FAILED")],
)
def test_the_command_line_says_it_in_one_line(
    secure: House, behind_tls: TlsServers, right: Environment, command: str, says: str
) -> None:
    environment = right | {"HEADWATER_KAFKA_SSL_CA_FILE": str(behind_tls.stranger)}

    ran = CliRunner().invoke(app, command.split(), env=environment)

    assert ran.exit_code == 1, ran.output
    assert re.fullmatch(f"headwater: broker_unavailable: .*{says}.*\n", ran.stderr), ran.stderr
