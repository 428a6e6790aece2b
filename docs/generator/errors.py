"""What can go wrong: problems over HTTP, refusals, reasons for parking, and our own errors."""

from __future__ import annotations

import importlib
import pkgutil
from types import ModuleType

import api
import ledger
import projections
from api.errors import KINDS
from docs.generator.docstrings import own_doc
from docs.generator.pages import Parts, code, described, table
from ledger.domain.errors import LedgerError
from ledger.ofauth.payloads import REASONS
from ledger.ofauth.signatures import Reason, SignatureError
from ledger.reconcile.paging import REASONS as DOUBTS
from ledger.reconcile.sweep import ABANDONED

PACKAGES: tuple[ModuleType, ...] = (ledger, projections, api)


def parts() -> Parts:
    """Give the parts of the page about errors."""
    problems = [
        [code(kind.name), str(kind.status), f"{kind.title}.", described(kind.name, kind.advice)]
        for kind in KINDS
    ]
    refusals = [[code(reason), str(SignatureError(reason))] for reason in Reason]
    parking = [[code(reason), text] for reason, text in REASONS.items()]
    passes = [[code(word), text] for word, text in {**DOUBTS, **ABANDONED}.items()]
    classes = [
        [code(cls.__name__), code(cls.__module__), described(cls.__name__, own_doc(cls))]
        for cls in error_classes()
    ]
    return {
        "problems": table(["name", "status", "title", "what to do"], problems),
        "refusals": table(["reason", "meaning"], refusals),
        "reasons for parking": table(["reason", "meaning"], parking),
        "reasons of a pass": table(["reason", "meaning"], passes),
        "error classes": table(["class", "in", "when"], classes),
    }


def error_classes() -> list[type[LedgerError]]:
    """Give every child of LedgerError in the three packages, by module."""
    return [
        value
        for module in modules()
        for value in vars(module).values()
        if isinstance(value, type)
        and issubclass(value, LedgerError)
        and value.__module__ == module.__name__
    ]


def modules() -> list[ModuleType]:
    """Give every module of the three packages."""
    names = [
        found.name
        for package in PACKAGES
        for found in pkgutil.walk_packages(package.__path__, f"{package.__name__}.")
        if not found.name.endswith("__main__")
    ]
    return [importlib.import_module(name) for name in names]
