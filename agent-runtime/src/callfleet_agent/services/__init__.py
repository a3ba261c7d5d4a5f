"""What an agent pod serves besides calls: the operator's control stream, health and metrics."""
