"""Rate limits: how often a key, user, organization or address may ask, counted in this process and
shared with others where there is a store for it."""
