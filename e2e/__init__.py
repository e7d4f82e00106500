"""End-to-end tests: browser journeys, and integration tests against a real sandbox."""
