"""The objects that a ProviderPool consists of, as pure functions of its spec and of facts."""
