"""API methods by noun: `client.usage`, `client.costs`, `client.pricing`, `client.analytics`."""
