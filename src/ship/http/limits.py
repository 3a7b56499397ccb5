"""The limits of the service: sizes, and seconds that it waits."""

import argparse
import math
import re
from collections.abc import Sequence
from dataclasses import dataclass

from ...errors import UserError

ORIGIN = re.compile(r"https?://(?:[a-z0-9.-]+|\[[0-9a-f:.]+\])(?::\d{1,5})?")  # as browsers write it: lower case


@dataclass(frozen=True)
class Limits:
    """Limits of the service; :meth:`check` refuses values that are not above 0."""

    queue: int = 512  # texts that may wait for the model
    max_text_chars: int = 10_000  # of one text
    max_texts: int = 256  # in one request
    max_body_bytes: int = 1 << 20  # of one request
    timeout: float = 30.0  # seconds from a request's acceptance to its answer
    read_timeout: float = 10.0  # seconds that a client may take over its request

    def check(self) -> None:
        """Raises UserError that lists every bound that is not above 0."""
        bad = {name: value for name, value in vars(self).items() if not 0 < value < math.inf}
        if bad:
            faults = [f"--{name.replace('_', '-')} {value}: expected a number above 0" for name, value in bad.items()]
            raise UserError(faults)


def check_origins(origins: Sequence[str]) -> None:
    """Raises UserError for what no browser sends as the origin of a page: a scheme, a host and perhaps a port."""
    if bad := [origin for origin in origins if origin != "*" and not ORIGIN.fullmatch(origin)]:
        expected = "expected a scheme and a host, such as https://shop.example, without a path, or *"
        raise UserError([f"--cors {origin}: {expected}" for origin in bad])


def add_limits(serve: argparse.ArgumentParser) -> None:
    """Add an option for each of the limits."""
    bounds = Limits()
    serve.add_argument("--queue", type=int, default=bounds.queue, help="texts that may wait; beyond them: 503")
    serve.add_argument("--max-text-chars", type=int, default=bounds.max_text_chars, help="characters of one text")
    serve.add_argument("--max-texts", type=int, default=bounds.max_texts, help="texts of one request")
    serve.add_argument("--max-body-bytes", type=int, default=bounds.max_body_bytes, help="bytes of one request")
    serve.add_argument("--timeout", type=float, default=bounds.timeout, help="seconds to wait for an answer; then: 504")
    serve.add_argument("--read-timeout", type=float, default=bounds.read_timeout, help="seconds to read a request: 408")
