"""The project's own files that the session has loaded: what a remembered verdict depends on."""

from __future__ import annotations

import sys
import sysconfig
from pathlib import Path

import pytest

from .link import native, send, text

MAX_STRINGS = 4096  # kMaxMessageStrings of shm/message.h; files beyond it are not part of what a verdict depends on


def installed_packages() -> str:
    """Names and versions of what is installed, as one text: the names of the metadata directories carry both."""
    names: set[str] = set()
    for entry in sys.path:
        directory = Path(entry or ".")
        if directory.is_dir():
            names.update(p.name for p in directory.iterdir() if p.suffix in (".dist-info", ".egg-info", ".egg-link"))
    return f"{sys.version}\n" + "\n".join(sorted(names))


def project_files(session: pytest.Session) -> list[str]:
    """Sorted paths of all loaded modules and conftest files below the root directory, installed packages left out."""
    root = session.config.rootpath
    installed = {sysconfig.get_path("purelib"), sysconfig.get_path("platlib"), sysconfig.get_path("stdlib")}
    files = {str(item.path) for item in session.items}
    for module in list(sys.modules.values()):
        file = getattr(module, "__file__", None)
        if isinstance(file, str) and Path(file).is_relative_to(root):
            files.add(file)
    for plugin in session.config.pluginmanager.get_plugins():
        file = getattr(plugin, "__file__", None)
        if isinstance(file, str) and Path(file).is_relative_to(root):
            files.add(file)
    if session.config.inipath is not None:
        files.add(str(session.config.inipath))
    return sorted(f for f in files if not any(f.startswith(str(i) + "/") for i in installed))


def send_files(session: pytest.Session) -> None:
    """Answer kModules."""
    strings = (installed_packages(), *project_files(session))
    send(native.KIND_MODULE_FILES, strings=tuple(text(s) for s in strings[:MAX_STRINGS]))
