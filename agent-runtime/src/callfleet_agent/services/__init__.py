"""gRPC services and their edge: identities, tokens, limits, validation, errors; the operator's
control stream, health and metrics."""
