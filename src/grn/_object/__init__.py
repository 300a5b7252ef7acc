"""The doorway between AnnData and arrays: values, genes, groups, regulators, smoothing."""
