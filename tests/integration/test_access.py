"""Every route × every role: who is refused, and who is not. A route that nobody has classified here fails."""

from itertools import product
from typing import Any, NamedTuple
from uuid import UUID, uuid4

import httpx
import pytest
from pydantic import SecretStr

from headwater import wiring
from headwater.web import application
from headwater.wiring import House
from infra.access_tokens import SharedKeyTokens
from infra.health import Health
from infra.http import api_routes
from shared_kernel.permissions import OWN, ROLES, permissions
from tests.integration.conftest import client_of

OPEN, USER = "open to all", "signed in"
SOMEBODY, SOMETHING = str(UUID(int=1)), {"email": "somebody@example.org", "name": "x"}
TEXT = {"body": "x", "client_id": "x"}
WEBHOOK = {"url": "ftp://example.org", "kinds": ["channel.occupied"]}
OF_CHANNELS = {"user_id": SOMEBODY, "channels": ["news"]}


class Access(NamedTuple):
    """Who may call a route: `OPEN`, `USER`, or who has the permission. Others get 403, or 404 where nothing is to be seen."""

    who: str
    body: Any = None
    refused: int = 403


ADMIN = "/api/v1/admin/groups"
ME = "/api/v1/me"
SERVICES = "/api/v1/service-accounts"
SAGAS = "/api/v1/admin/sagas"
CONNECTIONS = "/api/v1/realtime/connections"
ORDERS = "/api/v1/orders"
CONVERSIONS = "/api/v1/documents/conversions"
DOCUMENTS = "/api/v1/documents"
ROUTES = {
    "GET /": Access(OPEN),
    "GET /health/live": Access(OPEN),
    "GET /health": Access(OPEN),
    "GET /health/ready": Access(OPEN),
    "GET /health/startup": Access(OPEN),
    "GET /docs": Access(OPEN),
    "GET /demo": Access(OPEN),
    "GET /api/v1/events": Access(OPEN),
    "GET /asyncapi.json": Access(OPEN),
    "GET /.well-known/jwks.json": Access(OPEN),
    "POST /api/v1/auth/register": Access(OPEN, SOMETHING),
    "POST /api/v1/auth/login": Access(OPEN, {}),
    "POST /api/v1/auth/refresh": Access(OPEN, {}),
    "POST /api/v1/auth/password/forgot": Access(OPEN, {}),
    "POST /api/v1/auth/password/reset": Access(OPEN, {}),
    "POST /api/v1/auth/email/verify": Access(OPEN, {}),
    "POST /api/v1/auth/mfa/verify": Access(OPEN, {}),
    "POST /api/v1/auth/mfa/totp/enroll": Access(USER),
    "POST /api/v1/auth/mfa/totp/confirm": Access(USER, {}),
    "POST /api/v1/auth/mfa/totp/remove": Access(USER, {}),
    "DELETE /api/v1/users/{user_id:uuid}/mfa": Access("identity:change"),
    "GET /api/v1/auth/oidc/{provider}/authorize": Access(OPEN),
    "GET /api/v1/auth/oidc/{provider}/callback": Access(OPEN),
    "POST /api/v1/auth/logout": Access(USER),
    "POST /api/v1/auth/logout-all": Access(USER),
    "POST /api/v1/auth/password/change": Access(USER, {}),
    "POST /api/v1/auth/email/request-verification": Access(USER),
    "GET /api/v1/users": Access("identity:list"),
    "POST /api/v1/users": Access("identity:create", SOMETHING),
    "GET /api/v1/users/{user_id:uuid}": Access(USER),
    "PUT /api/v1/users/{user_id:uuid}": Access("identity:change", {"email": "a@example.org", "name": "x"}),
    "PATCH /api/v1/users/{user_id:uuid}": Access("identity:change", {"name": "x"}),
    "DELETE /api/v1/users/{user_id:uuid}": Access("identity:erase"),
    "PUT /api/v1/users/{user_id:uuid}/roles/{role}": Access("identity:roles"),
    "DELETE /api/v1/users/{user_id:uuid}/roles/{role}": Access("identity:roles"),
    "POST /api/v1/users/{user_id:uuid}/block": Access("identity:block"),
    "POST /api/v1/users/{user_id:uuid}/unblock": Access("identity:block"),
    f"GET {ME}": Access(USER),
    f"PATCH {ME}": Access(USER, {"name": "x"}),
    f"GET {ME}/permissions": Access(USER),
    f"GET {ME}/sessions": Access(USER),
    f"GET {ME}/security-events": Access(USER),
    f"DELETE {ME}/sessions": Access(USER),
    f"DELETE {ME}/sessions/{{session_id:uuid}}": Access(USER),
    f"GET {ME}/logins": Access(USER),
    f"DELETE {ME}/logins/{{login_id:uuid}}": Access(USER),
    f"GET {ME}/api-keys": Access(USER),
    f"POST {ME}/api-keys": Access(USER, {}),
    f"DELETE {ME}/api-keys/{{key_id:uuid}}": Access(USER),
    "GET /.well-known/oauth-authorization-server": Access(OPEN),
    f"GET {SERVICES}": Access("identity:services"),
    f"POST {SERVICES}": Access("identity:services", {"name": "x", "scopes": ["messages:read"]}),
    f"GET {SERVICES}/{{account_id:uuid}}": Access("identity:services"),
    f"PATCH {SERVICES}/{{account_id:uuid}}": Access("identity:services", {"name": "x"}),
    f"DELETE {SERVICES}/{{account_id:uuid}}": Access("identity:services"),
    f"POST {SERVICES}/{{account_id:uuid}}/secrets": Access("identity:services"),
    f"DELETE {SERVICES}/{{account_id:uuid}}/secrets/{{secret_id:uuid}}": Access("identity:services"),
    "POST /api/v1/conversations": Access(USER, {}),
    "PUT /api/v1/conversations/direct": Access(USER, {}),
    "GET /api/v1/conversations": Access(USER),
    "GET /api/v1/conversations/public": Access(USER),
    "GET /api/v1/conversations/{conversation_id:uuid}": Access(USER),
    "PATCH /api/v1/conversations/{conversation_id:uuid}": Access(USER, {"title": "x"}),
    "DELETE /api/v1/conversations/{conversation_id:uuid}": Access(USER),
    "POST /api/v1/conversations/{conversation_id:uuid}/members": Access(USER, {"member_id": SOMEBODY}),
    "DELETE /api/v1/conversations/{conversation_id:uuid}/members/{member_id:uuid}": Access(USER),
    "POST /api/v1/conversations/{conversation_id:uuid}/messages": Access(USER, TEXT),
    "GET /api/v1/conversations/{conversation_id:uuid}/messages": Access(USER),
    "POST /api/v1/messages": Access(USER, {}),
    "GET /api/v1/messages/{message_id:uuid}": Access(USER),
    "PATCH /api/v1/messages/{message_id:uuid}": Access(USER, {"body": "x"}),
    "DELETE /api/v1/messages/{message_id:uuid}": Access(USER),
    "POST /api/v1/messages/{message_id:uuid}:erase": Access("messaging:erase", {}),
    "GET /api/v1/messages/{message_id:uuid}/versions": Access("messaging:former", refused=404),
    "GET /api/v1/notifications": Access(USER),
    "GET /api/v1/notifications/counts": Access(USER),
    "POST /api/v1/notifications:mark": Access(USER, {}),
    f"POST {ORDERS}": Access(USER, {}),
    f"GET {ORDERS}": Access(USER),
    f"GET {ORDERS}/buyers": Access("ordering:read"),
    f"GET {ORDERS}/{{order_id:uuid}}": Access(USER),
    f"GET {ORDERS}/{{order_id:uuid}}/history": Access(USER),
    f"POST {ORDERS}/{{order_id:uuid}}:cancel": Access(USER),
    f"POST {ORDERS}/{{order_id:uuid}}:ship": Access("ordering:fulfil"),
    f"POST {ORDERS}/{{order_id:uuid}}:return": Access("ordering:fulfil"),
    "POST /api/v1/stock-items": Access("inventory:manage", {"sku": "x", "name": "x"}),
    "GET /api/v1/stock-items": Access(USER),
    "GET /api/v1/stock-items/{sku:sku}": Access(USER),
    "POST /api/v1/stock-items/{sku:sku}:receive": Access("inventory:manage", {"quantity": 1}),
    "GET /api/v1/stock-items/{sku:sku}/movements": Access("inventory:manage"),
    "GET /api/v1/payments": Access("payments:read"),
    "GET /api/v1/payments/{order_id:uuid}": Access(USER),
    "POST /api/v1/documents/convert": Access("documents:convert"),
    "GET /api/v1/documents/formats": Access(USER),
    "GET /api/v1/documents/limits": Access(USER),
    f"POST {CONVERSIONS}": Access("documents:convert"),
    f"GET {CONVERSIONS}": Access(USER),
    f"GET {CONVERSIONS}/all": Access("documents:read"),
    f"GET {CONVERSIONS}/{{document_id:uuid}}": Access(USER),
    f"GET {CONVERSIONS}/{{document_id:uuid}}/result": Access(USER),
    f"DELETE {CONVERSIONS}/{{document_id:uuid}}": Access(USER),
    f"POST {CONVERSIONS}/{{document_id:uuid}}:cancel": Access(USER),
    f"POST {DOCUMENTS}": Access("documents:render", {}),
    f"POST {DOCUMENTS}/validate": Access("documents:render", {}),
    f"POST {DOCUMENTS}/preview": Access("documents:render", {}),
    f"GET {DOCUMENTS}/schemas/document/1.0": Access(USER),
    f"POST {DOCUMENTS}/templates": Access("documents:templates", {}),
    f"GET {DOCUMENTS}/templates": Access("documents:render"),
    f"GET {DOCUMENTS}/templates/{{reference}}": Access("documents:render"),
    f"GET {DOCUMENTS}/templates/{{name}}/versions": Access("documents:render"),
    f"GET {DOCUMENTS}/templates/{{reference}}/variables": Access("documents:render"),
    f"GET {DOCUMENTS}/templates/{{reference}}/content": Access("documents:templates"),
    f"DELETE {DOCUMENTS}/templates/{{reference}}": Access("documents:templates"),
    f"POST {DOCUMENTS}/assets": Access("documents:assets", {}),
    f"GET {DOCUMENTS}/assets": Access("documents:render"),
    f"GET {DOCUMENTS}/assets/{{reference}}": Access("documents:render"),
    f"GET {DOCUMENTS}/assets/{{name}}/versions": Access("documents:render"),
    f"GET {DOCUMENTS}/assets/{{reference}}/content": Access("documents:assets"),
    f"DELETE {DOCUMENTS}/assets/{{reference}}": Access("documents:assets"),
    f"POST {DOCUMENTS}/exports/conversations/{{conversation_id:uuid}}": Access("documents:render"),
    f"GET {DOCUMENTS}": Access(USER),
    f"GET {DOCUMENTS}/{{document_id:uuid}}": Access(USER),
    f"GET {DOCUMENTS}/{{document_id:uuid}}/content": Access(USER),
    f"POST {DOCUMENTS}/{{document_id:uuid}}/links": Access(USER),
    f"DELETE {DOCUMENTS}/{{document_id:uuid}}": Access(USER),
    f"POST {DOCUMENTS}/{{document_id:uuid}}:cancel": Access(USER),
    "POST /graphql": Access(USER, {}),
    "GET /api/v1/audit/trace/{correlation_id}": Access("audit:read"),
    "GET /api/v1/audit/messages/{message_id}/trace": Access("audit:read"),
    "GET /api/v1/audit/events": Access("audit:read"),
    f"GET {ADMIN}": Access("operations:groups"),
    f"GET {ADMIN}/{{group:group}}": Access("operations:groups"),
    f"POST {ADMIN}/{{group:group}}:pause": Access("operations:groups"),
    f"POST {ADMIN}/{{group:group}}:resume": Access("operations:groups"),
    f"GET {ADMIN}/{{group:group}}/dead-letters": Access("operations:groups"),
    f"POST {ADMIN}/{{group:group}}/dead-letters:redrive": Access("operations:groups", {"all": True}),
    f"POST {ADMIN}/{{group:group}}/dead-letters:discard": Access("operations:groups", {"all": True}),
    f"GET {SAGAS}": Access("operations:sagas"),
    f"GET {SAGAS}/{{saga_id:uuid}}": Access("operations:sagas"),
    f"POST {SAGAS}/{{saga_id:uuid}}:retry": Access("operations:sagas"),
    f"POST {SAGAS}/{{saga_id:uuid}}:compensate": Access("operations:sagas"),
    "POST /api/v1/realtime/publish": Access("realtime:publish", {"channel": "news", "payload": 1}),
    "GET /api/v1/realtime/keys": Access("realtime:keys"),
    "POST /api/v1/realtime/keys": Access("realtime:keys", {"name": "x", "channels": ["*"]}),
    "POST /api/v1/realtime/keys/{key_id:uuid}/secrets": Access("realtime:keys"),
    "DELETE /api/v1/realtime/keys/{key_id:uuid}": Access("realtime:keys"),
    "GET /api/v1/realtime/webhooks": Access("realtime:webhooks"),
    "POST /api/v1/realtime/webhooks": Access("realtime:webhooks", WEBHOOK),
    "DELETE /api/v1/realtime/webhooks/{webhook_id:uuid}": Access("realtime:webhooks"),
    f"GET {CONNECTIONS}": Access("realtime:connections"),
    f"POST {CONNECTIONS}/disconnect": Access("realtime:connections", {"user_id": SOMEBODY}),
    f"POST {CONNECTIONS}/subscribe": Access("realtime:connections", OF_CHANNELS),
    f"POST {CONNECTIONS}/unsubscribe": Access("realtime:connections", OF_CHANNELS),
    "GET /users": Access("identity:list"),
    "POST /users": Access("identity:create", SOMETHING),
    "GET /users/{user_id:uuid}": Access(USER),
    "PUT /users/{user_id:uuid}": Access("identity:change", SOMETHING),
    "DELETE /users/{user_id:uuid}": Access("identity:erase"),
    "GET /chat": Access(OPEN),
    "GET /chat/health": Access(OPEN),
    "GET /analytics": Access(USER),
    "GET /analytics/health": Access(OPEN),
    "POST /api/messages": Access(USER, {}),
    "GET /api/messages/get": Access(USER),
    "POST /api/connections": Access(USER),
}
VALUES = {
    "user_id:uuid": SOMEBODY,
    "session_id:uuid": SOMEBODY,
    "key_id:uuid": SOMEBODY,
    "webhook_id:uuid": SOMEBODY,
    "account_id:uuid": SOMEBODY,
    "secret_id:uuid": SOMEBODY,
    "login_id:uuid": SOMEBODY,
    "provider": "nobody",
    "conversation_id:uuid": SOMEBODY,
    "member_id:uuid": SOMEBODY,
    "message_id:uuid": SOMEBODY,
    "order_id:uuid": SOMEBODY,
    "document_id:uuid": SOMEBODY,
    "message_id": SOMEBODY,
    "correlation_id": "nothing",
    "sku:sku": "no-item",
    "group:group": "no.group",
    "saga_id:uuid": SOMEBODY,
    "role": "moderator",
    "reference": "no-template",
    "name": "no-template",
}
# The monitoring's own token (tests/e2e/test_observability.py), a program's secret (test_service_accounts.py), the token of an
# older UI service (test_time_tokens.py), what only programs may (test_realtime_events.py), and what the payment provider signs
# (test_payments_rest.py).
NOT_HERE = {
    "GET /metrics",
    "POST /oauth2/token",
    "POST /update",
    "POST /publish",
    "POST /api/v1/realtime/channel-tokens",
    "POST /api/v1/payments/webhooks",
}
# Without a limit on requests: more than a minute allows come from one address that nobody is signed in at.
SWITCHED_ON = {
    "rate_limit_auth_per_minute": 0,
    "compat_routes": True,
    "compat_time_token": True,
    "time_token_secret": SecretStr("x"),
}


@pytest.fixture(scope="module")
def app(house: House) -> Any:
    switched_on = wiring.build(house.settings.model_copy(update=SWITCHED_ON))
    return application(switched_on, set(wiring.all_roles()), Health(("web",), {}))


def test_every_route_is_classified(app: Any) -> None:
    while not hasattr(app, "routes"):
        app = app._app  # what surrounds it
    found = {f"{method} {route.path}" for route in api_routes(app) for method in route.methods or ()}

    assert found - NOT_HERE == ROUTES.keys()


def test_every_permission_opens_a_route() -> None:
    """One that nobody checks promises what it does not keep."""
    checked = {access.who for access in ROUTES.values()} - {OPEN, USER}

    assert checked == {each.removesuffix(OWN) for each in permissions(ROLES)}


async def asked(app: Any, route: str, tokens: SharedKeyTokens, roles: tuple[str, ...] | None) -> httpx.Response:
    method, _, path = route.partition(" ")
    for name, value in VALUES.items():
        path = path.replace("{" + name + "}", value)
    user = None if roles is None else uuid4()
    async with client_of(app, tokens, user, roles or (), base_url="http://test") as api:
        body = ROUTES[route].body
        return await api.request(method, path, json=body) if body is not None else await api.request(method, path)


@pytest.mark.parametrize("route", ROUTES)
async def test_nobody_calls_what_is_not_open_to_all(app: Any, tokens: SharedKeyTokens, route: str) -> None:
    answer = await asked(app, route, tokens, None)

    assert (answer.status_code == 401) == (ROUTES[route].who != OPEN), answer.text


@pytest.mark.parametrize(
    ("route", "role"),
    [(route, role) for (route, access), role in product(ROUTES.items(), ROLES) if access.who != OPEN],
)
async def test_a_role_opens_what_it_permits_and_nothing_else(
    app: Any, tokens: SharedKeyTokens, route: str, role: str
) -> None:
    who, _, refused = ROUTES[route]
    answer = await asked(app, route, tokens, (role,))

    if who == USER or who in permissions([role]):
        assert answer.status_code not in (401, 403), answer.text
    else:
        assert answer.status_code == refused, answer.text
