"""Where the shipped detectors, models and playbooks are, in a wheel and in a checkout."""

from __future__ import annotations

import importlib.util
import sys
from pathlib import Path
from types import ModuleType
from typing import Any

from cyberterr.contracts import Detector
from cyberterr.contracts.examiner import Examiner

_PACKAGE = Path(__file__).parent


def folder(kind: str) -> Path:
    """Folder of shipped *kind*: inside the installed package, or beside it in a checkout."""
    installed = _PACKAGE / "_content" / kind
    return installed if installed.is_dir() else _PACKAGE.parent / kind


def _load(path: Path) -> ModuleType:
    # One name for ever: the same file imported under two names would be two detectors.
    name = f"cyberterr_detectors.{path.stem}"
    if name in sys.modules:
        return sys.modules[name]
    spec = importlib.util.spec_from_file_location(name, path)
    if spec is None or spec.loader is None:
        raise ImportError(f"{path} is not a Python file")
    module = importlib.util.module_from_spec(spec)
    sys.modules[name] = module
    spec.loader.exec_module(module)
    return module


def detectors() -> list[Detector]:
    """The detectors of events: those files of `detectors/` that summarise, in name order."""
    return [each for each in _all() if hasattr(each, "summarise")]


def examiners() -> list[Examiner]:
    """The detectors of media: those files of `detectors/` that measure windows, in name order."""
    return [each for each in _all() if hasattr(each, "measure")]


def _all() -> list[Any]:
    files = sorted(folder("detectors").glob("*.py"))
    return [_load(path).DETECTOR for path in files if not path.name.startswith("_")]
