"""How methods are trained: one fit, or a recipe of several stages. One file a course.

A course is a function of a `Work`; it leaves the model trained in `work.trained` and tells what it did in
`work.report`, which goes into `metrics.json` and `prompt.json`. Every module of this package is read when the package
is; a course from outside registers itself with the same decorator.
"""

from importlib import import_module
from pkgutil import iter_modules

from softprompt.errors import Interrupted
from softprompt.training.courses.registry import Course, course, of
from softprompt.training.courses.work import Work

for _module in iter_modules(__path__):
    import_module(f"{__name__}.{_module.name}")

__all__ = ["Course", "Interrupted", "Work", "course", "of"]
