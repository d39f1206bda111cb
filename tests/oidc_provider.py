"""A real OpenID provider: `oidc-provider` of npm, which the OpenID Foundation has certified, in a process of its own.

Dex would take a Go build, Keycloak a JVM and half a minute; this starts in a second, and holds us to PKCE, to redirect
addresses letter by letter, and to fetching claims where the specification puts them."""

import re
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from html import unescape
from pathlib import Path
from typing import Any
from urllib.parse import quote, urljoin

import httpx

from tests.npm import installed

PROJECT = Path(__file__).parent / "oidc"
CLIENT, SECRET = "headwater", "only/for+tests"


@dataclass(frozen=True, slots=True)
class OpenIdProvider:
    issuer: str

    @property
    def url(self) -> str:
        """Return what `HEADWATER_OIDC_<PROVIDER>` is set to."""
        return self.issuer.replace("://", f"://{CLIENT}:{quote(SECRET, safe='')}@")

    async def know(self, who: str, /, **claims: Any) -> None:
        """Open an account, or change what is said of it."""
        async with httpx.AsyncClient() as client:
            (await client.put(f"{self.issuer}/accounts/{quote(who, safe='')}", json=claims)).raise_for_status()

    async def sign_in(self, url: str, name: str) -> str:
        """Go to `url` as a browser sent there does, sign in; return where the provider sends it back to."""
        async with httpx.AsyncClient() as browser:
            page = await self._followed(browser, await browser.get(url))
            form = re.search(r'<form[^>]* action="([^"]+)"', page.text)
            assert form, page.text
            fields = {"prompt": "login", "login": name, "password": "any"}
            sent = await browser.post(urljoin(str(page.url), unescape(form[1])), data=fields)
            return str((await self._followed(browser, sent)).headers["location"])

    async def cancel(self, url: str) -> str:
        """Go there and do not sign in; return where the provider sends the browser back to."""
        async with httpx.AsyncClient() as browser:
            page = await self._followed(browser, await browser.get(url))
            (abort,) = set(re.findall(r'href="([^"]+/abort)"', page.text))
            left = await browser.get(urljoin(str(page.url), abort))
            return str((await self._followed(browser, left)).headers["location"])

    async def _followed(self, browser: httpx.AsyncClient, answer: httpx.Response) -> httpx.Response:
        """Return the first answer that leads away from here, or nowhere."""
        while answer.is_redirect and urljoin(str(answer.url), answer.headers["location"]).startswith(self.issuer):
            answer = await browser.get(urljoin(str(answer.url), answer.headers["location"]))
        assert answer.status_code < 400, answer.text
        return answer


@contextmanager
def openid_provider(*redirects: str) -> Iterator[OpenIdProvider]:
    """Run one that sends browsers back to these addresses only."""
    command = ("node", "provider.mjs", *redirects)
    with subprocess.Popen(command, cwd=installed(PROJECT), stdout=subprocess.PIPE, text=True) as process:
        try:
            assert process.stdout
            issuer = next(found[1] for line in process.stdout if (found := re.match(r"issuer (\S+)", line)))
            yield OpenIdProvider(issuer)
        finally:
            process.terminate()
