"""The cases of each family, collected in the order of the files."""

import importlib
import pkgutil

from tests.interop.case import Case

MODULES = [importlib.import_module(f"{__name__}.{module.name}") for module in pkgutil.iter_modules(__path__)]
CASES: list[Case] = [case for module in MODULES for case in module.CASES]
