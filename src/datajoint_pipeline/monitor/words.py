"""Times as people say them."""

from __future__ import annotations


def spans(least: float, most: float) -> str:
    """Give a time that is known from and to: ``55 min to 1 h 40 min``, or ``2 s`` where both are the same in words."""
    words = span(least), span(most)
    return words[0] if words[0] == words[1] else " to ".join(words)


def span(seconds: float) -> str:
    """Give a time in the two units that a person would say: ``3 h 20 min``."""
    minutes, rest = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    days, hours = divmod(hours, 24)
    if days:
        return f"{days} d {hours} h" if hours else f"{days} d"
    if hours:
        return f"{hours} h {minutes} min" if minutes else f"{hours} h"
    return f"{minutes} min" if minutes else f"{rest} s"
