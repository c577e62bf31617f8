"""A secret that the service makes for itself, once, and keeps in its data folder."""

import os
import secrets
from pathlib import Path

from schemas.errors import BadSetting


def kept_secret(path: Path) -> tuple[str, bool]:
    """The secret in the file, and whether it was made just now. The file is readable by its owner only.

    Several processes that start at once agree on one: the file appears whole, under its name, or not at all.
    Raises: BadSetting where it can be neither read nor made.
    """
    try:
        return (path.read_text().strip(), False) if path.exists() else _make(path)
    except OSError as error:
        raise BadSetting("DATAPUSHER_DATA_DIR", f"cannot keep {path}: {error.strerror}") from error


def _make(path: Path) -> tuple[str, bool]:
    path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
    draft = path.with_name(f".{path.name}.{os.getpid()}.{secrets.token_hex(4)}")
    with os.fdopen(os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w") as file:
        file.write(secrets.token_urlsafe(24) + "\n")
    try:
        os.link(draft, path)
        return path.read_text().strip(), True
    except FileExistsError:
        return path.read_text().strip(), False
    finally:
        draft.unlink()
