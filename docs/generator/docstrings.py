"""Docstrings of attributes: the text below each, which Python itself does not keep."""

from __future__ import annotations

import ast
import inspect
from collections.abc import Iterator
from functools import cache
from itertools import pairwise
from typing import NamedTuple


class Attribute(NamedTuple):
    """An attribute of a class as it is written."""

    name: str
    annotation: str
    """Its type as text; empty for a plain assignment, as a member of an enumeration is."""
    text: str
    """The docstring below it; empty when there is none."""


def attributes(cls: type) -> dict[str, Attribute]:
    """Give the attributes of a class and its bases by name, in the order in which they are written.

    One that is written again without a docstring keeps that of the base.
    """
    found: dict[str, Attribute] = {}
    for base in reversed(cls.__mro__):
        for one in _written(base):
            before = found.get(one.name)
            found[one.name] = one if one.text or not before else one._replace(text=before.text)
    return found


def own_doc(cls: type) -> str | None:
    """Give the docstring of a class, but none that Python made or that it inherits."""
    node = _node(cls)
    return None if node is None else ast.get_docstring(node)


def _written(cls: type) -> Iterator[Attribute]:
    node = _node(cls)
    for one, below in pairwise([*node.body, ast.Pass()] if node else []):
        match below:
            case ast.Expr(value=ast.Constant(value=str(docstring))):
                text = inspect.cleandoc(docstring)
            case _:
                text = ""
        match one:
            case ast.AnnAssign(target=ast.Name(id=name), annotation=annotation):
                yield Attribute(name, ast.unparse(annotation), text)
            case ast.Assign(targets=[ast.Name(id=name)]):
                yield Attribute(name, "", text)


def _node(cls: type) -> ast.ClassDef | None:
    module = inspect.getmodule(cls)
    if module is None or cls.__module__ in ("builtins", "enum"):
        return None
    return _classes(inspect.getsource(module)).get(cls.__name__)


@cache
def _classes(source: str) -> dict[str, ast.ClassDef]:
    return {
        node.name: node for node in ast.walk(ast.parse(source)) if isinstance(node, ast.ClassDef)
    }
