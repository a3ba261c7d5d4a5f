"""The schema's history (Alembic), part of the package so that an image can migrate by itself."""
