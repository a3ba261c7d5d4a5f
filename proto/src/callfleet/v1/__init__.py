"""The gRPC contract, generated from proto/callfleet/v1."""
