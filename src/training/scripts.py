"""Start and end of the programs that Hydra runs: overrides as typed, exit status 2 for a user's mistake."""

import os
import sys
from collections.abc import Callable, Sized

from hydra.errors import HydraException, InstantiationException
from omegaconf.errors import OmegaConfBaseException

from ..errors import UserError, refuse
from ..runs.machine import end_at_once, is_full, write_any_letter
from ..runs.overrides import as_typed, explained

RAISE = "HYDRA_FULL_ERROR"  # set, Hydra raises errors on; else it prints them itself and exits with 1


def run(job: Callable[[], object], begun: Sized, config: str = "config") -> None:
    """Call Hydra's ``job`` with the command line as it was typed.

    A user's mistake is told in one message and ends with exit status 2: a UserError, a full disk, and what Hydra says
    of overrides before any job has ``begun``. ``config`` is the name of the job's configuration.
    """
    write_any_letter()
    end_at_once()
    before = os.environ.get(RAISE)
    os.environ[RAISE] = "1"
    try:
        sys.argv[1:] = as_typed(sys.argv[1:])
        job()
    except UserError as error:
        told = str(error)
    except Exception as error:
        if is_full(error):
            told = f"{error}. Make room; then the same command goes on"
        elif isinstance(error, HydraException | OmegaConfBaseException) and not begun and before != "1":
            told = explained(error, config, sys.argv[1:])
        else:
            raise
    else:
        return
    finally:
        os.environ.pop(RAISE) if before is None else os.environ.update({RAISE: before})
    refuse(told)


def user_error(error: BaseException) -> UserError:
    """The mistake in an exception, which Hydra wraps where it makes an object. Raises ``error`` where there is none."""
    inner = error.__cause__ if isinstance(error, InstantiationException) else error
    if not isinstance(inner, UserError):
        raise error
    return inner
