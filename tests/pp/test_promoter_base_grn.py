import numpy as np
import pandas as pd
import pytest

import grn
from grn.errors import DataNotFoundError, NetworkError, ParameterError, RegionError
from grn.pp import _promoter_base_grn as module

KEYS = ["source", "target", "region"]


@pytest.fixture(scope="module")
def mdata():
    return grn.datasets.toy_multiome(n_cells=30, n_regulators=4, n_targets=12)


@pytest.fixture(scope="module")
def motifs(mdata):
    return grn.pp.motifs().select(factors=mdata.uns["regulators"])


@pytest.fixture
def scans(monkeypatch):
    """How often promoters were scanned."""
    calls = []
    scan = module.hit_matrices

    def counted(*given, **named):
        calls.append(given)
        return scan(*given, **named)

    monkeypatch.setattr(module, "hit_matrices", counted)
    return calls


def made(mdata, chosen, /, **given):
    given = {"starts": mdata.uns["starts"], "motifs": chosen, **given}
    return grn.pp.promoter_base_grn(given.pop("sequences", mdata.uns["genome"]), **given)


def test_it_is_the_scan_of_the_promoters(mdata, motifs, tmp_path):
    table = made(mdata, motifs, cache=tmp_path, pvalue=1e-3)
    starts = mdata.uns["starts"]
    forward = starts["strand"] == "+"
    low = starts["position"] - np.where(forward, 1000, 100)
    high = starts["position"] + np.where(forward, 100, 1000) + 1
    names = starts["chrom"] + ":" + low.astype(str) + "-" + high.astype(str)
    gene_of = dict(zip(names, starts["gene"], strict=True))
    places = grn.genome.motif_positions(list(gene_of), sequences=mdata.uns["genome"], motifs=motifs, pvalue=1e-3)
    places = places.merge(motifs.to_frame(), on="motif").rename(columns={"factor": "source"})
    places["target"] = places["region"].map(gene_of)
    best = places.groupby(KEYS)["score"].max()
    found = table.astype(dict.fromkeys(KEYS, str)).set_index(KEYS)["score"]
    pd.testing.assert_series_equal(found.sort_index(), best.sort_index(), check_names=False, rtol=1e-6)
    assert table.attrs["base_grn"]["evidence"] == "motif" and table.attrs["base_grn"]["regions"] == len(names)


def test_the_same_is_scanned_once(mdata, motifs, tmp_path, scans):
    first = made(mdata, motifs, cache=tmp_path)
    assert len(scans) == 1 and len(list(tmp_path.rglob("*.npz"))) == 1
    pd.testing.assert_frame_equal(made(mdata, motifs, cache=tmp_path), first)
    # a file with the same bases in lower case, and other names of chromosomes, is the same genome
    lower = {name.removeprefix("chr"): bases.lower() for name, bases in mdata.uns["genome"].items()}
    pd.testing.assert_frame_equal(made(mdata, motifs, cache=tmp_path, sequences=lower), first)
    assert len(scans) == 1


def test_whatever_changes_is_scanned_anew(mdata, motifs, tmp_path, scans):
    made(mdata, motifs, cache=tmp_path)
    genome = dict(mdata.uns["genome"])
    place = int(mdata.uns["starts"]["position"].iloc[0])
    chrom = mdata.uns["starts"]["chrom"].iloc[0]
    other = "A" if genome[chrom][place] != "A" else "C"
    genome[chrom] = genome[chrom][:place] + other + genome[chrom][place + 1 :]
    for number, change in enumerate(
        [{"sequences": genome}, {"pvalue": 1e-3}, {"upstream": 900}, {"motifs": motifs.select(motifs.names[:3])}], 2
    ):
        made(mdata, motifs, cache=tmp_path, **change)
        assert len(scans) == number


def test_a_damaged_file_is_made_again(mdata, motifs, tmp_path, scans, caplog):
    first = made(mdata, motifs, cache=tmp_path)
    (file,) = tmp_path.rglob("*.npz")
    file.write_bytes(file.read_bytes()[:-9])
    pd.testing.assert_frame_equal(made(mdata, motifs, cache=tmp_path), first)
    assert len(scans) == 2 and "damaged" in caplog.text


def test_the_setting_names_the_folder_or_none(mdata, motifs, tmp_path, scans):
    with grn.settings.override(cache_dir=tmp_path):
        made(mdata, motifs)
    assert len(list(tmp_path.rglob("*.npz"))) == 1
    with grn.settings.override(cache_dir=None):
        made(mdata, motifs)
        made(mdata, motifs)
    assert len(scans) == 3
    with pytest.raises(ParameterError, match="cache_dir"):
        grn.settings.cache_dir = 3


def test_a_folder_that_cannot_be_written_is_no_obstacle(mdata, motifs, tmp_path, caplog):
    (tmp_path / "file").write_text("")
    table = made(mdata, motifs, cache=tmp_path / "file")
    assert len(table) and "cannot be kept" in caplog.text


def test_files(mdata, motifs, tmp_path):
    pytest.importorskip("pyfaidx")
    path = tmp_path / "genome.fa"
    path.write_text("".join(f">{name}\n{bases}\n" for name, bases in mdata.uns["genome"].items()))
    pd.testing.assert_frame_equal(made(mdata, motifs, sequences=path, cache=tmp_path), made(mdata, motifs, cache=None))


def test_genes_of_the_object_and_orthologs(mdata, motifs, tmp_path):
    rna = mdata["rna"].copy()
    table = made(mdata, motifs, adata=rna, cache=tmp_path)
    assert set(table["target"]) <= set(rna.var_names) and table.attrs["base_grn"]["organism"] == "human"
    grn.tl.celloracle(rna, base_grn=table, max_p=None, smooth=False)
    assert set(rna.uns["celloracle"]["edges"]["target"]) <= set(table["target"])


def test_builds_are_told_by_the_length_of_chromosomes(mdata, motifs):
    genome = grn.genome.Sequences(mdata.uns["genome"])
    genome.lengths["chr1"] = 249_250_621
    with pytest.raises(RegionError, match=r"genome is hg19.*'hg38'"):
        grn.pp.promoter_base_grn(genome, build="hg38", motifs=motifs)


def test_starts_behind_their_chromosome(mdata, motifs):
    with pytest.raises(RegionError, match="behind their chromosome"):
        grn.pp.promoter_base_grn(mdata.uns["genome"], build="hg38", motifs=motifs)


def test_chromosomes_that_are_not_there(mdata, motifs, tmp_path, caplog):
    genome = mdata.uns["genome"]
    part = made(mdata, motifs, sequences={"chr1": genome["chr1"]}, cache=tmp_path)
    assert part["region"].str.startswith("chr1:").all() and "lacks the chromosomes chr2" in caplog.text
    with pytest.raises(RegionError, match="none of the chromosomes"):
        made(mdata, motifs, sequences={"scaffold": genome["chr1"]}, cache=tmp_path)


def test_bad_arguments(mdata, motifs, tmp_path):
    with pytest.raises(ParameterError, match="hg20"):
        grn.pp.promoter_base_grn(mdata.uns["genome"], build="hg20")
    with pytest.raises(DataNotFoundError, match="no file"):
        grn.pp.promoter_base_grn(tmp_path / "absent.fa")
    with pytest.raises(ParameterError, match="path of a file"):
        made(mdata, motifs, motifs=pd.DataFrame())
    bare = grn.genome.Motifs(motifs.names, motifs.counts, ((),) * len(motifs))
    with pytest.raises(NetworkError, match="with_factors"):
        made(mdata, bare, cache=tmp_path)
    with pytest.raises(RegionError, match="masked"):
        made(mdata, motifs, sequences={name: "N" * len(b) for name, b in mdata.uns["genome"].items()}, cache=tmp_path)
    with pytest.raises(ParameterError, match="upstream"):
        made(mdata, motifs, upstream=-1)
