import gzip
import importlib.util
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

import grn
from grn import genome
from grn.errors import DataNotFoundError, ParameterError, RegionError
from grn.genome.neighbourhood import distances

SCRIPT = Path(__file__).parents[2] / "scripts" / "build_genome_tables.py"


def drawn(n=200, seed=0):
    random = np.random.default_rng(seed)
    start = random.integers(0, 3000, n)
    chrom = random.choice(["chr1", "chr2", "chrX"], n)
    table = pd.DataFrame({"chrom": chrom, "start": start, "end": start + random.integers(1, 90, n)})
    return table.drop_duplicates(ignore_index=True)


@pytest.mark.parametrize("pattern", ["{}:{}-{}", "{}-{}-{}", "{}_{}_{}", "{}:{}_{}"])
def test_names_in_every_spelling(pattern):
    rows = [("chr1", 100, 600), ("chr17_ctg5_hap1", 7, 8), ("HLA-A_1", 0, 3), ("GL000009.2", 1, 2)]
    names = [pattern.format(*row) for row in rows]
    table = genome.parse_regions(names)
    assert list(table.itertuples(index=False, name=None)) == rows and list(table.index) == names


def test_thousands_and_ones():
    assert genome.parse_regions(["chr1:1,000-2,000"])["end"].tolist() == [2000]
    assert genome.parse_regions(["chr1:1-100"], one_based=True).iloc[0, 1:].tolist() == [0, 100]


@pytest.mark.parametrize("columns", ["chrom start end", "Chromosome Start End", "seqnames start end"])
def test_tables(columns):
    table = pd.DataFrame([["chr2", 5, 9]], columns=columns.split())
    assert genome.parse_regions(table).to_dict("index") == {"chr2:5-9": {"chrom": "chr2", "start": 5, "end": 9}}
    named = table.set_axis(["peak"])
    assert genome.parse_regions(named).index.tolist() == ["peak"]


@pytest.mark.parametrize(
    ("regions", "says"),
    [
        (["chr1:1-5", "GATA1"], "1 of 2 names.*'GATA1'.*chr1:100-600"),
        (["chr1:,-5", "chr1:1-99999999999999999999"], "2 of 2 names are no regions"),
        (["chr1:1-5\n"], "no regions"),
        (pd.DataFrame({"chrom": ["chr1"], "start": [1], "end": [1e300]}), "'end'.*1e\\+300"),
        (["chr1:5-5"], "chr1:5-5"),
        (["chr1:9-5"], "chr1:9-5"),
        (["chr1:1-5", "chr1-1-5"], r"occur more than once.*isin\(\['chr1-1-5'\]\)"),
        (["chr1:1-5", "chr1:1-5"], "occur more than once.*duplicated"),
        (["chr1:1-5", "2:1-5"], "two ways, 2 and chr1"),
        ([], "no regions"),
        (pd.DataFrame({"chrom": ["chr1"], "start": [1]}), "expected chrom, start, end"),
        (pd.DataFrame({"chrom": ["chr1"], "start": [np.nan], "end": [3]}), "'start'.*whole number"),
        (pd.DataFrame({"chrom": [None], "start": [1], "end": [3]}), "no chromosome"),
        (pd.DataFrame({"chrom": ["chr1"], "start": [-1], "end": [3]}), "before the chromosome"),
    ],
)
def test_what_is_wrong_is_said(regions, says):
    with pytest.raises(RegionError, match=says):
        genome.parse_regions(regions)


def test_a_single_string_is_refused():
    with pytest.raises(ParameterError, match="list"):
        genome.parse_regions("chr1:1-5")


def test_ensembl_chromosomes_get_the_prefix_and_scaffolds_stay():
    table = genome.parse_regions(["1:1-5", "X:1-5", "MT:1-5", "GL000009.2:1-5"])
    assert table["chrom"].tolist() == ["chr1", "chrX", "chrM", "GL000009.2"]
    assert table.index[0] == "1:1-5"


def test_overlaps_merge_and_nearest_are_those_of_bioframe():
    bioframe = pytest.importorskip("bioframe")
    first, second = drawn(seed=1), drawn(seed=2)
    ours = genome.overlaps(first, other=second)
    theirs = bioframe.overlap(first, second, how="inner", return_index=True)
    names = [genome.parse_regions(table).index for table in (first, second)]
    pairs = zip(names[0][theirs["index"]], names[1][theirs["index_"]], strict=True)
    assert set(zip(ours["region"], ours["other"], strict=True)) == set(pairs) and len(ours) > 100
    for gap in (0, 20):
        joined = bioframe.merge(first, min_dist=gap)[["chrom", "start", "end", "n_intervals"]]
        assert genome.merge(first, gap=gap).values.tolist() == joined.values.tolist()
    points = second.assign(position=second["start"], strand="+", gene=[f"g{i}" for i in range(len(second))])
    near = genome.nearest_gene(first, starts=points)
    closest = bioframe.closest(first, second.assign(end=second["start"] + 1), return_index=True).set_index("index")
    # theirs are bases between, so that neighbours are 0 apart
    theirs = closest["distance"].reindex(first.index).astype(float)
    np.testing.assert_array_equal((near["distance"].abs() - 1).clip(lower=0), theirs)


def test_distance_follows_the_strand():
    starts = pd.DataFrame({"chrom": "chr1", "position": [100, 500], "strand": ["+", "-"], "gene": ["A", "B"]})
    regions = ["chr1:80-90", "chr1:100-101", "chr1:490-495", "chr1:505-509", "chr2:1-2"]
    near = genome.nearest_gene(regions, starts=starts)
    assert near["gene"].tolist() == ["A", "A", "B", "B", ""]
    np.testing.assert_array_equal(near["distance"], [-11, 0, 6, -5, np.nan])
    links = genome.link_genes(regions, starts=starts, upstream=5, downstream=400)
    assert links.values.tolist() == [
        ["chr1:100-101", "A", 0],
        ["chr1:100-101", "B", 400],
        ["chr1:490-495", "A", 390],
        ["chr1:490-495", "B", 6],
        ["chr1:505-509", "B", -5],
    ]


def test_a_gene_at_the_tip_of_a_chromosome_is_near_no_region_of_another_one():
    starts = pd.DataFrame({"chrom": ["chr2"], "position": [10], "strand": ["+"], "gene": ["A"]})
    links = genome.link_genes(["chr1:1000000-1000500", "chr2:0-5"], starts=starts, upstream=100, downstream=100)
    assert links.values.tolist() == [["chr2:0-5", "A", -6]]


def test_links_take_the_nearest_start_and_any_order_of_rows():
    starts = genome.starts("hg38").query("chrom == 'chr21'")
    regions = [f"chr21:{p}-{p + 300}" for p in range(33_000_000, 34_000_000, 40_000)]
    links = genome.link_genes(regions, starts=starts)
    assert not links.duplicated(["region", "gene"]).any()
    for region, gene, distance in links.sample(20, random_state=0).itertuples(index=False):
        low = int(region.split(":")[1].split("-")[0])
        gaps = [max(p - low - 299, low - p, 0) for p in starts.loc[starts["gene"] == gene, "position"]]
        assert abs(distance) == min(gaps)
    shuffled = genome.link_genes(regions[::-1], starts=starts.sample(frac=1, random_state=1))
    pd.testing.assert_frame_equal(
        shuffled.sort_values(["region", "gene"], ignore_index=True),
        links.sort_values(["region", "gene"], ignore_index=True),
    )


def test_no_gene_near_and_no_chromosome_in_common():
    starts = genome.starts("mm10")
    with pytest.raises(RegionError, match="no region is within"):
        genome.link_genes(["chr1:1-2"], starts=starts, upstream=5, downstream=5)
    with pytest.raises(RegionError, match="no chromosome is in both"):
        genome.nearest_gene(["scaffold7:1-2"], starts=starts)
    for wrong in (starts.drop(columns="strand"), "hg38"):
        with pytest.raises(ParameterError, match=r"lacks .*grn\.genome\.starts"):
            genome.nearest_gene(["chr1:1-2"], starts=wrong)
    # strands as Biomart writes them
    with pytest.raises(ParameterError, match=r"strand.*1.*expected \+ or -"):
        genome.link_genes(["chr1:1-2"], starts=starts.assign(strand=1))
    for wrong in (np.nan, "7", 0.5):
        with pytest.raises(ParameterError, match=r"position.*whole numbers"):
            genome.nearest_gene(["chr1:1-2"], starts=starts.assign(position=wrong))


def promoters(build, n=300):
    starts = genome.starts(build).iloc[::40].head(n)
    return starts.assign(start=starts["position"] - 100, end=starts["position"] + 100)[["chrom", "start", "end"]]


@pytest.mark.parametrize("build", ["hg19", "hg38", "mm10"])
def test_a_build_is_told_and_a_wrong_one_refused(build):
    regions = promoters(build)
    assert genome.check_build(regions) == genome.check_build(regions, build=build) == build
    other = "hg19" if build == "hg38" else "hg38"
    with pytest.raises(RegionError, match=f"likely of {build}"):
        genome.check_build(regions, build=other)


def test_regions_anywhere_tell_no_build():
    regions = [f"chr{k % 19 + 1}:{30_000_000 + 9973 * k}-{30_000_300 + 9973 * k}" for k in range(60)]
    assert genome.check_build(regions, build="hg38") == "hg38"
    with pytest.raises(RegionError, match="do not tell the build"):
        genome.check_build(regions)


@pytest.mark.parametrize(
    ("file", "build"),
    [("human_snareseq_lines_atac", "hg38"), ("human_a549_dex_scicar_atac", "hg19"), ("mouse", "mm10")],
)
def test_builds_of_real_peaks(shared_dir, file, build):
    folder = shared_dir / "data" / "multiome"
    if file == "mouse":
        names = pd.read_csv(folder / "mouse_bm_scatac_peaks_mm10_celloracle.csv.gz")["x"]
    else:
        import anndata as ad

        names = ad.read_h5ad(folder / f"{file}.h5ad", backed="r").var_names
    assert genome.check_build(list(names)) == build


def test_annotations_of_the_users(tmp_path):
    gtf = tmp_path / "a.gtf"
    line = '1\tx\t{}\t{}\t{}\t.\t{}\t.\tgene_id "g{}"; gene_name "{}";\n'
    gtf.write_text(
        "#!build\n" + line.format("gene", 1, 9, "+", 1, "A") + line.format("transcript", 11, 50, "-", 1, "A")
    )
    assert genome.starts(path=gtf).values.tolist() == [["chr1", 49, "-", "A"]]
    bed = tmp_path / "a.bed"
    bed.write_text("chr1\t10\t50\tA\t0\t-\nchr1\t10\t50\tB\t0\t+\n")
    assert genome.starts(path=bed).values.tolist() == [["chr1", 10, "+", "B"], ["chr1", 49, "-", "A"]]
    bed.write_text("chr1\t10\t50\tA\t0\t-\t10\t50\t0\t1\t40,\t0,\n")
    assert genome.starts(path=bed).values.tolist() == [["chr1", 49, "-", "A"]]
    packed = bytearray(gzip.compress(b"chr1\t10\t50\tA\t0\t-\n" * 2000))
    packed[30:60] = bytes(30)
    (tmp_path / "a.bed.gz").write_bytes(packed)
    with pytest.raises(RegionError, match="cannot be read"):
        genome.starts(path=tmp_path / "a.bed.gz")
    with pytest.raises(DataNotFoundError):
        genome.starts(path=tmp_path / "none.bed")
    bed.write_text("chr1\t10\t50\tA\t0\t.\n")
    with pytest.raises(RegionError, match="strand"):
        genome.starts(path=bed)
    with pytest.raises(grn.errors.ParameterError, match="hg38"):
        genome.starts("hg37")


@pytest.mark.slow
def test_the_shipped_tables_are_those_of_the_script(shared_dir, tmp_path, monkeypatch):
    spec = importlib.util.spec_from_file_location("build_genome_tables", SCRIPT)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    monkeypatch.setattr("sys.argv", ["build", "--data", str(shared_dir / "data"), "--out", str(tmp_path)])
    module.main()
    for path in sorted(module.TARGET.iterdir()):
        assert (tmp_path / path.name).read_bytes() == path.read_bytes(), path.name


def test_starts_may_be_written_without_the_prefix():
    starts = genome.starts("hg38").query("gene == 'GATA1'")
    bare = starts.assign(chrom=starts["chrom"].str.removeprefix("chr"))
    for region in ("chrX:48780000-48780500", "X:48780000-48780500"):
        assert genome.link_genes([region], starts=bare)["distance"].tolist() == [-6074]
        assert genome.nearest_gene([region], starts=bare)["distance"].tolist() == [-6074]
    pairs = pd.DataFrame({"region": ["chrX:48780000-48780500", "chr1:5-9"], "gene": "GATA1"})
    gap = distances(pairs, regions=genome.parse_regions(pairs["region"]), starts=bare)
    np.testing.assert_array_equal(gap, [-6074, np.nan])


@pytest.mark.parametrize("bases", [2**31, 10**18, 10**19])
def test_distances_beyond_any_chromosome_are_refused(bases):
    starts = genome.starts("hg38")
    with pytest.raises(ParameterError, match=f"upstream={bases}"):
        genome.link_genes(["chr1:5-9"], starts=starts, upstream=bases)
    with pytest.raises(ParameterError, match=f"gap={bases}"):
        genome.merge(["chr1:5-9"], gap=bases)
