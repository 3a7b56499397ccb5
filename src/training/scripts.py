"""How the scripts that Hydra starts end."""

import sys

from hydra.errors import HydraException, InstantiationException
from omegaconf.errors import OmegaConfBaseException

from ..errors import UserError
from ..runs.machine import is_full


def user_error(error: BaseException) -> UserError:
    """The mistake in an exception, which Hydra wraps where it makes an object. Raises ``error`` where there is none."""
    inner = error.__cause__ if isinstance(error, InstantiationException) else error
    if not isinstance(inner, UserError):
        raise error
    return inner


def exit_status(end: SystemExit, begun: bool) -> object:
    """2 for a full disk, and for an override that Hydra cannot apply (no job has ``begun``).

    Hydra has printed what was raised and leaves with 1, whatever it was.
    """
    why = end.__context__
    if end.code == 1 and is_full(why):
        print(f"error: {why}. Make room; then the same command goes on", file=sys.stderr)
        return 2
    mistake = not begun and isinstance(why, HydraException | OmegaConfBaseException)
    return 2 if end.code == 1 and mistake else end.code
