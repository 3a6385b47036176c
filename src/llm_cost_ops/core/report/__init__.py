"""Reports as documents: what they say, apart from how they are drawn."""
