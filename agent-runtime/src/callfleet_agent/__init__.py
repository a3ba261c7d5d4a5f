"""What runs in an agent pod: connector, workers, services, and the callfleet command."""
