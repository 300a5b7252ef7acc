"""From open chromatin to cistromes: sets of regions, motifs that are enriched in them, regions of regulators."""
