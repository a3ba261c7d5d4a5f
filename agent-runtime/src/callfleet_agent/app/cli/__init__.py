"""The `callfleet` command, one file for each of its commands. Imports of what is heavy are late."""
