"""What regulators do in cells, by a network: activities, drivers of a difference, ranks, regulons."""
