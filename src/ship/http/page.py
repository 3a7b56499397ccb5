"""The demo page: one HTML file, and a policy by which a browser runs only the scripts in that file."""

import base64
import hashlib
import re
from importlib.resources import files


def demo_page() -> tuple[bytes, dict[str, str]]:
    """The page's bytes and the headers of its response."""
    html = files(__package__).joinpath("static/index.html").read_bytes()
    return html, {"Content-Security-Policy": policy(html), "Cache-Control": "no-cache"}


def policy(html: bytes) -> str:
    """A Content-Security-Policy with the hashes of the page's own scripts and styles."""

    def sources(tag: bytes) -> str:
        blocks = re.findall(rb"<%s>(.*?)</%s>" % (tag, tag), html, re.S)
        return " ".join(f"'sha256-{base64.b64encode(hashlib.sha256(block).digest()).decode()}'" for block in blocks)

    return "; ".join(
        (
            "default-src 'none'",
            f"script-src {sources(b'script')}",
            f"style-src {sources(b'style')}",
            "connect-src 'self'",
            "img-src data:",
            *(f"{name} 'none'" for name in ("base-uri", "form-action", "frame-ancestors")),
        )
    )
