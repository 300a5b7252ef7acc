"""Published systems and plain probes as records: one file each, none imports another."""
