"""Messages to people, through apprise, and a sign of life to a dead man's switch. No address is ever shown."""

from __future__ import annotations

import importlib.util
import logging
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from http.client import HTTPException
from pathlib import Path
from urllib.parse import urlsplit

from .. import disk
from ..errors import PipelineError

#: The files in ``.secrets/``: addresses, one a line, and the URL of a dead man's switch.
ADDRESSES, PING = "alerts", "ping"

#: Seconds that a sign of life may take.
_PATIENCE = 15.0


def addresses(secrets: Path, *, dry_run: bool = False) -> list[str]:
    """Read the addresses that messages go to; each can be used.

    Parameters
    ----------
    secrets : Path
        The folder ``.secrets``.
    dry_run : bool
        Whether nothing will be sent, so that apprise need not be there.

    Raises
    ------
    PipelineError
        If apprise is not there, or does not know what one means.
    """
    lines = _lines(secrets / ADDRESSES)
    if not lines:
        return []
    if importlib.util.find_spec("apprise") is None:
        if dry_run:
            return list(dict.fromkeys(lines.values()))
        raise PipelineError(
            "No message can be sent.",
            "The package apprise is not installed.",
            'Run uv add "datajoint-pipeline[alerts]", then run the command again.',
        )
    import apprise

    with _quiet():
        for number, address in lines.items():
            if not apprise.Apprise().add(address):
                raise PipelineError(
                    f".secrets/{ADDRESSES}, line {number} is not an address that messages can be sent to.",
                    "It is not shown here, as it may hold a password.",
                    "Write it as https://appriseit.com/services/ says, for example mailtos://user:password@example.org.",
                )
    return list(dict.fromkeys(lines.values()))


def send(address: str, title: str, body: str, *, good: bool) -> bool:
    """Send a message to an address; tell whether it was taken."""
    import apprise

    with _quiet():
        to = apprise.Apprise()
        to.add(address)
        kind = apprise.NotifyType.SUCCESS if good else apprise.NotifyType.FAILURE
        return bool(to.notify(title=title, body=body, notify_type=kind))


def ping_address(secrets: Path) -> str | None:
    """Read the URL of the dead man's switch; None where there is none.

    Raises
    ------
    PipelineError
        If it is no such URL.
    """
    lines = list(_lines(secrets / PING).values())
    if not lines:
        return None
    if len(lines) > 1 or urlsplit(lines[0]).scheme not in ("http", "https"):
        raise PipelineError(
            f".secrets/{PING} is not one URL.",
            "The sign of life is a request for it, so it begins with https:// or http://.",
            "Put the ping URL of your dead man's switch there, alone.",
        )
    return lines[0]


def ping(url: str) -> str:
    """Give a sign of life; say why it was not taken, else nothing."""
    try:
        with urllib.request.urlopen(url, timeout=_PATIENCE):
            return ""
    except OSError as error:
        code = getattr(error, "code", None)
        return f"HTTP {code}" if code else str(getattr(error, "reason", None) or type(error).__name__)
    except (ValueError, HTTPException) as error:  # whose message would show the URL
        return type(error).__name__


def _lines(path: Path) -> dict[int, str]:
    try:
        lines = path.read_text(encoding="utf-8-sig").splitlines()
    except FileNotFoundError:
        return {}
    except UnicodeDecodeError:
        raise PipelineError(f".secrets/{path.name} is no text that can be read.", "It is not UTF-8.", "") from None
    except OSError as error:
        raise disk.refusal(error, path) from error
    known = ((number, line.strip()) for number, line in enumerate(lines, 1))
    return {number: line for number, line in known if line and not line.startswith("#")}


@contextmanager
def _quiet() -> Iterator[None]:
    """Keep apprise from logging addresses, which it does where one is wrong."""
    names = ("apprise", "urllib3", "requests")
    before = {name: logging.getLogger(name).disabled for name in names}
    for name in names:
        logging.getLogger(name).disabled = True
    try:
        yield
    finally:
        for name, disabled in before.items():
            logging.getLogger(name).disabled = disabled
