"""A model's own perturbation input: what it predicts when the switch of gene i is on."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

import numpy as np
import torch
from torch import Tensor

from grn._core.errors import CapabilityError, ParameterError
from grn.methods._features import PairFeatures, Request, collect
from grn.models import Panel


def perturbation_response(adata, request: Request) -> PairFeatures:
    """Response (n_vars, S, groups) to the model's own perturbation of each source, one number per pair and group.

    With the capability ``"flag"`` the flag of gene i is set in the base cell; with ``"context"`` the intervention on i
    replaces the control, once per context of the model.
    """
    model = request.model
    if "flag" in model.capabilities:
        return _flagged(adata, request)
    if "context" in model.capabilities:
        return _contrasts(adata, request)
    raise CapabilityError(
        f"perturbation_response needs a model with an input for perturbations (scgenept, lpm); {model.name!r} offers: "
        f"{', '.join(sorted(model.capabilities))}. Use grn.tl.vvp or grn.tl.pert, which change expression values."
    )


def _flagged(adata, request: Request) -> PairFeatures:
    model = request.model

    def pieces(panel: Panel, base: Tensor, batch: int) -> Iterator[tuple[int, Tensor]]:
        none = torch.zeros(1, len(panel), device=base.device)
        origin = model.respond_flag(panel, base[None], none)[0]
        flags = torch.eye(len(panel), device=base.device)[panel.src_pos.to(base.device)]
        for start in range(0, len(flags), batch):
            part = flags[start : start + batch]
            out = model.respond_flag(panel, base.expand(len(part), -1), part) - origin
            yield start, out.unsqueeze(-1)

    return collect(adata, request, np.ones(1, dtype=np.float32), pieces, "perturbation_response")


def _contrasts(adata, request: Request) -> PairFeatures:
    model = request.model
    if request.context != "virtual" or request.groupby is not None:
        raise ParameterError(
            f"{model.name!r} takes no expression values, so context='mean' and groupby mean nothing to it; leave them "
            "out. Its own contexts become the groups of the result."
        )
    contexts = tuple(model.contexts)

    def pieces(panel: Panel, base: Tensor, batch: int) -> Iterator[tuple[int, Tensor]]:
        switched = torch.eye(len(panel), device=base.device)[panel.src_pos.to(base.device)]
        for start in range(0, len(switched), batch):
            part = switched[start : start + batch]
            found = []
            for i in range(len(contexts)):
                where = torch.tensor([i], device=base.device)
                control = model.respond(panel, base[None], context=where)
                found.append(model.respond(panel, part, context=where) - control)
            yield start, torch.stack(found, dim=-1)

    points = np.ones(len(contexts), dtype=np.float32)
    found = collect(adata, request, points, pieces, "perturbation_response")
    return replace(found, grid=np.ones(1, dtype=np.float32), groups=contexts)
