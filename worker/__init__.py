"""The working side: Celery, and nothing that speaks HTTP."""
