"""What frozen features hold: probes that train no network."""
