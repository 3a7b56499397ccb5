"""What a user did wrong, said once, without a traceback."""

from collections.abc import Sequence


class UserError(Exception):
    """A mistake in a file, a setting or a command: printed as it is, exit status 2.

    Carries every fault that was found, one line each, so that all can be mended in one go. A bug is any other
    exception and keeps its traceback.
    """

    def __init__(self, faults: str | Sequence[str]) -> None:
        self.faults = [faults] if isinstance(faults, str) else list(faults)
        super().__init__("\n".join(self.faults))

    def _render_traceback_(self) -> list[str]:
        return [f"error: {self}"]  # IPython shows this in place of a traceback


class NoRoom(UserError):
    """A disk that is full or cannot be written: what runs next would most likely fail as well."""
