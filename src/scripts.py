"""How the scripts that Hydra starts end."""

import sys

from hydra.errors import HydraException
from omegaconf.errors import OmegaConfBaseException

from src.disk import is_full


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
