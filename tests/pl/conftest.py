"""Networks with real gene names, and a clean pyplot before and after each test."""

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
import pytest

REGULATORS = (
    "SPI1 CEBPB CEBPD PAX5 IRF8 IRF4 EBF1 TCF7 LEF1 GATA3 TBX21 EOMES RUNX3 KLF4 BCL11A STAT1 IRF1 NFKB1 FOS JUN"
).split()
TARGETS = (
    "LYZ S100A8 S100A9 S100A12 FCN1 VCAN CD14 CD79A CD79B MS4A1 CD19 CD22 BANK1 BLK IGHM IGHD TCL1A CD3D CD3E IL7R "
    "CCR7 SELL CD8A CD8B GZMB GZMK PRF1 NKG7 GNLY KLRD1 FCGR3A CST3 HLA-DRA HLA-DPA1 CD74 CD1C FCER1A CLEC10A PPBP "
    "PF4 IFI6 ISG15 MX1 CCL5 CXCL8 IL1B TNF CTLA4 IL2RA TIGIT MZB1 JCHAIN AIF1 LST1 TYROBP TNFRSF13C"
).split()


@pytest.fixture(autouse=True)
def _no_figures_left():
    plt.close("all")
    yield
    plt.close("all")


@pytest.fixture
def make_edges():
    """Return a function that draws a random signed network of a number of edges."""

    def make(n: int, *, seed: int = 0) -> pd.DataFrame:
        rng = np.random.default_rng(seed)
        pairs = [(s, t) for s in REGULATORS for t in [*TARGETS, *REGULATORS]]
        chosen = [pairs[i] for i in rng.permutation(len(pairs))[:n]]
        weight = rng.uniform(0.05, 1, n) * rng.choice([1, 1, -1], n)
        table = pd.DataFrame(chosen, columns=["source", "target"]).assign(weight=weight)
        table["sign"] = np.sign(weight)
        table["probability"] = np.abs(weight) * 0.9
        return table

    return make


@pytest.fixture
def tiny() -> pd.DataFrame:
    """Six edges with known answers; PAX5 and SPI1 regulate each other."""
    return pd.DataFrame(
        {
            "source": ["SPI1", "SPI1", "PAX5", "PAX5", "SPI1", "GATA3"],
            "target": ["LYZ", "PAX5", "SPI1", "CD79A", "CD79A", "CD3D"],
            "weight": [0.9, -0.8, -0.7, 0.6, -0.5, 0.4],
        }
    )
