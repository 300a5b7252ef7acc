"""How far a network can be trusted: repetitions on other cells, permuted regulators, designs of samples."""
