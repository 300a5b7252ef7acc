"""The model of promoter motifs: products of factors, families, and its file."""

import numpy as np
import pytest
import torch

from grn.errors import WeightsError
from grn.genes import families
from grn.models.promoter_motifs import FORMAT, PromoterMotifs, embedded, load, save


@pytest.fixture
def model():
    rng = np.random.default_rng(0)
    motifs, promoters = rng.normal(size=(3, 2)), rng.normal(size=(4, 2))
    return PromoterMotifs(("GATA1", "GATA2", "SPI1"), ("A", "B", "CD14", "HBB"), motifs, promoters)


def test_a_score_is_a_product(model):
    scores = model.scores(["SPI1", "GATA1", "TP53"], ["HBB", "unknown", "A"])
    expected = model.motifs[[2, 0]] @ model.promoters[[3, 0]].T
    np.testing.assert_allclose(scores[:2][:, [0, 2]], expected, rtol=1e-6)
    assert (scores[2] == 0).all()
    assert (scores[:, 1] == 0).all()


def test_a_family_lends_its_mean(model):
    scores = model.scores(["GATA1", "GATA6", "SPI1", "TP53"], ["HBB"], families=families)[:, 0]
    mean = model.motifs[:2].mean(axis=0) @ model.promoters[3]
    np.testing.assert_allclose(scores[:2], mean, rtol=1e-6)
    np.testing.assert_allclose(scores[2], model.motifs[2] @ model.promoters[3], rtol=1e-6)
    assert scores[3] == 0
    assert model.known(["GATA1", "GATA6"]).tolist() == [True, False]


def test_round_trip_in_half_precision(model, tmp_path):
    again = load(save(model, tmp_path / "m.safetensors"))
    assert (again.regulators, again.genes) == (model.regulators, model.genes)
    np.testing.assert_allclose(again.motifs, model.motifs, atol=2e-3)


def test_other_files_are_refused(model, tmp_path):
    from grn.models._model_file import save_tensors

    path = tmp_path / "m.safetensors"
    names = {"regulators": "A\nB", "genes": "C"}
    tensors = {"motifs": torch.zeros(2, 3), "promoters": torch.zeros(1, 3)}
    for header, content, message in (
        ({"format": "other", **names}, tensors, "no model of promoter motifs"),
        ({"format": FORMAT, **names}, {"motifs": tensors["motifs"]}, "no model of promoter motifs"),
        ({"format": FORMAT, **names}, {**tensors, "promoters": torch.zeros(2, 3)}, "has factors of shapes"),
        ({"format": FORMAT, **names}, {**tensors, "motifs": torch.full((2, 3), torch.nan)}, "NaN"),
    ):
        save_tensors(path, content, header)
        with pytest.raises(WeightsError, match=message):
            load(path)


def test_the_shipped_one_knows_blood():
    motifs = embedded()
    assert motifs.known(["SPI1", "GATA1"]).all()
    # the E-box of MYC in the promoter of its best known targets, against genes at large
    strong = motifs.scores(["MYC"], ["NPM1", "NCL", "ODC1", "CDK4", "LDHA"]).mean()
    assert strong > motifs.scores(["MYC"], motifs.genes).mean()
