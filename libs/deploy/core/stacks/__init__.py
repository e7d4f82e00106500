"""The compose stacks that every host runs beside its services."""
