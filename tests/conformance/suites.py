"""The suites of real projects: fetched by name and version, checked by hash, unpacked into a cache."""

from __future__ import annotations

import hashlib
import os
import shutil
import sys
import tarfile
from dataclasses import dataclass
from pathlib import Path

from process import HarnessError, check
from toml import read_toml

HERE = Path(__file__).resolve().parent


@dataclass(frozen=True)
class Suite:
    """One entry of suites.toml."""

    name: str
    version: str
    sha256: str
    requirements: tuple[str, ...]
    args: tuple[str, ...]
    pytests: tuple[int, ...] = ()
    sample: tuple[str, ...] = ()

    def runs_on(self, pytest: str) -> bool:
        """Tell whether the suite is meant for that pytest."""
        return not self.pytests or int(pytest.split(".")[0]) in self.pytests


def default_cache() -> Path:
    """Return the user's cache directory for this harness."""
    return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "tach-conformance"


def load_suites() -> dict[str, Suite]:
    """Read suites.toml."""
    entries = read_toml(HERE / "suites.toml")["suite"]
    return {
        name: Suite(
            name,
            e["version"],
            e["sha256"],
            tuple(e["requirements"]),
            tuple(e["args"]),
            tuple(e.get("pytests", ())),
            tuple(e.get("sample", ())),
        )
        for name, e in entries.items()
    }


def select_suites(names: list[str]) -> list[Suite]:
    """Return the named suites; an unknown name is an error that lists the known ones."""
    known = load_suites()
    unknown = [name for name in names if name not in known]
    if unknown:
        raise HarnessError(f"unknown suite {', '.join(unknown)}; known: {', '.join(known)}")
    return [known[name] for name in names]


def fetch(suite: Suite, cache: Path) -> tuple[Path, Path]:
    """Return the archive and the unpacked project, downloading what is not in the cache."""
    home = cache / "source" / f"{suite.name}-{suite.version}"
    archive = _archive(home)
    if archive is None:
        home.mkdir(parents=True, exist_ok=True)
        pip = [sys.executable, "-m", "pip", "download", "--quiet", "--disable-pip-version-check", "--no-deps"]
        check([*pip, "--no-binary", suite.name, "--dest", str(home), f"{suite.name}=={suite.version}"], home)
        archive = _archive(home)
    if archive is None:
        raise HarnessError(f"{suite.name} {suite.version}: pip brought no source archive")
    _verify(archive, suite)
    return archive, _unpacked(archive, home)


def _archive(home: Path) -> Path | None:
    return next(iter(sorted(home.glob("*.tar.gz"))), None)


def _verify(archive: Path, suite: Suite) -> None:
    digest = hashlib.sha256(archive.read_bytes()).hexdigest()
    if digest != suite.sha256:
        archive.unlink()
        raise HarnessError(f"{archive.name}: sha256 is {digest}, suites.toml says {suite.sha256}")


def _unpacked(archive: Path, home: Path) -> Path:
    target = home / archive.name.removesuffix(".tar.gz")
    if not target.exists():
        partial = home / "partial"
        shutil.rmtree(partial, ignore_errors=True)
        with tarfile.open(archive) as tar:
            if hasattr(tarfile, "data_filter"):
                tar.extractall(partial, filter="data")
            else:
                tar.extractall(partial)
        (partial / target.name).rename(target)
    return target
