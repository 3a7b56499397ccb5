"""Search settings with Optuna: `python search.py sweep.trials=20 model=mini 'loss.gamma=interval(0,5)'`.

A program around Hydra's compose, with train.py's configuration and Hydra's own words for a space. Not a sweeper under
`train.py -m`: hydra-optuna-sweeper 1.3 pins Optuna 2.10, whose database storage does not work with a current
SQLAlchemy, so that a search would end with its process; and a sweeper sees finished jobs only, so it can prune none.

    python search.py sweep.dir=searches/first sweep.trials=20 model=mini     the space of conf/sweep/optuna.yaml
    python search.py sweep.dir=searches/first ...                            the same again: goes on, also after a kill
                                                                             and in several processes at once
    python search.py sweep.space=null loss.gamma=interval(0,5) 'model.encoder_lr=tag(log,interval(1e-5,1e-3))'
"""

import sys
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import hydra
from hydra import initialize_config_dir
from hydra.core.utils import setup_globals, simple_stdout_log_config
from hydra.errors import HydraException
from hydra.utils import instantiate
from omegaconf.errors import OmegaConfBaseException

from src.answers.figures import LOSS
from src.errors import UserError, print_lines, refuse
from src.runs.machine import end_at_once, is_full, write_any_letter
from src.runs.overrides import as_typed, explained
from src.spelling import command, override
from src.sweeps.jobs import ROOT, command_again, searching
from train import plain, run_training


def main() -> None:
    """The command line; a user's mistake ends in exit status 2, a search without a complete trial in 1."""
    write_any_letter()
    end_at_once()
    words = sys.argv[1:]
    if not words or set(words) & {"-h", "--help"}:
        print(__doc__)
        return
    setup_globals()
    simple_stdout_log_config()
    try:
        if missing := [name for name in ("optuna", "plotly") if find_spec(name) is None]:
            raise UserError(f"{' and '.join(missing)} is not installed; pip install -c constraints.txt '.[search]'")
        with initialize_config_dir(str(ROOT / "conf"), job_name="train", version_base="1.3"):
            status = search(as_typed(words, several=True))
    except UserError as error:
        refuse(error)
    except (HydraException, OmegaConfBaseException) as error:
        refuse(explained(error, "search", [word for word in words if word.startswith("sweep")]))
    except Exception as error:
        if not is_full(error):
            raise
        refuse(f"{error}\nMake room; then go on with {command_again()}")
    finally:
        searching.clear()
    raise SystemExit(status)


def search(words: list[str]) -> int:
    """Run a study's trials until there are enough; return 0 if any is complete, else 1. Raises UserError."""
    from src.sweeps.multirun import leaderboard
    from src.sweeps.space import comparable, configured_space, split
    from src.sweeps.study import Search
    from src.sweeps.study_page import best_command, write_page
    from src.sweeps.trials import check, defaults, work
    from src.training.targets import target_faults

    own, fixed, space = split(words)
    settings: dict[str, Any] = plain(hydra.compose("search", own))["sweep"]
    folder = Path(settings["dir"])
    named = any(word.startswith("sweep.dir=") for word in words)
    searching[:] = [sys.argv[0], *words, *([] if named else [override("sweep.dir", folder)])]
    typed = space
    space = configured_space(settings["space"] or {}, [*fixed, *space]) | space
    if not space:
        raise UserError(
            "nothing to search: sweep.space is null, and no setting is one such as 'loss.gamma=interval(0,5)'"
        )
    faults = []
    for key in ("sampler", "pruner"):  # a configuration may name Optuna's own classes alone
        if not str(settings[key].get("_target_")).startswith(f"optuna.{key}s."):
            faults.append(f"sweep.{key}._target_={settings[key].get('_target_')}: expected a class of optuna.{key}s")
        else:
            faults += target_faults(settings[key], f"sweep.{key}.", ("optuna.samplers", "optuna.pruners"))
    if faults:
        raise UserError(faults)
    if not isinstance(settings["trials"], int) or settings["trials"] < 1:
        raise UserError(f"sweep.trials={settings['trials']}: expected an integer, at least 1")
    figure = check(fixed, space, folder)
    if figure == LOSS:
        space, told = comparable(space, typed)
        print_lines(told)
    sampler, pruner = instantiate(settings["sampler"]), instantiate(settings["pruner"])
    first = defaults(fixed, space, folder)
    found = Search(folder, space, fixed, figure, sampler, pruner, settings["trials"], settings["seed"], first)
    print_lines(f"Searching {', '.join(space)} in {folder}\nTo go on, or to help in another process: {command_again()}")
    work(found, run_training)
    page, again, best = write_page(found), best_command(found), found.best
    if again is None or best is None:
        print("No trial is complete.", file=sys.stderr)
        return 1
    compare = command("absa", ["compare", str(folder)])
    print_lines(f"\n{leaderboard(folder)}")
    print_lines(f"\nBest: {figure} {best.value:.4f}, trial {best.number}\n  {again}\n{page}\n{compare}")
    return 0


if __name__ == "__main__":
    main()
