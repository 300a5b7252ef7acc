"""What a benchmarked reading of a backbone is made of."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from grn._core import checks
from grn._core.registry import Registry

VARIANTS = ("", "shuffled weights", "shuffled names")


@dataclass(frozen=True)
class Recipe:
    """A reading of a backbone.

    Parameters
    ----------
    name
        Name in the table.
    features
        Features it reads; with several, their logits are averaged.
    kind
        ``"method"`` or ``"ablation"``.
    translated
        Whether a translator is trained, or the feature itself is the score.
    variant
        What was done to the backbone: one of ``VARIANTS``.
    """

    name: str
    features: tuple[str, ...]
    kind: str = "method"
    translated: bool = True
    variant: str = ""


RECIPES: Registry[Recipe] = Registry("benchmarked method")
_BOTH = ("vvp", "gradient_trajectory")
for _recipe in (
    Recipe("Pert (origin)", ("pert",), translated=False),
    Recipe("Attn (origin)", ("attention",), translated=False),
    Recipe("VVP (raw)", ("vvp",), translated=False),
    Recipe("GDT (raw)", ("gradient_trajectory",), translated=False),
    Recipe("Pert", ("pert",)),
    Recipe("Attn", ("attention",)),
    Recipe("Emb", ("embedding",)),
    Recipe("VVP", ("vvp",)),
    Recipe("GDT", ("gradient_trajectory",)),
    Recipe("Ens", _BOTH),
    Recipe("VVP, shuffled weights", ("vvp",), "ablation", variant="shuffled weights"),
    Recipe("GDT, shuffled weights", ("gradient_trajectory",), "ablation", variant="shuffled weights"),
    Recipe("Ens, shuffled weights", _BOTH, "ablation", variant="shuffled weights"),
    Recipe("Emb, shuffled weights", ("embedding",), "ablation", variant="shuffled weights"),
    Recipe("Ens, shuffled names", _BOTH, "ablation", variant="shuffled names"),
    Recipe("Emb, shuffled names", ("embedding",), "ablation", variant="shuffled names"),
    Recipe("GDT, moving background", ("gradient_moving",), "ablation"),
    Recipe("Ens, real mean cell", ("mean_cell_vvp", "mean_cell_gradient_trajectory"), "ablation"),
):
    RECIPES.add(_recipe.name, _recipe)


def chosen(names: Iterable[str] | None) -> list[Recipe]:
    """Recipes by name; all of them by default."""
    return [RECIPES[name] for name in (RECIPES if names is None else checks.names("methods", names))]
