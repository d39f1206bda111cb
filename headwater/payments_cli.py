"""`headwater payment-provider`: a payment provider that moves no money."""

from pathlib import Path
from typing import Annotated

import typer

from headwater.console import loaded, told
from headwater.settings import SettingsError, required
from infra.webhooks import secret_of


def payment_provider(
    port: Annotated[int, typer.Option(min=1, max=65535, help="Port on loopback.")],
    ledger: Annotated[Path, typer.Option(help="File that keeps what was done.")],
    webhooks: Annotated[str | None, typer.Option(help="URL that hears of it.")] = None,
) -> None:
    """Run a simulated payment provider for development, with HEADWATER_PAYMENT_PROVIDER_KEY and _WEBHOOK_SECRET.

    Refused in production mode."""
    from infra.local.payment_provider import serve

    with told():
        settings = loaded()
        if settings.mode == "production":
            raise SettingsError("`headwater payment-provider` is for development: nobody pays it")
        key = required(settings.payment_provider_key, "PAYMENT_PROVIDER_KEY").get_secret_value()
        secret = required(settings.payment_webhook_secret, "PAYMENT_WEBHOOK_SECRET") if webhooks else None
        serve(port, ledger, key, webhooks, secret_of(secret.get_secret_value()) if secret else b"")
