"""Errors, settings, logging, randomness, devices: what every layer may use."""
