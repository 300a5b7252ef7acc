"""What follows from a change of regulators: interventions, propagation through a network, flow among cells."""
