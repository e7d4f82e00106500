"""What a user and an operator would see: browser journeys and the integration tests on a real stack."""
