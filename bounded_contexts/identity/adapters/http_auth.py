"""REST face of identity: registering, signing in, passwords, addresses."""

from datetime import datetime, timedelta
from typing import Annotated
from uuid import UUID, uuid4

from fastapi import APIRouter, BackgroundTasks, Depends, Header, Request, Response
from pyotp import TOTP

from bounded_contexts.identity.adapters.bodies import (
    Code,
    Forgotten,
    FurtherLogin,
    Login,
    NewPassword,
    OtherPassword,
    Proof,
    RecoveryAnswer,
    Refresh,
    Registration,
    SecretAnswer,
    TokenAnswer,
    UserAnswer,
    token_answer,
    user_answer,
)
from bounded_contexts.identity.adapters.cookies import PARAMETERS, Browsers
from bounded_contexts.identity.adapters.http_keys import require_lately
from bounded_contexts.identity.application import commands, second_factor, sessions
from bounded_contexts.identity.application.ports import Device, Ports
from bounded_contexts.identity.application.sessions import FirstFactor, SecondFactorNeeded, SignInRefused
from bounded_contexts.identity.domain.address import compared
from bounded_contexts.identity.domain.commands import Asker, Register, RemoveSecondFactor
from infra.access_tokens import Unauthenticated
from infra.http import PerhapsSignedIn, SignedIn, Tokens, anybody, network, problems
from infra.http_errors import error_answer
from infra.opaque import OpaqueTokens
from shared_kernel.errors import Refused

DEVICE_LIMIT = 200  # characters
MFA = "mfa_token"
MFA_LIFETIME = timedelta(minutes=5)
NOT_STORED = {"Cache-Control": "no-store"}  # RFC 6749 section 5.1

UserAgent = Annotated[str, Header(include_in_schema=False)]
ANYBODY = [Depends(anybody)]


def auth_routes(ports: Ports, issuer: str, browsers: Browsers) -> APIRouter:
    """Return the routes under `/auth`. `issuer` is what an app of codes calls us."""
    routes = APIRouter(prefix="/auth", tags=["auth"], responses=problems(401, 422, 503))

    def answer(found: sessions.SignedIn, request: Request, response: Response, *, in_cookie: bool) -> TokenAnswer:
        response.headers.update(NOT_STORED)
        if in_cookie:
            browsers.keep(found.refresh_token, request, response)
        return token_answer(found, in_cookie=in_cookie)

    @routes.post("/register", status_code=201, dependencies=ANYBODY, responses=problems(409, 429))
    async def register(new: Registration, request: Request, response: Response) -> UserAnswer:
        """Open an account; a mail asks whether the address is yours."""
        ask = Register(user_id=uuid4(), email=new.email, name=new.name, at=ports.now())
        state, version = await commands.register(ask, new.password, device_of(request, "").address, ports)
        response.headers.update({"Location": f"/api/v1/users/{ask.user_id}", "ETag": f'"{version}"'})
        return user_answer(ask.user_id, state)

    @routes.post("/login", dependencies=ANYBODY, responses=problems(403, 429), response_model_exclude_none=True)
    async def login(
        given: Login, request: Request, response: Response, tokens: Tokens, user_agent: UserAgent = ""
    ) -> TokenAnswer:
        """Open a session. After five failures for one account the next attempts have to wait, longer and longer.

        401 `mfa_required` comes with `mfa_token` for `/auth/mfa/verify`, good for five minutes."""
        device = device_of(request, given.device or user_agent)
        try:
            found = await sessions.sign_in(given.email, given.password, device, ports)
        except SignInRefused:
            raise Unauthenticated("invalid_credentials", "address or password is wrong") from None
        except SecondFactorNeeded as needed:
            raise _mfa_required(mfa_token(needed, tokens, ports.now())) from None
        return answer(found, request, response, in_cookie=given.cookie)

    @routes.post(
        "/mfa/verify", dependencies=ANYBODY, responses=problems(403, 404, 429), response_model_exclude_none=True
    )
    async def login_further(
        given: FurtherLogin, request: Request, response: Response, tokens: Tokens, user_agent: UserAgent = ""
    ) -> TokenAnswer:
        """Open the session with a code of now, or with a recovery code; each is good once."""
        user_id, first, until = tokens.open(MFA, given.mfa_token)
        if ports.now().timestamp() > until:
            raise Refused("invalid_mfa_token", "it is too old: sign in again")
        device = device_of(request, given.device or user_agent)
        try:
            found = await sessions.sign_in_further(
                UUID(user_id), _first_factor(first), given.code, device, ports.now(), ports
            )
        except SignInRefused:
            raise Unauthenticated("invalid_credentials", "this is no code of now, or it was used") from None
        return answer(found, request, response, in_cookie=given.cookie)

    @routes.post("/mfa/totp/enroll", responses=problems(403, 404))
    async def enrol(user: SignedIn, response: Response) -> SecretAnswer:
        """Begin to add a second factor: show this to an app, then confirm with a code of it. It takes having signed in within
        ten minutes."""
        await require_lately(user, ports)
        secret, email = await second_factor.enrol(user.id, ports)
        response.headers.update(NOT_STORED)
        return SecretAnswer(secret=secret, uri=TOTP(secret).provisioning_uri(name=email, issuer_name=issuer))

    @routes.post("/mfa/totp/confirm", responses=problems(403, 404, 429))
    async def confirm(given: Code, user: SignedIn, response: Response) -> RecoveryAnswer:
        """Ask for a code at each sign-in from now on."""
        codes = await second_factor.confirm(user.id, given.code, ports.now(), ports)
        response.headers.update(NOT_STORED)
        return RecoveryAnswer(recovery_codes=codes)

    @routes.post("/mfa/totp/remove", status_code=204, responses=problems(403, 404, 429))
    async def remove(given: Code, user: SignedIn) -> None:
        """Ask for the password alone again; it takes a code."""
        ask = RemoveSecondFactor(user_id=user.id, asker=Asker(user.id, user.roles), at=ports.now())
        await second_factor.remove(ask, given.code, ports)

    @routes.post(
        "/refresh",
        dependencies=ANYBODY,
        responses=problems(403, 429),
        response_model=TokenAnswer,
        response_model_exclude_none=True,
        openapi_extra=PARAMETERS,
    )
    async def refresh(given: Refresh, request: Request, response: Response) -> TokenAnswer | Response:
        """Exchange a refresh token, that of the body or else that of the cookie. One that was exchanged more than 10 s ago
        ends the session: somebody has a copy."""
        token = given.refresh_token or browsers.refresh_token(request)
        if token is None:
            raise Refused("refresh_token_missing", "neither in the body nor as a cookie")
        try:
            found = await sessions.refresh(token, ports.now(), ports)
        except SignInRefused:
            refused = error_answer(request, Unauthenticated("invalid_refresh_token", "sign in again"))
            if not given.refresh_token:
                browsers.forget(request, refused)
            return refused
        return answer(found, request, response, in_cookie=not given.refresh_token)

    @routes.post("/logout", status_code=204, responses=problems(403), openapi_extra=PARAMETERS)
    async def logout(user: PerhapsSignedIn, request: Request, response: Response) -> None:
        """End the session of the access token and that of the cookie, whichever are sent, sockets included; twice is once."""
        if user and user.session:
            await sessions.end_session(user.id, user.session, "signed_out", ports.now(), ports)
        if token := browsers.refresh_token(request):
            await sessions.sign_out(token, ports.now(), ports)
        elif user is None:
            raise Unauthenticated("unauthenticated", "send an access token, or the cookie")
        browsers.forget(request, response)

    @routes.post("/logout-all", status_code=204)
    async def logout_everywhere(user: SignedIn, request: Request, response: Response) -> None:
        """End every session of yours, this one too."""
        await sessions.end_sessions(user.id, "signed_out", ports.now(), ports)
        browsers.forget(request, response)

    @routes.post("/password/forgot", status_code=202, dependencies=ANYBODY, responses=problems(429))
    async def forgot(given: Forgotten, later: BackgroundTasks) -> None:
        """Have a mail sent with which a new password can be set; neither the answer nor its time tells whether there is an
        account."""
        await ports.attempts.admit([f"account:reset {compared(given.email)}"])
        later.add_task(commands.request_reset, given.email, ports.now(), ports)

    @routes.post("/password/reset", status_code=204, dependencies=ANYBODY, responses=problems(404, 429))
    async def reset(given: NewPassword, request: Request, response: Response) -> None:
        """Set a new password by the mail's token; every session ends."""
        await commands.reset_password(given.token, given.password, ports.now(), ports)
        browsers.forget(request, response)

    @routes.post("/password/change", status_code=204, responses=problems(403, 429))
    async def change(given: OtherPassword, user: SignedIn) -> None:
        """Set another password; every session but this one ends."""
        await commands.change_password(user.id, user.session, given.present, given.new, ports.now(), ports)

    @routes.post("/email/verify", status_code=204, dependencies=ANYBODY, responses=problems(404, 429))
    async def verify(given: Proof) -> None:
        """Say by the mail's token that the address is yours; twice is once."""
        await commands.verify_email(given.token, ports.now(), ports)

    @routes.post("/email/request-verification", status_code=202, responses=problems(404, 429))
    async def request_verification(user: SignedIn) -> None:
        """Have the mail sent once more."""
        await commands.request_verification(user.id, ports.now(), ports)

    return routes


def mfa_token(needed: SecondFactorNeeded, tokens: OpaqueTokens, now: datetime) -> str:
    """Return what goes with a code to `/auth/mfa/verify`."""
    first = needed.first.isoformat() if isinstance(needed.first, datetime) else str(needed.first)
    return tokens.seal(MFA, [str(needed.user_id), first, (now + MFA_LIFETIME).timestamp()])


def _first_factor(text: str) -> FirstFactor:
    return datetime.fromisoformat(text) if "T" in text else UUID(text)


def _mfa_required(token: str) -> Unauthenticated:
    required = Unauthenticated("mfa_required", "send a code to /auth/mfa/verify")
    required.more = {"mfa_token": token}
    return required


def device_of(request: Request, name: str) -> Device:
    """Return where a session is used."""
    printable = "".join(character for character in name if character.isprintable())
    return Device(printable[:DEVICE_LIMIT], network(request))
