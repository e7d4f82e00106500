"""What a change selects, and the pipelines that deploy it."""
