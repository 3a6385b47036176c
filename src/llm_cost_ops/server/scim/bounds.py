"""How much a SCIM client may ask for at once."""

from __future__ import annotations

MAX_COUNT = 200
"""Resources of a page, the most and the number when none is asked for."""
MAX_FILTER = 4_096
"""Characters of a filter or of a path."""
MAX_SCANNED = 20_000
"""Resources that a filter or an order which the database cannot apply looks at."""
MAX_MEMBERS = 10_000
"""Members of a group in one request."""
MAX_BULK_OPERATIONS = 1_000
MAX_BULK_BYTES = 1_048_576
MAX_PATCH_OPERATIONS = 1_000
