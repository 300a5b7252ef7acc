import numpy as np
import pytest
import scipy.sparse as sp

from grn._core.errors import ParameterError
from grn._kernels.scan import detect_kind, scan, settled

FORMS = {
    "dense": np.asarray,
    "csr": sp.csr_matrix,
    "csc": sp.csc_matrix,
    "csr_array": sp.csr_array,
    "csc_array": sp.csc_array,
}
LONG = np.random.default_rng(1).poisson(1.0, size=(4100, 3)).astype(np.float32)
N_CELLS, N_GENES = 120, 200


def counts(seed=0, depth=1.0):
    """Counts as of UMIs: sparse, overdispersed, below 50."""
    rng = np.random.default_rng(seed)
    rates = rng.lognormal(-2.0, 1.2, N_GENES) * rng.lognormal(0.0, 0.4, (N_CELLS, 1)) * depth
    return np.minimum(rng.poisson(rng.gamma(2.0, rates / 2.0)), 45).astype(float)


def share(x, total=1e4):
    return total * x / x.sum(axis=1, keepdims=True)


def soup(x):
    """Counts less what their ambient RNA explains."""
    return np.maximum(x - 0.08 * x.sum(axis=1, keepdims=True) * x.sum(axis=0) / x.sum(), 0.0)


def shared_reads(x):
    """Counts of which some reads were split between genes, as by expectation maximisation."""
    rng = np.random.default_rng(5)
    some = (rng.random(x.shape) < 0.15) & (x > 0)
    return x - np.where(some, rng.choice([0.5, 1 / 3, 0.25], x.shape), 0.0)


def lengths(x):
    return x / np.random.default_rng(3).lognormal(7.5, 0.7, x.shape[1])


LINEAR = {
    "multiplied": lambda x: 0.93 * x,
    "ambient": soup,
    "split": shared_reads,
    "there and back": lambda x: np.expm1(np.log1p(x.astype(np.float32))),
    "proportions": lambda x: share(x, 1.0),
    "per hundred": lambda x: share(x, 100.0),
    "per million": lambda x: share(x, 1e6),
    "part of the genes": lambda x: share(x, 50.0)[:, ::3],
}
LOG = {
    "log1p": lambda x: np.log1p(share(x)),
    "log1p, few genes": lambda x: np.log1p(share(x))[:, ::3],
    "log1p, median": lambda x: np.log1p(share(x, float(np.median(x.sum(axis=1))))),
    "log1p, rounded": lambda x: np.round(np.log1p(share(x)), 3),
    "log2": lambda x: np.log2(share(x, 1e6) + 1)[:, ::3],
    "log10": lambda x: np.log10(share(x) + 1)[:, ::3],
    "log1p of counts": np.log1p,
    "log2 of counts": lambda x: np.log2(x + 1),
    "log2 of TPM": lambda x: np.log2(share(lengths(x), 1e6) + 1),
    "log2 of TPM, few genes": lambda x: np.log2(share(lengths(x), 1e6) + 1)[:, ::3],
    "averaged": lambda x: np.stack([np.log1p(share(x))[i : i + 10].mean(axis=0) for i in range(len(x) - 10)]),
}
SURE = {"multiplied", "split", "there and back", "proportions", "per hundred", "per million", "part of the genes"}


def ordered(x, seed):
    rng = np.random.default_rng(seed)
    return x[rng.permutation(x.shape[0])][:, rng.permutation(x.shape[1])]


@pytest.mark.parametrize("name", LINEAR)
@pytest.mark.parametrize("seed", [0, 1, 2])
def test_fractions_of_counts_are_linear_whatever_their_maximum(name, seed):
    x = LINEAR[name](counts(seed))
    for form in ("dense", "csr", "csc"):
        found = scan(FORMS[form](x)).decision
        assert found.kind == "linear", (form, found.why)
        assert found.sure or name not in SURE, (form, found.why)
        assert scan(FORMS[form](ordered(x, seed))).decision.kind == "linear", form


@pytest.mark.parametrize("name", LOG)
@pytest.mark.parametrize("seed", [0, 1, 2])
def test_logarithms_of_any_base_and_any_genes_are_logarithms(name, seed):
    x = LOG[name](counts(seed))
    for form in ("dense", "csr", "csc"):
        found = scan(FORMS[form](x)).decision
        assert found.kind == "log", (form, found.why)
        assert scan(FORMS[form](ordered(x, seed))).decision.kind == "log", form


@pytest.mark.parametrize("name", [*LINEAR, *LOG])
def test_some_lines_tell_what_all_tell(name):
    whole = np.concatenate([counts(seed) for seed in range(8)])
    x = {**LINEAR, **LOG}[name](whole)
    for form in ("dense", "csr", "csc"):
        assert scan(FORMS[form](x), peek=True).kind == scan(FORMS[form](x)).kind


def test_square_roots_pass_as_they_are_with_a_warning(caplog):
    x = np.sqrt(share(counts(), 100.0))
    found = scan(x)
    assert (found.kind, found.decision.sure) == ("log", False)
    settled(found, "auto", "adata.X")
    assert "square roots" in caplog.text


def test_all_whole_numbers_are_counts_and_the_last_row_counts_too():
    assert scan(LONG).kind == "counts"
    assert detect_kind(sp.csr_matrix(LONG)) == "counts"
    for form in FORMS.values():
        last = LONG.copy()
        last[-1, -1] = 50.5
        assert detect_kind(form(last)) == "linear"
        last[-1, -1] = -0.25
        assert detect_kind(form(last)) == "scaled"
        for value in (np.nan, np.inf, -np.inf):
            last[-1, -1] = value
            assert detect_kind(form(last)) == "nan"


@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize("shape", [(0, 3), (3, 0), (0, 0)])
def test_no_cells_or_genes_is_empty(form, shape):
    assert detect_kind(FORMS[form](np.zeros(shape))) == "empty"


@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize("dtype", [np.int64, np.int32, np.uint16, np.float64, bool])
def test_integers_of_any_type_are_counts(form, dtype):
    assert detect_kind(FORMS[form]((LONG > 0).astype(dtype))) == "counts"


@pytest.mark.parametrize("form", FORMS)
def test_the_range_is_that_of_the_finite_values(form):
    x = LONG[:40].copy()
    x[3, 1], x[4, 1], x[5, 2], x[6, 0] = np.nan, -2.0, np.inf, 7.0
    found = scan(FORMS[form](x))
    assert (found.low, found.high, found.n_nan, found.n_infinite, found.n_negative) == (-2.0, 7.0, 1, 1, 1)
    assert found.kind == "scaled"
    only = np.full((4, 3), np.nan)
    assert scan(FORMS[form](only)).kind == "empty"


@pytest.mark.parametrize("form", FORMS)
def test_a_gene_with_missing_values_is_not_constant(form):
    x = np.ones((5, 2), dtype=np.float32)
    x[0, 0] = np.nan
    assert scan(FORMS[form](x)).constant.tolist() == [False, True]


@pytest.mark.parametrize("form", FORMS)
def test_noise_of_rounding_is_zero_and_more_is_scaled(form, caplog):
    x = np.log1p(share(counts()))
    x[2, 5] = -1e-9
    found = scan(FORMS[form](x))
    assert (found.kind, found.noise) == ("log", True)
    settled(found, "auto", "adata.X")
    assert "taken for zero" in caplog.text
    x[2, 5] = -0.01
    assert scan(FORMS[form](x)).kind == "scaled"


def test_the_user_overrules_and_weak_evidence_is_said(caplog):
    weak = scan(soup(counts()))
    assert settled(weak, "auto", "adata.X").how == "detected"
    assert "values='log'" in caplog.text
    caplog.clear()
    given = settled(weak, "log", "adata.X")
    assert (given.kind, given.how) == ("log", "given")
    assert not caplog.text
    settled(scan(np.log1p(share(counts()))), "counts", "adata.X")
    assert "with log1p undone the values of every cell sum to 1e+04" in caplog.text
    with pytest.raises(ParameterError, match="'tpm'"):
        settled(weak, "tpm", "adata.X")
