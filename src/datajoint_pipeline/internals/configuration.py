"""What is not public of DataJoint's configuration."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any


def configuration(file: Path, secrets: Path) -> Any:
    """Give the configuration of a project, with its file and its secrets in it wherever the process was started.

    It is DataJoint's own, ``dj.config``, unless that is another project's already: one whose file DataJoint found, or
    whose connection it has. DataJoint looks for its file from the working directory upwards, which under cron or Slurm
    is not the project's.

    Parameters
    ----------
    file, secrets : Path
        The project's ``datajoint.json`` and its ``.secrets/``.
    """
    from datajoint import instance

    config = instance._global_config
    loaded = config._config_path
    own = loaded is not None and Path(loaded).resolve() == file.resolve()
    if instance._singleton_connection is not None or not (own or loaded is None):
        config, own = fresh_configuration(), False
    if not own and not ignores_files() and file.is_file():
        config.load(file)
        config._apply_stores_env()
        if secrets.is_dir():
            config._load_secrets(secrets)
    return config


def fresh_configuration() -> Any:
    """Make a configuration of what the environment says, without any file."""
    from datajoint.settings import Config

    return Config()


def ignores_files() -> bool:
    """Say whether DataJoint is told to read no file."""
    return os.environ.get("DJ_IGNORE_CONFIG_FILE", "").lower() in ("1", "true", "yes")


def loaded_file() -> Path | None:
    """Give the file that DataJoint itself has found."""
    from datajoint import instance

    path = instance._global_config._config_path
    return None if path is None else Path(path)
