"""The operations: deploy, rollback, scale, maintenance."""
