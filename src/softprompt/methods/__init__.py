"""One file a paper, each a small module over a site.

Every module of this package is read when the package is, so that a new file is all that a new method needs; the classes
that it registers can be imported from here by name.
"""

from importlib import import_module
from pkgutil import iter_modules
from typing import Any

from softprompt.guards.old_names import old_name
from softprompt.methods.base import BuildContext, Method, Recipe
from softprompt.methods.registry import method, methods, register

for _module in iter_modules(__path__):
    if not _module.ispkg:
        import_module(f"{__name__}.{_module.name}")
_CLASSES = {one.__name__: one for one in methods(installed=False).values()}


def __getattr__(name: str) -> Any:
    return _CLASSES[name] if name in _CLASSES else old_name(__name__, name)


def __dir__() -> list[str]:
    return sorted(__all__)


__all__ = ["BuildContext", "Method", "Recipe", "method", "methods", "register"]
__all__ += list(_CLASSES)
