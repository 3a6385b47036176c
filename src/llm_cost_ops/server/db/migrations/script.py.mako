"""${message}

Revision ID: ${up_revision}
Revises: ${down_revision | comma,n}

On MySQL every schema statement commits by itself and an interrupted run is resumed from the start
of this revision: write statements that change data so that they may run twice.
"""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op
${imports if imports else ""}
revision = ${repr(up_revision)}
down_revision = ${repr(down_revision)}
branch_labels = ${repr(branch_labels)}
depends_on = ${repr(depends_on)}


def upgrade() -> None:
    ${upgrades if upgrades else "pass"}


def downgrade() -> None:
    ${downgrades if downgrades else "pass"}
