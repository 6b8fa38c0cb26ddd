"""Progress as Prometheus reads it: a file for the textfile collector of ``node_exporter``.

A label has the name of a schema, of a table, of a status or of a class of workers, never that of a key, a host or an
error: there are only so many of them.
"""

from __future__ import annotations

import importlib.util
from datetime import timezone
from pathlib import Path

from .. import disk
from ..errors import PipelineError
from .progress import Progress


def require() -> None:
    """Refuse to begin where the package that writes it is missing.

    Raises
    ------
    PipelineError
        With what to install.
    """
    if importlib.util.find_spec("prometheus_client") is None:
        raise PipelineError(
            "Metrics cannot be written.",
            "The package prometheus-client is not installed.",
            'Run uv add "datajoint-pipeline[metrics]", then run the command again.',
        )


def text(found: Progress) -> str:
    """Give the text for Prometheus."""
    from prometheus_client import CollectorRegistry, Gauge, generate_latest

    registry = CollectorRegistry()

    def gauge(name: str, words: str, *labels: str) -> Gauge:
        return Gauge(f"datajoint_{name}", words, labels, registry=registry)

    jobs = gauge("jobs", "Keys of a table by what is known of them.", "schema", "table", "status")
    total = gauge("keys_total", "Keys that a table is to have.", "schema", "table")
    remaining = gauge("keys_remaining", "Keys that are not computed, failed and ignored ones too.", "schema", "table")
    last = gauge("last_success_timestamp_seconds", "When a key was last computed.", "schema", "table")
    workers = gauge("workers", "Workers that live.", "class")
    gauge("progress_timestamp_seconds", "When this was read.").set(found.at.replace(tzinfo=timezone.utc).timestamp())
    for one in found.tables:
        where = (one.table.schema, one.table.title)
        statuses = {
            "running": one.alive,
            "unknown": one.unknown,
            "dead": one.dead,
            "failed": one.failed,
            "ignored": one.ignored,
            "waiting": one.waiting,
            **({} if one.pending is None else {"pending": one.pending}),
        }
        for status, count in statuses.items():
            jobs.labels(*where, status).set(count)
        if one.total is not None and one.remaining is not None:
            total.labels(*where).set(one.total)
            remaining.labels(*where).set(one.remaining)
        if one.last_success is not None:
            last.labels(*where).set(one.last_success.replace(tzinfo=timezone.utc).timestamp())
    living = [one.class_name for one in found.workers]
    for class_name in sorted({*living, *(one.class_name for one in found.tables)}):
        workers.labels(class_name).set(living.count(class_name))
    return generate_latest(registry).decode()


def write(found: Progress, path: Path) -> None:
    """Write it to a file that is always whole, and that whoever collects it may read.

    Raises
    ------
    PipelineError
        If it cannot be written.
    """
    disk.write(text(found), path, mode=0o644)
