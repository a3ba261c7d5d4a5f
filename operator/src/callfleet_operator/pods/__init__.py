"""Streams to the agent pods: a wanted state each in, reports out (gRPC with mTLS, fleet.proto)."""
