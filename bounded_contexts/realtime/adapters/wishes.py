"""What a client asks about channels; unknown fields are for other versions."""

from collections.abc import Iterator, Mapping
from typing import Annotated

from pydantic import BaseModel, ConfigDict, Field

from bounded_contexts.realtime.application.channels import NAME

MOST_AT_ONCE = 100  # channels in one request

Name = Annotated[str, Field(pattern=f"^{NAME.pattern}$")]
Position = Annotated[str | None, Field(max_length=4096)]  # null: from now on
Token = Annotated[str | None, Field(max_length=8192)]


class Wish(BaseModel):
    model_config = ConfigDict(extra="ignore", strict=True)

    channel: Name


class Subscribing(Wish):
    position: Position = None
    token: Token = None


class SubscribingToMany(BaseModel):
    """Several channels at one position."""

    model_config = ConfigDict(extra="ignore", strict=True)

    channels: Annotated[list[Name], Field(min_length=1, max_length=MOST_AT_ONCE)]
    position: Position = None
    tokens: Mapping[str, Token] = {}

    def wishes(self) -> Iterator[Subscribing]:
        """Yield a wish for each channel, once. Only what was said is set in it."""
        common = {"position": self.position} if "position" in self.model_fields_set else {}
        for name in dict.fromkeys(self.channels):
            yield Subscribing(channel=name, token=self.tokens.get(name), **common)
