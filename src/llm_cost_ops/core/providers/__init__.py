"""Where provider differences end: response bodies in, inclusive usage counts out."""
