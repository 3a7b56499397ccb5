"""Checkpoint files that are whole or absent, and load nothing but tensors and plain values."""

from pathlib import Path
from typing import IO, Any, BinaryIO, cast

import torch
from lightning.pytorch.plugins.io import TorchCheckpointIO

from ..errors import NoRoom
from ..lit_module import AspectSentimentModule
from ..model.sizes import bytes_of
from ..model.torch_files import DamagedFile, HashedWriter, check_archive
from ..runs.machine import free_space, link, replace, write_whole
from ..spelling import override, pasted

PREVIOUS = {"last.ckpt": "previous.ckpt"}  # the name that keeps a file's earlier version


class AtomicCheckpointIO(TorchCheckpointIO):
    """Writes beside the target, flushes to the disk, then renames: a kill leaves the old file or the new one.

    Lightning's own class stages the file in ``$TMPDIR`` and moves it, which is not atomic across file systems, and
    never flushes. The earlier ``last.ckpt`` stays as ``previous.ckpt``, a hard link, which costs no writing. Every file
    ends in a hash of itself, which loading checks; only tensors and plain values are loaded (``weights_only``), so a
    file cannot run code.
    """

    def save_checkpoint(self, checkpoint: dict[str, Any], path: str | Path, storage_options: object = None) -> None:
        """Raises NoRoom if the file cannot be written, as on a full disk; the earlier file is untouched then."""
        target = Path(path)
        writer: HashedWriter | None = None

        def write(file: BinaryIO) -> None:
            nonlocal writer
            writer = HashedWriter(file)
            torch.save(checkpoint, cast(IO[bytes], writer))
            writer.seal()
            if target.name in PREVIOUS and target.exists():
                earlier = target.with_name(PREVIOUS[target.name])
                if not link(target, earlier):
                    replace(target, earlier)  # no hard links here: for a moment only ``earlier`` exists

        try:
            target.parent.mkdir(parents=True, exist_ok=True)
            write_whole(target, write, temporary=target.with_name(f".{target.name}.partial"))
        except BaseException as error:
            reason = writer.error if writer is not None and writer.error is not None else error
            if isinstance(reason, OSError):
                raise NoRoom(_not_written(target, reason)) from error
            raise

    def load_checkpoint(
        self, path: str | Path, map_location: object = None, weights_only: bool | None = None
    ) -> dict[str, Any]:
        """Raises DamagedFile if the file is not whole, or holds anything but tensors and plain values."""
        check_archive(Path(path))
        try:
            loaded: dict[str, Any] = torch.load(path, map_location="cpu", weights_only=True)
            return loaded
        except Exception as error:  # torch raises a dozen kinds for tensors that are not as declared
            raise DamagedFile(f"{path}: cannot be loaded ({str(error).strip().splitlines()[0][:200]})") from error


def load_module(path: Path) -> AspectSentimentModule:
    """The module of a checkpoint, on the processor, in eval mode. Raises DamagedFile.

    A file from elsewhere may describe a model of any size, so that size is compared with the file's before the model
    takes memory.
    """
    settings = AtomicCheckpointIO().load_checkpoint(path).get("hyper_parameters", {})
    try:
        claimed = bytes_of(settings["encoder_config"], lambda: AspectSentimentModule(**settings))
    except Exception as error:  # the settings may be anything
        raise DamagedFile(f"{path}: describes no model of this project ({type(error).__name__})") from error
    if claimed > path.stat().st_size:
        raise DamagedFile(f"{path}: describes a model of {claimed:,} bytes, and has not so many")
    module: AspectSentimentModule = AspectSentimentModule.load_from_checkpoint(
        path, map_location="cpu", weights_only=True
    )
    return module.eval()


def _not_written(target: Path, error: OSError) -> str:
    last = next((f for f in (target.with_name("last.ckpt"), target.with_name("previous.ckpt")) if f.is_file()), None)
    room = free_space(target.parent)
    free = "" if room is None else f" ({room / 1e9:.2f} GB are free there)"
    then = f"; earlier checkpoints are whole, and {pasted([override('ckpt_path', last)])} goes on" if last else ""
    return f"{target}: cannot be written: {error.strerror}{free}. Make room{then}."


def amend_checkpoint(path: Path, values: dict[str, Any]) -> None:
    """Add plain values, such as the detection thresholds, to a checkpoint. Raises NoRoom and DamagedFile."""
    io = AtomicCheckpointIO()
    io.save_checkpoint(io.load_checkpoint(path) | values, path)
