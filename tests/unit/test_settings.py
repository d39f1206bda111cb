"""Settings from the environment: what is known, what is refused, and that no message tells a secret."""

import shlex
import subprocess
from collections.abc import Mapping
from pathlib import Path

import pytest
import trustme
from dotenv import dotenv_values
from pydantic import SecretStr
from sqlalchemy import make_url

from headwater import addresses
from headwater.environment import load
from headwater.settings import PREFIX, SECRETS, SettingsError, secrets_of
from headwater.settings_docs import table
from infra.webhooks import shown

SECRET = "s3cr3t-" * 6
SHORT = "t00-short"
DATABASE = f"postgresql://headwater:{SECRET}@database/headwater"
PRODUCTION = {
    "HEADWATER_MODE": "production",
    "HEADWATER_ACCOUNT_PAGES": "https://app.example",
    "HEADWATER_SECRET_KEY": SECRET,
    "HEADWATER_JWT_JWKS_URL": "https://id.example/keys",
    "HEADWATER_JWT_ISSUER": "https://id.example",
    "HEADWATER_JWT_AUDIENCE": "headwater",
    "HEADWATER_DOCUMENTS_DIRECTORY": "/srv/documents",
}


def refusal(environ: Mapping[str, str]) -> str:
    with pytest.raises(SettingsError) as refused:
        load(environ)
    return str(refused.value)


def value(secret: SecretStr | None) -> str:
    assert secret is not None
    return secret.get_secret_value()


def secret_for(name: str) -> str:
    special = {
        "database_url": DATABASE,
        "redis_url": f"redis://:{SECRET}@redis",
        "payment_webhook_secret": shown(SECRET.encode()),
    }
    return special.get(name, SECRET)


def test_an_empty_environment_is_development_on_the_loopback_address() -> None:
    settings = load({})

    assert (settings.mode, settings.host, settings.port) == ("development", "127.0.0.1", 8080)


def test_variables_of_other_programs_are_left_alone() -> None:
    assert load({"PATH": "/bin", "KAFKA_PORT": "x"}) == load({})


def test_a_variable_becomes_the_field_of_its_name() -> None:
    settings = load({"HEADWATER_PORT": "9000", "HEADWATER_HOME": "here", "HEADWATER_TOPIC_PREFIX": "t."})

    assert (settings.port, settings.home, settings.topic_prefix) == (9000, Path("here"), "t.")


def test_overrides_win() -> None:
    assert load({"HEADWATER_PORT": "9000"}, port=9001).port == 9001


@pytest.mark.parametrize(
    "variable",
    [
        "HEADWATER_PROT",
        "HEADWATER_PORT_FILE",
        "HEADWATER_DATABASE_URLS",
        "HEADWATER_DATABASE_URLS_FILE",
        "HEADWATER_DATABASE_URL_",
        "HEADWATER_",
    ],
)
def test_an_unknown_variable_is_named(variable: str) -> None:
    assert refusal({variable: "1"}).startswith(f"unknown variable {variable};")


@pytest.mark.parametrize(
    ("variable", "given"),
    [
        ("HEADWATER_PORT", "http"),
        ("HEADWATER_PORT", "65536"),
        ("HEADWATER_MODE", "test"),
        ("HEADWATER_TOPIC_PREFIX", "a/b"),
        ("HEADWATER_TOPIC_REPLICATION", "0"),
        ("HEADWATER_KAFKA_SECURITY_PROTOCOL", "TLS"),
        ("HEADWATER_REALTIME_QUEUE_LIMIT", "9"),
        ("HEADWATER_TIME_TOKEN_WINDOW", "61"),
    ],
)
def test_a_value_out_of_bounds_is_refused_by_the_variables_name(variable: str, given: str) -> None:
    assert refusal({variable: given}).startswith(f"{variable}: ")


def test_every_problem_is_told_at_once() -> None:
    message = refusal({"HEADWATER_PORT": "x", "HEADWATER_MODE": "y"})

    assert "HEADWATER_PORT" in message
    assert "HEADWATER_MODE" in message


class TestSecrets:
    @pytest.mark.parametrize("name", SECRETS)
    def test_every_secret_may_come_from_a_file_without_its_white_space(self, name: str, tmp_path: Path) -> None:
        file = tmp_path / "secret"
        given = secret_for(name)
        file.write_text(f"  {given}\n")

        settings = load({f"{PREFIX}{name.upper()}_FILE": str(file)})

        assert value(getattr(settings, name)) == given

    def test_the_value_and_its_file_are_not_both_given(self, tmp_path: Path) -> None:
        file = tmp_path / "secret"
        file.write_text(SECRET)

        message = refusal({"HEADWATER_SECRET_KEY_FILE": str(file), "HEADWATER_SECRET_KEY": SECRET})

        assert message == "set HEADWATER_SECRET_KEY_FILE or HEADWATER_SECRET_KEY, not both"

    def test_a_file_that_is_not_there_is_named(self, tmp_path: Path) -> None:
        missing = tmp_path / "missing"

        message = refusal({"HEADWATER_SECRET_KEY_FILE": str(missing)})

        assert message.startswith(f"HEADWATER_SECRET_KEY_FILE: cannot read {missing}: ")

    def test_a_file_that_is_no_text_is_refused_without_its_bytes(self, tmp_path: Path) -> None:
        file = tmp_path / "secret"
        file.write_bytes(SECRET.encode() + b"\xff\xfe")

        assert refusal({"HEADWATER_SECRET_KEY_FILE": str(file)}) == (
            f"HEADWATER_SECRET_KEY_FILE: cannot read {file}: not UTF-8 text"
        )

    @pytest.mark.parametrize("name", ["secret_key", "jwt_hs256_secret"])
    def test_a_short_key_is_refused_without_repeating_it(self, name: str) -> None:
        message = refusal({f"{PREFIX}{name.upper()}": SHORT})

        assert message == f"{PREFIX}{name.upper()} must have at least 32 bytes"

    def test_the_length_of_a_key_counts_in_bytes(self) -> None:
        assert value(load({"HEADWATER_SECRET_KEY": "ü" * 16}).secret_key) == "ü" * 16

    @pytest.mark.parametrize("name", SECRETS)
    def test_no_refusal_and_no_repr_repeats_a_secret(self, name: str) -> None:
        secrets = {f"{PREFIX}{each.upper()}": secret_for(each) for each in SECRETS}
        broken = {**secrets, "HEADWATER_PORT": "x", f"{PREFIX}{name.upper()}": SHORT}

        said = [
            refusal(broken),
            refusal({**PRODUCTION, **secrets}),
            repr(load({f"{PREFIX}{name.upper()}": secret_for(name)})),
        ]

        assert not any(SECRET in text or SHORT in text for text in said)


class TestContextDatabases:
    def test_a_context_may_have_its_own_database(self) -> None:
        settings = load({"HEADWATER_DATABASE_URL_MESSAGING": "postgresql://own/db", "HEADWATER_DATABASE_URL": DATABASE})

        assert value(settings.database_urls["messaging"]) == "postgresql://own/db"
        assert value(settings.database_url) == DATABASE

    def test_its_url_may_come_from_a_file(self, tmp_path: Path) -> None:
        file = tmp_path / "url"
        file.write_text("postgresql://own/db\n")

        settings = load({"HEADWATER_DATABASE_URL_MESSAGING_FILE": str(file)})

        assert {name: value(url) for name, url in settings.database_urls.items()} == {
            "messaging": "postgresql://own/db"
        }

    def test_its_url_and_the_file_are_not_both_given(self, tmp_path: Path) -> None:
        given = {"HEADWATER_DATABASE_URL_MESSAGING": "a", "HEADWATER_DATABASE_URL_MESSAGING_FILE": str(tmp_path)}

        assert "not both" in refusal(given)

    def test_its_url_is_not_shown(self) -> None:
        assert SECRET not in repr(load({"HEADWATER_DATABASE_URL_MESSAGING": f"postgresql://u:{SECRET}@own/db"}))


class TestUpstreams:
    def test_a_context_may_have_processes_elsewhere(self) -> None:
        urls = "http://one:8080, https://two"

        assert load({"HEADWATER_UPSTREAM_REALTIME": urls}).upstream_urls == {
            "realtime": ["http://one:8080", "https://two"]
        }

    @pytest.mark.parametrize(
        "given", ["", "one:8080", "ftp://one", "http://one/path", "http://u:p@one", "http://one:port", "http://one,two"]
    )
    def test_an_address_of_a_wrong_shape_is_refused_by_the_variables_name(self, given: str) -> None:
        message = refusal({"HEADWATER_UPSTREAM_REALTIME": given})

        assert (
            message
            == "HEADWATER_UPSTREAM_REALTIME: write http://host:port or https://host, several with commas between"
        )

    def test_proxies_are_trusted_by_address_or_network(self) -> None:
        assert load({"HEADWATER_TRUSTED_PROXIES": ""}).trusted_proxies == ""
        assert load({"HEADWATER_TRUSTED_PROXIES": "10.0.0.0/8,::1"})
        assert refusal({"HEADWATER_TRUSTED_PROXIES": "proxy.example"}).startswith("HEADWATER_TRUSTED_PROXIES: ")
        assert refusal({"HEADWATER_TRUSTED_PROXIES": "*"}).startswith("HEADWATER_TRUSTED_PROXIES: ")


class TestOidcProviders:
    URL = "https://client%40id:s%2Fcret%3A@idp.example/realms/a"

    def test_each_is_a_variable_or_a_file(self, tmp_path: Path) -> None:
        file = tmp_path / "url"
        file.write_text(f"{self.URL}\n")
        settings = load({"HEADWATER_OIDC_ACME": self.URL, "HEADWATER_OIDC_OTHER_FILE": str(file)})

        assert {name: value(url) for name, url in settings.oidc_providers.items()} == {
            "acme": self.URL,
            "other": self.URL,
        }

    def test_it_says_issuer_client_and_secret(self) -> None:
        assert addresses.provider(self.URL) == ("https://idp.example/realms/a", "client@id", "s/cret:")
        assert addresses.provider("https://a:b@idp.example/")[0] == "https://idp.example/"

    def test_its_secret_is_neither_shown_nor_logged(self) -> None:
        settings = load({"HEADWATER_OIDC_ACME": self.URL})

        assert "s%2Fcret" not in repr(settings)
        assert secrets_of(settings) == {"s/cret:"}

    @pytest.mark.parametrize(
        "url",
        [
            "https://idp.example/",
            "https://a@idp.example/",
            f"https://:{SECRET}@idp.example/",
            f"http://a:{SECRET}@idp.example/",
            f"ftp://a:{SECRET}@localhost/",
            f"https://a:{SECRET}@idp.example/?x",
            f"https://a:{SECRET}@idp.example/#x",
            f"https://a:{SECRET}@idp.example/\n",
            f"https://a:{SECRET}@",
            f"a:{SECRET}@idp.example",
        ],
    )
    def test_another_shape_is_refused_without_repeating_it(self, url: str) -> None:
        message = refusal({"HEADWATER_OIDC_ACME": url})

        assert message.startswith("HEADWATER_OIDC_ACME: write https://")
        assert SECRET not in message

    def test_plain_http_is_for_this_machine_in_development(self) -> None:
        given = {"HEADWATER_OIDC_ACME": "http://a:b@127.0.0.1:9000"}

        assert load(given).oidc_providers
        assert "plain http" in refusal({**PRODUCTION, "HEADWATER_SECRET_KEY": SECRET, **given})

    @pytest.mark.parametrize("variable", ["HEADWATER_OIDC_", "HEADWATER_OIDC", "HEADWATER_OIDCX"])
    def test_one_without_a_name_is_none(self, variable: str) -> None:
        assert variable in refusal({variable: "https://a:b"})


class TestAddresses:
    @pytest.mark.parametrize(
        ("variable", "given"),
        [
            ("HEADWATER_KAFKA_BOOTSTRAP_SERVERS", "kafka"),
            ("HEADWATER_KAFKA_BOOTSTRAP_SERVERS", "kafka:http"),
            ("HEADWATER_KAFKA_BOOTSTRAP_SERVERS", "kafka:9092,"),
            ("HEADWATER_KAFKA_BOOTSTRAP_SERVERS", "http://kafka:9092"),
            ("HEADWATER_KAFKA_BOOTSTRAP_SERVERS", "kafka:65536"),
            ("HEADWATER_DATABASE_URL", f"mysql://u:{SECRET}@db/x"),
            ("HEADWATER_DATABASE_URL", f"u:{SECRET}@db/x"),
            ("HEADWATER_DATABASE_URL", f"postgresql://u:{SECRET}@db:port/x"),
            ("HEADWATER_DATABASE_URL", f"postgresql://u:{SECRET}@db:65536/x"),
            ("HEADWATER_DATABASE_URL_MESSAGING", f"https://u:{SECRET}@db/x"),
            ("HEADWATER_SCHEMA_REGISTRY_URL", f"ftp://u:{SECRET}@registry"),
            ("HEADWATER_SCHEMA_REGISTRY_URL", "registry:8081"),
            ("HEADWATER_SCHEMA_REGISTRY_URL", "http://"),
            ("HEADWATER_SCHEMA_REGISTRY_URL", "http://registry:port"),
            ("HEADWATER_REDIS_URL", f"http://:{SECRET}@redis"),
            ("HEADWATER_REDIS_URL", "redis:6379"),
            ("HEADWATER_REDIS_URL", f"redis://:{SECRET}@redis:port"),
            ("HEADWATER_REDIS_URL", f"redis://:{SECRET}@redis/first"),
            ("HEADWATER_REDIS_URL", f"rediss://:{SECRET}@redis?ssl_cert_reqs=none"),
            ("HEADWATER_REDIS_URL", f"redis://:{SECRET}#@redis"),
        ],
    )
    def test_an_address_of_a_wrong_shape_is_refused_by_the_variables_name(self, variable: str, given: str) -> None:
        message = refusal({variable: given})

        assert message.startswith(f"{variable}: write ")
        assert SECRET not in message

    @pytest.mark.parametrize(
        ("url", "address"),
        [
            ("postgresql://u:p@db:5433/name", ("db", 5433)),
            ("postgres://u:p/a?s#s@db/name?sslmode=require", ("db", 5432)),
            ("postgresql://[::1]:5433/name", ("::1", 5433)),
            ("postgresql:///name?host=/run/postgresql", None),
        ],
    )
    def test_a_database_is_found_where_the_driver_finds_it(self, url: str, address: tuple[str, int] | None) -> None:
        assert addresses.database(url) == address
        assert address is None or address == (make_url(url).host, make_url(url).port or 5432)
        assert value(load({"HEADWATER_DATABASE_URL": url}).database_url) == url

    @pytest.mark.parametrize(
        ("url", "address"),
        [
            ("redis://redis", ("redis", 6379)),
            ("rediss://u:a%2Fb@redis:6380/3", ("redis", 6380)),
            ("redis://:p@[::1]:6379/", ("::1", 6379)),
        ],
    )
    def test_a_redis_is_found_where_it_is(self, url: str, address: tuple[str, int]) -> None:
        assert addresses.redis(url) == address
        assert value(load({"HEADWATER_REDIS_URL": url}).redis_url) == url

    def test_an_authority_is_for_a_redis_that_speaks_tls(self, tmp_path: Path) -> None:
        trustme.CA().cert_pem.write_to_path(file := tmp_path / "ca.pem")

        message = refusal({"HEADWATER_REDIS_URL": "redis://redis", "HEADWATER_REDIS_SSL_CA_FILE": str(file)})

        assert message.startswith("HEADWATER_REDIS_SSL_CA_FILE ")

    def test_several_brokers_are_several_addresses(self) -> None:
        assert addresses.brokers("a:1, [::1]:2") == [("a", 1), ("::1", 2)]

    def test_no_password_is_shown(self) -> None:
        assert addresses.without_password("postgresql://a:se/c#r?et@h:1/d?password=x") == "postgresql://a@h:1/d"
        assert addresses.without_password("postgresql://h/d") == "postgresql://h/d"
        assert addresses.without_password("") == ""


class TestProduction:
    def test_what_is_complete_is_accepted(self) -> None:
        assert load(PRODUCTION).mode == "production"

    @pytest.mark.parametrize(
        "missing",
        ["HEADWATER_SECRET_KEY", "HEADWATER_ACCOUNT_PAGES", "HEADWATER_JWT_ISSUER", "HEADWATER_JWT_AUDIENCE"],
    )
    def test_what_is_missing_is_named(self, missing: str) -> None:
        message = refusal({name: given for name, given in PRODUCTION.items() if name != missing})

        assert missing in message
        assert "in production" in message

    def test_the_shared_key_of_development_is_refused(self) -> None:
        given = {name: value for name, value in PRODUCTION.items() if name != "HEADWATER_JWT_JWKS_URL"}

        message = refusal({**given, "HEADWATER_JWT_HS256_SECRET": SECRET})

        assert message.startswith("HEADWATER_JWT_HS256_SECRET is for development")


def test_tokens_are_verified_by_a_key_set_or_by_a_shared_key_not_both() -> None:
    given = {"HEADWATER_JWT_JWKS_URL": "https://id.example/keys", "HEADWATER_JWT_HS256_SECRET": SECRET}

    assert refusal(given) == "set HEADWATER_JWT_JWKS_URL or HEADWATER_JWT_HS256_SECRET, not both"


@pytest.mark.parametrize("missing", ["MECHANISM", "USERNAME", "PASSWORD"])
def test_sasl_needs_a_mechanism_a_user_and_a_password(missing: str) -> None:
    given = {"MECHANISM": "PLAIN", "USERNAME": "u", "PASSWORD": "p"}
    sasl = {f"HEADWATER_KAFKA_SASL_{name}": value for name, value in given.items()}
    sasl["HEADWATER_KAFKA_SECURITY_PROTOCOL"] = "SASL_SSL"

    assert load(sasl).kafka_sasl_username == "u"
    del sasl[f"HEADWATER_KAFKA_SASL_{missing}"]
    assert refusal(sasl) == f"HEADWATER_KAFKA_SASL_{missing} is needed with SASL_SSL"


class TestCertificates:
    CA_FILES = ("HEADWATER_KAFKA_SSL_CA_FILE", "HEADWATER_DATABASE_SSL_CA_FILE", "HEADWATER_SCHEMA_REGISTRY_CA_FILE")
    PAIR = "HEADWATER_KAFKA_SSL_CERTIFICATE_FILE and HEADWATER_KAFKA_SSL_KEY_FILE"

    @pytest.mark.parametrize("variable", CA_FILES)
    def test_a_file_without_certificates_is_named(self, variable: str, tmp_path: Path) -> None:
        file = tmp_path / "ca.pem"
        assert refusal({variable: str(file)}).startswith(f"{variable}: no certificates in PEM in {file} (No such file")

        file.write_text("no certificate")
        assert refusal({variable: str(file)}).startswith(f"{variable}: no certificates in PEM in {file} (")

        trustme.CA().cert_pem.write_to_path(file)
        assert getattr(load({variable: str(file)}), variable.removeprefix(PREFIX).lower()) == file

    def test_a_client_certificate_comes_with_its_own_key(self, tmp_path: Path) -> None:
        authority = trustme.CA()
        for name in ("own", "other"):
            issued = authority.issue_cert("headwater.example")
            issued.cert_chain_pems[0].write_to_path(tmp_path / f"{name}.pem")
            issued.private_key_pem.write_to_path(tmp_path / f"{name}.key")
        certificate = {"HEADWATER_KAFKA_SSL_CERTIFICATE_FILE": str(tmp_path / "own.pem")}

        def with_key(name: str) -> dict[str, str]:
            return certificate | {"HEADWATER_KAFKA_SSL_KEY_FILE": str(tmp_path / name)}

        assert load(with_key("own.key")).kafka_ssl_key_file == tmp_path / "own.key"
        assert refusal(certificate) == f"set {self.PAIR}, or neither"
        assert refusal(with_key("other.key")).startswith(f"{self.PAIR}: no certificate with its key")
        assert refusal(with_key("missing.key")).startswith(f"{self.PAIR}: no certificate with its key")


class TestDevelopmentFile:
    FILE = Path(__file__).parents[2] / ".env.development"

    def test_it_is_accepted_and_holds_nothing_secret(self) -> None:
        given = {name: value for name, value in dotenv_values(self.FILE).items() if value}

        assert load(given).mode == "development"
        assert load(given).log_level == "debug"
        assert not given.keys() & {f"{PREFIX}{name.upper()}{end}" for name in SECRETS for end in ("", "_FILE")}

    def test_a_shell_reads_the_same_from_it(self) -> None:
        command = f"set -a; . {shlex.quote(str(self.FILE))}; env"
        said = subprocess.run(("sh", "-c", command), env={}, capture_output=True, text=True, check=True).stdout

        assert dict(dotenv_values(self.FILE)) == dict(
            line.split("=", 1) for line in said.splitlines() if line.startswith(PREFIX)
        )


class TestTable:
    def test_it_lists_every_variable_once_with_a_meaning(self) -> None:
        rows = table()

        assert len({row["variable"] for row in rows}) == len(rows)
        assert [row["variable"] for row in rows if not row["meaning"].strip()] == []
        assert "HEADWATER_DATABASE_URL_<CONTEXT>" in {row["variable"] for row in rows}
        assert "HEADWATER_DATABASE_URLS" not in {row["variable"] for row in rows}

    def test_every_default_it_shows_is_accepted(self) -> None:
        given = {row["variable"]: row["default"] for row in table() if row["default"]}

        assert load(given) == load({})

    def test_it_names_the_file_variant_of_secrets_only(self) -> None:
        rows = {row["variable"]: row["meaning"] for row in table()}

        assert "HEADWATER_SECRET_KEY_FILE" in rows["HEADWATER_SECRET_KEY"]
        assert "HEADWATER_PORT_FILE" not in rows["HEADWATER_PORT"]


def test_the_secrets_that_were_given_are_known_and_of_addresses_their_passwords() -> None:
    addresses = {
        "HEADWATER_DATABASE_URL": "postgresql://ann:p%40ss@db/headwater",
        "HEADWATER_DATABASE_URL_MESSAGING": "postgresql://ann:other@db/messaging",
    }

    assert secrets_of(load({"HEADWATER_SECRET_KEY": SECRET} | addresses)) == {SECRET, "p@ss", "other"}
    assert secrets_of(load({})) == set()


@pytest.mark.parametrize("secret", [{}, {"HEADWATER_TIME_TOKEN_SECRET": ""}])
def test_time_tokens_take_a_secret(secret: dict[str, str]) -> None:
    assert "HEADWATER_TIME_TOKEN_SECRET is needed" in refusal({"HEADWATER_COMPAT_TIME_TOKEN": "true"} | secret)
