"""What payments may be told from outside; part of `Settings`."""

from typing import Self

from pydantic import Field, SecretStr, model_validator
from pydantic_settings import BaseSettings

from headwater import addresses
from infra.webhooks import secret_of


class PaymentSettings(BaseSettings):
    """The payment provider (docs/payments.md)."""

    payment_provider_url: str | None = Field(
        None,
        description="Base URL of the payment provider; unset: `headwater up` starts a simulated one in development, elsewhere "
        "every payment is declined.",
    )
    payment_provider_key: SecretStr | None = Field(None, description="Sent to it as a bearer token.")
    payment_webhook_secret: SecretStr | None = Field(
        None,
        description="`whsec_<base64>` of 24 bytes or more, with which it signs its webhooks; unset: none are taken.",
    )
    payment_attempt_timeout: float = Field(
        2.0, gt=0, le=60, description="How long the payment provider may take for one request."
    )
    payment_timeout: float = Field(
        6.0, gt=0, le=120, description="The same with all repeats; what is not known by then is asked again later."
    )
    payment_concurrency: int = Field(
        16, ge=1, le=1_000, description="Requests to the payment provider that a process has under way at once."
    )

    @model_validator(mode="after")
    def _check_payments(self) -> Self:
        if self.payment_provider_url is not None:
            try:
                addresses.payment_provider(self.payment_provider_url)
            except ValueError as error:
                raise ValueError(f"HEADWATER_PAYMENT_PROVIDER_URL: {error}") from None
            if not self.payment_provider_key:
                raise ValueError("HEADWATER_PAYMENT_PROVIDER_KEY is needed with HEADWATER_PAYMENT_PROVIDER_URL")
        if self.payment_webhook_secret:
            try:
                secret_of(self.payment_webhook_secret.get_secret_value())
            except ValueError:
                raise ValueError(
                    "HEADWATER_PAYMENT_WEBHOOK_SECRET: write whsec_ and base64 of 24 bytes or more"
                ) from None
        return self
