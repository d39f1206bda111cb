"""The errors of the local stack."""


class StackError(Exception):
    """Something a person can put right. The message is one line that says how; `detail` may show log lines."""

    def __init__(self, message: str, detail: str = "") -> None:
        super().__init__(message)
        self.detail = detail


class FilesMissing(StackError):
    """The servers' programs are not here and cannot be fetched: nothing has been started with them."""
