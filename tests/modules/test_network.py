"""Every network can be called for what its kind promises."""

import pytest

from plmjax.modules import FAMILIES
from plmjax.modules.network import BY_KIND

METHODS = {
    kind: {name for name in vars(protocol) if not name.startswith("_")}
    | {
        name
        for base in protocol.__mro__
        for name in vars(base)
        if not name.startswith("_") and callable(vars(base)[name])
    }
    for kind, protocol in BY_KIND.items()
}


@pytest.mark.parametrize("name", [name for name, family in FAMILIES.items() if family.module.kind in BY_KIND])
def test_a_network_has_the_methods_of_its_kind(name: str) -> None:
    module = FAMILIES[name].module
    missing = sorted(method for method in METHODS[module.kind] if not callable(getattr(module, method, None)))
    assert missing == []


def test_the_methods_are_those_of_the_protocols() -> None:
    assert {"encode", "token_head", "token_logits", "init", "apply"} <= METHODS["encoder"]
    assert {"decode", "init_cache"} <= METHODS["decoder"] and "encode" not in METHODS["decoder"]
